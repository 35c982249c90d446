"""Formats scores and comparisons: tables, a line for the log, scalars for curves."""

from collections.abc import Mapping
from typing import Any


def score_text(metrics: dict) -> str:
    """A table of the APs of all actions under all protocols, then of the means.

    If the order of equal scores matters, the ranges under the main protocol are beside
    them.

    Args:
      metrics: result of `scoring.score_tables`.
    """
    counts, names = metrics["counts"], metrics["class_names"]
    protocols = metrics["protocols"].values()
    means = {group: f"mAP, {group}" for group in metrics["groups"]}
    width = max(map(len, [*names.values(), *means.values()]))
    headings = "".join(f"{name:>13}" for name in metrics["protocols"])
    lines = [f"{'id':>4}  {'action':<{width}}{'labels':>9}{'detections':>12}{headings}"]

    ranges = metrics["per_class_ranges"] if metrics["ties"] else {}
    if ranges:
        lines[0] += f"{'equal scores':>20}"

    def add(key, name, labels, detections, values, ends=None):
        cells = "".join(map(_cell, values))
        if ends:
            cells += f"{ends[0]:>10.4f} to {ends[1]:.4f}"
        lines.append(f"{key:>4}  {name:<{width}}{labels:>9}{detections:>12}{cells}")

    for key, name in names.items():
        values = [protocol["per_class"][key] for protocol in protocols]
        count = counts["per_class"][key]
        numbers = count["labels"], count["detections"]
        add(key, name, *numbers, values, ranges.get(key))
    for group, title in means.items():
        values = [protocol["groups"][group] for protocol in protocols]
        add("", title, "", "", values)
    total = counts["ground_truth_labels"], counts["detections"]
    ends = metrics["mAP_range"] if ranges else None
    add("", "mAP", *total, [protocol["mAP"] for protocol in protocols], ends)
    lines.append(
        f"{counts['keyframes']:,} key frames, {counts['ground_truth_boxes']:,} boxes; "
        f"{counts['excluded_keyframes']:,} annotated key frames excluded; n/a: not "
        "averaged (no ground truth; mmaction2: or no detection)"
    )
    if metrics["ties"]:
        lines.append(metrics["ties"])
    return "\n".join(lines)


def tube_score_text(metrics: dict) -> str:
    """A table of the APs of boxes and tubes of all actions, then of the means.

    Args:
      metrics: result of `scoring.score_tubes`.
    """
    counts, rows = metrics["counts"], metrics["per_class"]
    ious = list(metrics["video_mAP"])
    width = max(map(len, ["mAP", "action", *(row["name"] for row in rows.values())]))
    headings = "".join(f"{f'video@{iou}':>17}" for iou in ious)
    lines = [f"{'id':>4}  {'action':<{width}}{'tubes':>7}{'frame@0.5':>13}{headings}"]

    def add(key, name, tubes, frame, video):
        cells = "".join(f"{_number(video[iou], '.4f'):>17}" for iou in ious)
        lines.append(f"{key:>4}  {name:<{width}}{tubes:>7}{_cell(frame)}{cells}")

    for key, row in rows.items():
        add(key, row["name"], row["tubes"], row["frame_AP"], row["video_AP"])
    total = counts["ground_truth_tubes"]
    add("", "mAP", total, metrics["frame_mAP"], metrics["video_mAP"])
    lines.append(
        f"{counts['videos']:,} videos, {counts['detections']:,} detections, "
        f"{counts['linked_tubes']:,} linked tubes; actions without ground truth are "
        "not averaged"
    )
    rules = "; ".join(metrics["rules"].values())
    lines.append(
        f"{metrics['protocol']}, --link-scores {metrics['link_scores']}: {rules}"
    )
    return "\n".join(lines)


