"""Charts of an evaluation and of a training run, as PNG files in memory."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes

from ava_jax.report import figures, style

_WIDTH = 6.4  # inches; narrow enough to be read on a phone
_PANEL_SIZE = (4.8, 2.4)  # inches, of each training curve
_SAME = 5e-4  # AP; a smaller difference is not visible in a chart
_SMOOTH_FROM = 60  # points; shorter curves are shown as they are

# Plots of the training curves: first part of the history's keys, title, and
# whether the values are between 0 and 1.
_PANELS = (
    ("loss", "loss", False),
    ("lr", "learning rate", False),
    ("mAP", "mAP", True),
    ("recall", "recall", True),
    ("prec", "precision", True),
)
# Line styles of curves in one plot; the next one is used when the colours run out.
_LINES = ("-", "--", ":")
# Right ends of the columns next to the bars, in widths of the plot.
_AP_COLUMN = 1.12
_LABELS_COLUMN = 1.28

_BAR = style.hex_color(style.SKY_BLUE)
# Marks, lines and colours of the protocols beside the main one, in turn.
_OTHERS = (
    ("D", "--", style.hex_color(style.VERMILION)),
    ("s", ":", style.hex_color(style.PURPLE)),
    ("^", "-.", style.hex_color(style.GREEN)),
)


def per_class_ap(metrics: Mapping[str, Any]) -> bytes:
    """Bars of the AP of every class, the best first, with its number of labels.

    The bars show the main protocol. A mark shows the AP under another protocol if it
    differs. Classes without ground truth come last, without a bar.

    Args:
      metrics: the contents of `metrics.json`.

    Returns:
      A PNG file.
    """
    main = metrics["protocol"]
    others = [name for name in metrics["protocols"] if name != main]
    classes = ordered_classes(metrics)
    aps = [metrics["per_class"].get(c) for c in classes]
    fig = figures.figure(_WIDTH, 1.0 + 0.21 * max(len(classes), 3))
    axes = figures.plots(fig, 1, 1)[0]
    axes.barh(range(len(classes)), [ap or 0 for ap in aps], color=_BAR, height=0.72)
    for other, look in zip(others, itertools.cycle(_OTHERS)):
        _draw_other_protocol(axes, metrics, other, classes, look)
    _draw_mean(axes, metrics["mAP"], main, "-", figures.INK)
    _write_columns(axes, metrics, classes)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(classes) - 0.4, -0.6)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("AP at IoU 0.5")
    if axes.get_legend_handles_labels()[1]:
        fig.legend(loc="outside upper left", ncols=2, **figures.LEGEND)
    return figures.png(fig)


def training_curves(history: Sequence[Mapping[str, float]]) -> bytes | None:
    """Loss, learning rate, mAP, recall and precision over the training steps.

    Args:
      history: dicts with 'step' and any of 'loss', 'lr', 'mAP', 'recall@...' and
        'prec@...'; 'loss/NAME' is a curve with the label NAME; other keys are not
        drawn. If two dicts have the same step and key (after a resume), the later
        one counts.

    Returns:
      A PNG file, or None if there is nothing to draw.
    """
    panels = _panels(history)
    if not panels:
        return None
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)  # rounded up
    fig = figures.figure(columns * _PANEL_SIZE[0], rows * _PANEL_SIZE[1])
    all_axes = figures.plots(fig, rows, columns)
    for axes, panel in zip(all_axes, panels, strict=False):
        _draw_panel(axes, panel)
    for axes in all_axes[len(panels) :]:
        axes.remove()
    return figures.png(fig)


def compare_runs(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> bytes | None:
    """Loss and mAP of several trainings, a curve for each.

    Args:
      runs: name -> history, in the form that `training_curves` takes.

    Returns:
      A PNG file, or None if there is nothing to draw.
    """
    records = [record for history in runs.values() for record in history]
    keys = [key for key in ("loss", "mAP") if any(key in r for r in records)]
    merged = []
    for name, history in runs.items():
        # An invisible point in every plot, so that a run without this value still takes
        # its colour there and has the same one in all plots.
        nothing = {f"{key}/{name}": math.nan for key in keys}
        merged += [{"step": record["step"]} | nothing for record in history[:1]]
        for record in history:
            own = {f"{key}/{name}": record[key] for key in keys if key in record}
            merged.append({"step": record["step"]} | own)
    return training_curves(merged)


def training_panels(history: Sequence[Mapping[str, float]]) -> list[tuple[str, bytes]]:
    """The plots of `training_curves`: title and PNG file of each."""
    pictures = []
    for panel in _panels(history):
        fig = figures.figure(*_PANEL_SIZE)
        _draw_panel(figures.plots(fig, 1, 1)[0], panel)
        pictures.append((panel.label, figures.png(fig)))
    return pictures


def ordered_classes(metrics: Mapping[str, Any]) -> list[str]:
    """Class ids by AP, the best first; those without AP last, by id."""
    aps = metrics["per_class"]
    ids = sorted({*metrics["class_names"], *aps}, key=int)
    return sorted(ids, key=lambda c: math.inf if aps.get(c) is None else -aps[c])


def class_label(metrics: Mapping[str, Any], class_id: str) -> str:
    """The name of an action, on one short line."""
    name = metrics["class_names"].get(class_id, f"class {class_id}")
    name = style.short_action(" ".join(name.split()))
    return name if len(name) <= 28 else name[:27] + "…"


def _write_columns(
    axes: Axes, metrics: Mapping[str, Any], classes: Sequence[str]
) -> None:
    """Names left of the bars; AP and number of labels in columns right of them."""
    axes.set_yticks(range(len(classes)), [class_label(metrics, c) for c in classes])
    for tick in axes.get_yticklabels():
        tick.set_parse_math(False)  # a name may contain a dollar sign
    across = axes.get_yaxis_transform()
    style_of = {"color": figures.INK, "fontsize": 8.5, "va": "center"}

    def write(x: float, row: float, text: str) -> None:
        axes.text(x, row, text, ha="right", transform=across, **style_of)

    write(_AP_COLUMN, -1.1, "AP")
    write(_LABELS_COLUMN, -1.1, "labels")
    for row, class_id in enumerate(classes):
        ap = metrics["per_class"].get(class_id)
        count = metrics["counts"]["per_class"].get(class_id, {"labels": 0})
        write(_AP_COLUMN, row, "n/a" if ap is None else f"{ap:.3f}")
        write(_LABELS_COLUMN, row, f"{count['labels']:,}")
        if ap is None:
            reason = "no detection" if count["labels"] else "no ground truth"
            paper = {"facecolor": figures.PAPER, "edgecolor": "none", "pad": 1}
            axes.text(0.01, row, reason, bbox=paper, **style_of)


def _draw_other_protocol(
    axes: Axes,
    metrics: Mapping[str, Any],
    other: str,
    classes: Sequence[str],
    look: tuple[str, str, str],
) -> None:
    result = metrics["protocols"][other]
    mark, line, color = look
    points = [
        (result["per_class"][c], row)
        for row, c in enumerate(classes)
        if _differ(result["per_class"].get(c), metrics["per_class"].get(c))
    ]
    if points:
        x, y = zip(*points, strict=True)
        axes.plot(x, y, mark, color=color, markersize=4.5, label=f"AP, {other}")
    if _differ(result["mAP"], metrics["mAP"]):
        _draw_mean(axes, result["mAP"], other, line, color)


def _differ(a: float | None, b: float | None) -> bool:
    """Whether `a` exists and visibly differs from `b`."""
    return a is not None and (b is None or abs(a - b) > _SAME)


def _draw_mean(
    axes: Axes, value: float | None, protocol: str, line: str, color: str
) -> None:
    if value is not None:
        label = f"mAP {value:.3f}, {protocol}"
        axes.axvline(value, color=color, linestyle=line, linewidth=1.2, label=label)


class _Panel(NamedTuple):
    """One plot of the training; `curves` has the (steps, values) of each curve."""

    kind: str
    label: str
    is_rate: bool  # between 0 and 1
    span: tuple[float, float]  # first and last step of the training
    curves: dict[str, tuple[np.ndarray, np.ndarray]]


def _panels(history: Sequence[Mapping[str, float]]) -> list[_Panel]:
    curves = _curves(history)
    steps = [record["step"] for record in history]
    panels = []
    for kind, label, is_rate in _PANELS:
        own = {name: curve for name, curve in curves.items() if _is_of(name, kind)}
        if own:
            span = (min(steps), max(steps))
            panels.append(_Panel(kind, label, is_rate, span, own))
    return panels


def _is_of(name: str, kind: str) -> bool:
    return name == kind or name.startswith((f"{kind}@", f"{kind}/"))


def _curves(
    history: Sequence[Mapping[str, float]],
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Steps and values of every key, sorted by step."""
    points: dict[str, dict[int, float]] = {}
    for record in history:
        for name, value in record.items():
            if name != "step" and value is not None:
                points.setdefault(name, {})[record["step"]] = value
    return {
        name: tuple(np.array(sorted(values.items()), np.float64).T)
        for name, values in points.items()
    }


