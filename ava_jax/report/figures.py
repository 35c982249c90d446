"""Matplotlib figures in the style of the pages."""

import io
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ava_jax.report import style

PAPER, INK, GRID = "#ffffff", "#1c1e21", "#d9dce1"
CURVES = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE)
LEGEND: dict[str, Any] = {"fontsize": 8, "frameon": False, "labelcolor": INK}
_DPI = 200


def figure(width: float, height: float) -> Figure:
    """An empty figure; width and height in inches."""
    return Figure((width, height), facecolor=PAPER, layout="constrained")


def plots(fig: Figure, rows: int, columns: int) -> list[Axes]:
    """Adds a grid of plots in the common style; returns them row by row."""
    all_axes = fig.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in all_axes:
        axes.set_axisbelow(True)
        axes.grid(color=GRID, linewidth=0.6)
        axes.tick_params(colors=INK, length=0, labelsize=8.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["bottom", "left"]].set_color(GRID)
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
    return all_axes


def png(fig: Figure) -> bytes:
    """Saves the figure as a PNG file in memory."""
    file = io.BytesIO()
    fig.savefig(file, format="png", dpi=_DPI, bbox_inches="tight", pad_inches=0.1)
    return file.getvalue()
