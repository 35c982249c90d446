"""Charts of an analysis of detections, as PNG files in memory."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from ava_jax.metrics.analysis import Analysis
from ava_jax.report import charts, curves, figures, style

# Colours and line styles of the curves, as on the page.
_CURVES = (
    (style.BLUE, "-"),
    (style.VERMILION, "--"),
    (style.GREEN, ":"),
    (style.PURPLE, "-."),
    (style.ORANGE, "-"),
    (style.BLACK, "--"),
)
_BLUES = LinearSegmentedColormap.from_list("blues", ["#ffffff", "#0072b2"])


def precision_recall(metrics: Mapping[str, Any], analysis: Analysis) -> bytes | None:
    """Precision-recall curves of the six actions with the most labels.

    Args:
      metrics: the contents of `metrics.json`.
      analysis: the analysis under the same protocol.

    Returns:
      A PNG file, or None if no action has an AP.
    """
    ranking = analysis.ranking
    averaged = [i for i in range(len(ranking.class_ids)) if ranking.is_averaged(i)]
    averaged.sort(key=lambda i: -ranking.labels[i])
    if not averaged:
        return None
    fig = figures.figure(6.4, 4.4)
    axes = figures.plots(fig, 1, 1)[0]
    for i, (color, dashes) in zip(averaged, _CURVES, strict=False):
        curve = curves.thin(ranking.curve(i))
        name = charts.class_label(metrics, str(ranking.class_ids[i]))
        label = f"{name}, AP {ranking.average_precision(i):.3f}"
        axes.plot(
            curve.recall,
            curve.precision,
            dashes,
            color=style.hex_color(color),
            label=label,
            linewidth=1.5,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.legend(**figures.LEGEND)
    return figures.png(fig)


def confusion(metrics: Mapping[str, Any], analysis: Analysis) -> bytes | None:
    """The confusion matrix as a PNG file; None if nobody was matched."""
    shown = analysis.confusion.shown
    if not len(shown):
        return None
    labels = np.maximum(analysis.confusion.labels[shown], 1)
    shares = analysis.confusion.count[np.ix_(shown, shown)] / labels[:, None]
    ids = analysis.ranking.class_ids[shown]
    names = [charts.class_label(metrics, str(label)) for label in ids]
    size = 2.2 + 0.2 * max(len(names), 6)
    fig = figures.figure(size, size)
    axes = figures.plots(fig, 1, 1)[0]
    axes.imshow(shares, cmap=_BLUES, vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.set_yticks(range(len(names)), names)
    for tick in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        tick.set_parse_math(False)  # a name may contain a dollar sign
    if len(names) <= 12:
        _write_shares(axes, shares)
    return figures.png(fig)


def _write_shares(axes: Axes, shares: np.ndarray) -> None:
    for row, column in np.argwhere(shares >= 0.005).tolist():
        share = shares[row, column]
        ink = "white" if share > 0.5 else figures.INK
        text = f"{100 * share:.0f}"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=7)