def _draw_panel(axes: Axes, panel: _Panel) -> None:
    looks = itertools.cycle(itertools.product(_LINES, figures.CURVES))
    for name, (line, color) in zip(panel.curves, looks, strict=False):
        _draw_curve(axes, *panel.curves[name], name, style.hex_color(color), line)
    axes.set_title(panel.label, loc="left", fontsize=10, color=figures.INK)
    axes.set_xlabel("training step", fontsize=8.5)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(nbins=6, integer=True))
    if panel.is_rate:
        axes.set_ylim(-0.02, 1.02)
    else:
        _start_at_zero(axes, panel)
    first, last = panel.span
    margin = 0.02 * (last - first) or 1
    axes.set_xlim(first - margin, last + margin)
    if list(panel.curves) != [panel.kind]:
        axes.legend(**figures.LEGEND)


def _start_at_zero(axes: Axes, panel: _Panel) -> None:
    values = np.concatenate([values for _, values in panel.curves.values()])
    top = np.max(values, initial=0, where=np.isfinite(values))
    axes.set_ylim(0, 1.08 * top or 1)


def _draw_curve(
    axes: Axes,
    steps: np.ndarray,
    values: np.ndarray,
    name: str,
    color: str,
    line: str,
) -> None:
    kind, _, run = name.partition("/")
    label = run or name
    if kind == "loss" and len(values) >= _SMOOTH_FROM:
        axes.plot(steps, values, color=color, alpha=0.3, linewidth=0.8)
        values = _running_mean(values, len(values) // 40)
        label = f"{label}, running mean"
    marker = "o" if len(values) <= 30 else ""
    look = {"color": color, "linestyle": line, "linewidth": 1.5}
    axes.plot(steps, values, label=label, marker=marker, markersize=3, **look)


def _running_mean(values: np.ndarray, reach: int) -> np.ndarray:
    """Mean of the finite values among up to `reach` points on each side."""
    # Differences of cumulative sums: O(n) for any `reach`.
    finite = np.isfinite(values)
    total = np.concatenate([[0], np.cumsum(np.where(finite, values, 0))])
    count = np.concatenate([[0], np.cumsum(finite)])
    index = np.arange(len(values))
    low = np.maximum(index - reach, 0)
    high = np.minimum(index + reach + 1, len(values))
    number = count[high] - count[low]
    mean = (total[high] - total[low]) / np.maximum(number, 1)
    return np.where(number > 0, mean, np.nan)
