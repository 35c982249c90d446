"""The results of an evaluation as one dict for JSON."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ava_jax.metrics import ava_map
from ava_jax.metrics.ava_map import Boxes, Result


def summarise(
    ground_truth: Boxes,
    detections: Boxes,
    class_names: Mapping[int, str],
    *,
    groups: Mapping[str, Collection[int]] | None = None,
    keyframes: Sequence[int] = (),
    excluded_frames: Sequence[int] = (),
    protocol: str = "activitynet",
    max_per_frame: int | None = None,
    iou_threshold: float = 0.5,
) -> dict[str, Any]:
    """Scores detections under both protocols.

    Args:
      ground_truth: one row for each action of each box.
      detections: one row for each action of each box, with scores.
      class_names: names of the actions to score, by action id.
      groups: action ids of each group of actions, by the name of the group.
      keyframes: ids of annotated frames without boxes; those of `ground_truth` may be
        among them.
      excluded_frames: ids of frames whose detections and ground truth do not count.
      protocol: protocol of `mAP`, `per_class` and `groups` in the result.
      max_per_frame: number of highest-scored detections to keep in a frame.
      iou_threshold: smallest IoU of a true positive.

    Returns:
      {"protocol", "mAP", "per_class": {id: AP or None}, "groups": {name: mean AP or
      None}, "protocols": {name: {"mAP", "per_class", "groups"}}, "class_names",
      "counts"}. Ids are strings, as JSON requires. Groups without a scored action are
      left out. `excluded_keyframes` counts the annotated frames that are excluded; all
      other counts are without excluded frames.
    """
    ava_map.check_protocols([protocol])
    class_ids = sorted(class_names)
    rankings = ava_map.rank(
        ground_truth,
        detections,
        class_ids,
        excluded_frames=excluded_frames,
        max_per_frame=max_per_frame,
        iou_threshold=iou_threshold,
    )
    results = {name: ava_map.average(ranking) for name, ranking in rankings.items()}
    protocols = {
        name: {
            "mAP": result.mean,
            "per_class": {str(k): v for k, v in result.average_precision.items()},
            "groups": _group_means(result.average_precision, groups or {}),
        }
        for name, result in results.items()
    }
    return {
        "protocol": protocol,
        **protocols[protocol],
        "protocols": protocols,
        "class_names": {str(label): class_names[label] for label in class_ids},
        "counts": _counts(
            ground_truth, results["activitynet"], keyframes, excluded_frames
        ),
    }


def _group_means(
    average_precision: Mapping[int, float | None],
    groups: Mapping[str, Collection[int]],
) -> dict[str, float | None]:
    """Mean AP of each group with scored actions; None if none of them has an AP."""
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
    # A box has one row for each of its actions; it counts once.
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
