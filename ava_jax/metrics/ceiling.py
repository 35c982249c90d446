"""The highest AP that any scores can give with the detected boxes.

A label is reached if some detected box can be a true positive for it: among all true
boxes of this action in the frame, its box has the highest IoU with the detected box,
and that IoU reaches the threshold. Every detected box is tried with every action,
whatever its own detections are.

The ceiling of an action is the share of its labels that are reached. Scores can attain
it: with one such detection for each reached label and no others, precision is 1 up to
this recall. No scores can exceed it, because no detection can be true for another
label. So `ceiling - AP` is lost to the scores, and `1 - ceiling` to missing boxes.
"""

from collections.abc import Sequence

import numpy as np

from ava_jax.metrics import ava_map
from ava_jax.metrics.ava_map import Ranking
from ava_jax.metrics.person_boxes import People, Truth, pairs_of_a_frame


def reached_labels(
    truth: Truth,
    found: People,
    ranking: Ranking,
    *,
    excluded_frames: Sequence[int] = (),
    iou_threshold: float = 0.5,
) -> np.ndarray:
    """Finds the labels that some detected box can reach.

    Args:
      truth: the ground truth.
      found: the distinct boxes of the detections.
      ranking: gives the protocol and the actions.
      excluded_frames: ids of frames where no label is reached.
      iou_threshold: the threshold of the metric.

    Returns:
      (L,) bool, for each of `truth.row`.
    """
    classes = len(ranking.class_ids)
    # The distinct pairs of a frame and an action, each as one number for np.unique.
    frame = truth.boxes.frame[truth.row].astype(np.int64)
    frame, index = np.divmod(np.unique(frame * classes + truth.index), max(classes, 1))
    # Every detected box becomes a detection of every true action in its frame. The
    # evaluator then matches them. All scores are equal: their order does not change
    # which labels are matched.
    person, action = pairs_of_a_frame(found.frame, frame)
    every = ava_map.Boxes(
        found.frame[person],
        found.box[person],
        ranking.class_ids[index[action]],
        np.ones(len(person)),
    )
    oracle = ava_map.rank(
        truth.boxes,
        every,
        ranking.class_ids,
        excluded_frames=excluded_frames,
        protocols=(ranking.protocol,),
        iou_threshold=iou_threshold,
    )[ranking.protocol]
    hit = np.zeros(len(truth.boxes.frame), bool)
    hit[oracle.taken[oracle.taken >= 0]] = True
    return hit[truth.row]


def ceilings(
    ranking: Ranking, truth: Truth, reached: np.ndarray
) -> dict[int, float | None]:
    """Ceiling of each action, by id; None if the mean does not include the action."""
    count = np.bincount(truth.index[reached], minlength=len(ranking.class_ids))
    return {
        label: float(count[i] / ranking.labels[i]) if ranking.is_averaged(i) else None
        for i, label in enumerate(ranking.class_ids.tolist())
    }
