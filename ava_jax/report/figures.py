"""Figures of Matplotlib in the style of the pages, light and dark."""

import io
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ava_jax.report import style

_DPI = 200


class Theme(NamedTuple):
    """Colours of a chart: of the paper, and of what is drawn on it."""

    background: str
    ink: str
    grid: str
    curves: tuple[style.Color, ...]


_BRIGHT = (style.ORANGE, style.GREEN, style.PURPLE)
LIGHT = Theme("#ffffff", "#1c1e21", "#d9dce1", (style.BLUE, *_BRIGHT))
DARK = Theme("#16181c", "#e8eaed", "#3c4048", (style.SKY_BLUE, *_BRIGHT))


def figure(width: float, height: float, theme: Theme) -> Figure:
    """An empty figure; sizes in inches."""
    return Figure((width, height), facecolor=theme.background, layout="constrained")


def plots(fig: Figure, rows: int, columns: int, theme: Theme) -> list[Axes]:
    """Plots in the common style, row by row."""
    all_axes = fig.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in all_axes:
        axes.set_facecolor(theme.background)
        axes.set_axisbelow(True)
        axes.grid(color=theme.grid, linewidth=0.6)
        axes.tick_params(colors=theme.ink, length=0, labelsize=8.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["bottom", "left"]].set_color(theme.grid)
        axes.xaxis.label.set_color(theme.ink)
        axes.yaxis.label.set_color(theme.ink)
    return all_axes


def legend_style(theme: Theme) -> dict[str, Any]:
    """Arguments of every legend."""
    return {"fontsize": 8, "frameon": False, "labelcolor": theme.ink}


def png(fig: Figure) -> bytes:
    """The figure as a PNG file."""
    file = io.BytesIO()
    fig.savefig(file, format="png", dpi=_DPI, bbox_inches="tight", pad_inches=0.1)
    return file.getvalue()
