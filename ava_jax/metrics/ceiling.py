"""The highest AP that scores can give on the boxes that were detected.

A label is reached if some detected box can be true for it: of all boxes with this
action in its frame it is the one with the highest IoU with that box, at least the
threshold. Every box of the detections counts, whatever actions it was given.
With score 1 for one such box of each reached label and no other detections,
precision is 1 up to that recall, so the ceiling of an action is the share of its
labels that are reached. No scores give more, since a detection can be true for no
other label than these. So `ceiling - AP` is lost to the scores and `1 - ceiling`
to missing boxes. A cap on the detections of a frame lowers no ceiling, unless a frame
has more labels than the cap.
"""

import dataclasses
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
) -> np.ndarray:
    """Which of the counted labels are reached.

    Args:
      truth: the ground truth.
      found: the boxes of the detections.
      ranking: names the protocol and the actions.
      excluded_frames: nothing is reached there.

    Returns:
      (L,) bool, for each of `truth.row`.
    """
    classes = len(ranking.class_ids)
    frame = truth.boxes.frame[truth.row].astype(np.int64)
    frame, index = np.divmod(np.unique(frame * classes + truth.index), max(classes, 1))
    # Every detected box, as a detection of every action of its frame.
    person, action = pairs_of_a_frame(found.frame, frame)
    every = ava_map.Boxes(
        found.frame[person],
        found.box[person],
        ranking.class_ids[index[action]],
        np.ones(len(person)),
    )
    matching = ava_map.Matching(
        truth.boxes, every, ranking.class_ids, excluded_frames=excluded_frames
    )
    # The oracle gives no other detections than the true ones, so nothing is cut off.
    oracle = matching.rank(dataclasses.replace(ranking.protocol, max_per_frame=None))
    hit = np.zeros(len(truth.boxes.frame), bool)
    hit[oracle.taken[oracle.taken >= 0]] = True
    return hit[truth.row]


def ceilings(
    ranking: Ranking, truth: Truth, reached: np.ndarray
) -> dict[int, float | None]:
    """Ceiling of each action by id; None where the protocol does not average it."""
    count = np.bincount(truth.index[reached], minlength=len(ranking.class_ids))
    return {
        label: float(count[i] / ranking.labels[i]) if ranking.is_averaged(i) else None
        for i, label in enumerate(ranking.class_ids.tolist())
    }
