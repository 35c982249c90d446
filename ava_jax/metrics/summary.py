"""What an evaluation gives, as one dict for JSON: protocols, groups, counts."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ava_jax.metrics import ava_map
from ava_jax.metrics.ava_map import Boxes, Result
from ava_jax.metrics.protocols import DEFAULT, PROTOCOLS, check_protocols

# Of a mAP; papers give it to a tenth of a percent.
_WIDE = 5e-4


def summarise(
    ground_truth: Boxes,
    detections: Boxes,
    class_names: Mapping[int, str],
    *,
    groups: Mapping[str, Collection[int]] | None = None,
    keyframes: Sequence[int] = (),
    excluded_frames: Sequence[int] = (),
    protocol: str = DEFAULT,
) -> dict[str, Any]:
    """All protocols and what they were computed from, ready for JSON.

    Args:
      ground_truth: as `ava_map.evaluate` takes it.
      detections: as `ava_map.evaluate` takes it.
      class_names: names of the actions to score, by action id.
      groups: action ids by the name of their group.
      keyframes: ids of annotated frames besides those of `ground_truth` (the
        ones annotated as having no box).
      excluded_frames: ids of frames to leave out on both sides.
      protocol: whose numbers stand in `mAP`, `per_class` and the like.

    Returns:
      {"protocol", "mAP", "per_class": {id: AP or None}, "groups": {name: mean AP or
      None}, "rules": {rule: what it is, in words}, "mAP_range", "per_class_ranges",
      "protocols": {name: the same from "mAP" to here}, "ties", "class_names",
      "counts"}; ids are text, as JSON has it. A range is [lowest, highest] that the
      order of equal scores can give; "ties" is a text about the ranges if one of a
      mAP is wide enough to matter, else None. Groups without a scored action are
      left out. Of the counts, `excluded_keyframes` are the annotated ones among the
      excluded frames; all others leave excluded frames out; detections are those of
      all frames.
    """
    check_protocols([protocol])
    class_ids = sorted(class_names)
    rankings = ava_map.rank(
        ground_truth,
        detections,
        class_ids,
        excluded_frames=excluded_frames,
        keyframes=keyframes,
    )
    results = {name: ava_map.average(ranking) for name, ranking in rankings.items()}
    protocols = {
        name: {
            "mAP": result.mean,
            "per_class": _by_text(result.average_precision),
            "groups": _group_means(result.average_precision, groups or {}),
            "rules": PROTOCOLS[name].rules(),
            "mAP_range": _ends(result.mean_range),
            "per_class_ranges": _by_text(
                {label: _ends(ends) for label, ends in result.ranges.items()}
            ),
        }
        for name, result in results.items()
    }
    return {
        "protocol": protocol,
        **protocols[protocol],
        "ties": _ties(protocols),
        "protocols": protocols,
        "class_names": {str(label): class_names[label] for label in class_ids},
        "counts": _counts(
            ground_truth, results["pyslowfast"], keyframes, excluded_frames
        ),
    }


def _ties(protocols: Mapping[str, Mapping[str, Any]]) -> str | None:
    """What equal scores leave open, why, and what to do; None if it is too little."""
    ranges = {name: result["mAP_range"] for name, result in protocols.items()}
    wide = [
        f"{ends[0]:.4f} to {ends[1]:.4f} by {name}"
        for name, ends in ranges.items()
        if ends is not None and ends[1] - ends[0] > _WIDE
    ]
    if not wide:
        return None
    return (
        f"Equal scores leave the mAP open: {', '.join(wide)}, depending on the order "
        "of the rows. The number that is given takes equal scores in the order of "
        "their rows; the reference scripts leave their order to a sort. Scores that "
        "were rounded are equal; write them with all their digits."
    )


def _by_text(values: Mapping[int, Any]) -> dict[str, Any]:
    return {str(label): value for label, value in values.items()}


def _ends(ends: ava_map.Range | None) -> list[float] | None:
    return None if ends is None else list(ends)


def _group_means(
    average_precision: Mapping[int, float | None],
    groups: Mapping[str, Collection[int]],
) -> dict[str, float | None]:
    """Mean AP of each group that has a scored action; None where none is averaged."""
    means = {}
    for name, members in groups.items():
        scored = [average_precision[i] for i in members if i in average_precision]
        averaged = [value for value in scored if value is not None]
        if scored:
            means[name] = float(np.mean(averaged)) if averaged else None
    return means


def _counts(
    ground_truth: Boxes,
    result: Result,
    keyframes: Sequence[int],
    excluded_frames: Sequence[int],
) -> dict[str, Any]:
    annotated = np.union1d(ground_truth.frame, np.asarray(keyframes, np.int64))
    excluded = np.isin(annotated, excluded_frames)
    rows = ~np.isin(ground_truth.frame, annotated[excluded])
    columns = np.column_stack([ground_truth.frame[rows], ground_truth.box[rows]])
    return {
        "keyframes": int((~excluded).sum()),
        "excluded_keyframes": int(excluded.sum()),
        "ground_truth_boxes": len(np.unique(columns, axis=0)),
        "ground_truth_labels": sum(result.labels.values()),
        "detections": sum(result.detections.values()),
        "per_class": {
            str(label): {
                "labels": result.labels[label],
                "detections": result.detections[label],
            }
            for label in result.labels
        },
    }