def interval_text(interval: dict) -> str:
    """One line: the mAP with its bootstrap interval.

    Args:
      interval: result of `scoring.mean_interval`.
    """
    if interval["low"] is None:
        return "No interval of the mAP: it has no value."
    if interval["videos"] < 2:
        return "No interval of the mAP: it would need more than one video."
    return (
        f"mAP {interval['mAP']:.4f} ({interval['protocol']}), 95 % interval "
        f"{interval['low']:.4f} to {interval['high']:.4f}: bootstrap over "
        f"{interval['videos']} videos, {interval['resamples']} draws"
    )


def comparison_text(comparison: dict, class_names: Mapping[int, str]) -> str:
    """A table of the differences of all actions, then of the mean.

    Args:
      comparison: result of `scoring.compare_tables`.
      class_names: names of the actions by id.
    """
    width = max(map(len, class_names.values()))
    lines = [f"{'id':>4}  {'action':<{width}}{'difference':>13}{'95 % interval':>20}"]
    rows = [(k, class_names[int(k)], v) for k, v in comparison["per_class"].items()]
    for key, name, entry in [*rows, ("", "mAP", comparison["mAP"])]:
        text = f"{key:>4}  {name:<{width}}{_cell(entry['difference'], '+.4f')}"
        if entry["low"] is not None:
            text += f"{entry['low']:>+12.4f} {entry['high']:>+.4f}"
        lines.append(text)
    lines.append(
        f"{comparison['protocol']}, {comparison['resamples']} draws of the videos, and "
        "of the runs of a side with several; an "
        "interval that contains 0 does not show which is better"
    )
    return "\n".join(lines)


def _cell(value: float | None, style: str = ".4f") -> str:
    return f"{'n/a' if value is None else format(value, style):>13}"


def scalars(metrics: dict[str, Any]) -> dict[str, float]:
    """The scalars of a `metrics.json` for TensorBoard: mAP by protocol and group.

    Names of estimates on a subset end in '/estimate', so that they get curves of their
    own.
    """
    values = {"mAP": metrics["mAP"]}
    for name, protocol in metrics["protocols"].items():
        values[f"mAP_{name}"] = protocol["mAP"]
    for name, mean in metrics["groups"].items():
        values[f"mAP_{name}"] = mean
    kind = "/estimate" if "stride_seconds" in metrics else ""
    return {name + kind: v for name, v in values.items() if v is not None}


def headline(metrics: dict[str, Any]) -> str:
    """'mAP 0.8123 by pyslowfast (stand 0.910); pose 0.900' of a `metrics.json`."""
    names = metrics["class_names"]
    values = metrics["per_class"].items()
    classes = ", ".join(f"{names[i]} {ap:.3f}" for i, ap in values if ap is not None)
    if "stride_seconds" in metrics:
        classes = f"estimated from every {metrics['stride_seconds']} s: {classes}"
    groups = [f"{name} {_number(mean)}" for name, mean in metrics["groups"].items()]
    mean = f"mAP {_number(metrics['mAP'], '.4f')} by {protocol_name(metrics)}"
    parts = [f"{mean} ({classes})", ", ".join(groups), _tubes(metrics.get("tubes"))]
    return "; ".join(filter(None, parts))


def _tubes(metrics: Mapping[str, Any] | None) -> str:
    """'frame-mAP 0.5000, video-mAP 0.3000 at 0.20, ...'; '' without tubes."""
    if metrics is None:
        return ""
    video = ", ".join(
        f"{_number(value)} at {iou}" for iou, value in metrics["video_mAP"].items()
    )
    return f"frame-mAP {_number(metrics['frame_mAP'], '.4f')}, video-mAP {video}"


def protocol_name(metrics: Mapping[str, Any]) -> str:
    """The name that the protocol of the mAP has now."""
    # Files without `rules` are older than the rules of the challenge's present script.
    if "rules" not in metrics and metrics["protocol"] == "activitynet":
        return "pyslowfast"
    return metrics["protocol"]


def _number(value: float | None, style: str = ".3f") -> str:
    return "n/a" if value is None else format(value, style)
