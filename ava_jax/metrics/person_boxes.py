"""People of a table of boxes: rows with the same box are one person."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ava_jax.metrics import ava_map
from ava_jax.metrics.iou import iou


class People(NamedTuple):
    """The distinct boxes of a table, sorted by frame.

    Attributes:
      frame: (P,) frame ids, ascending.
      box: (P, 4) float64.
      of_row: (R,) index of the person of each row of the table.
    """

    frame: np.ndarray
    box: np.ndarray
    of_row: np.ndarray


class Truth(NamedTuple):
    """Ground truth as one protocol counts it.

    Attributes:
      boxes: all rows.
      people: the people of all rows, also of actions that are not scored.
      row: (L,) the rows that count.
      index: (L,) index of their actions in `class_ids` of the ranking.
    """

    boxes: ava_map.Boxes
    people: People
    row: np.ndarray
    index: np.ndarray

    @property
    def person(self) -> np.ndarray:
        """(L,) index of the person of each row that counts."""
        return self.people.of_row[self.row]

    @classmethod
    def make(
        cls,
        boxes: ava_map.Boxes,
        ranking: ava_map.Ranking,
        excluded_frames: Sequence[int],
    ) -> "Truth":
        """The ground truth as the protocol of `ranking` counts it."""
        index = ava_map.class_index(boxes.label, ranking.class_ids)
        counted = index < len(ranking.class_ids)
        if ranking.protocol == "activitynet":
            counted &= ~np.isin(boxes.frame, excluded_frames)
        row = np.flatnonzero(counted)
        return cls(boxes, distinct(boxes), row, index[row].astype(np.int64))


def distinct(boxes: ava_map.Boxes) -> People:
    """Finds the distinct boxes of each frame."""
    columns = [np.asarray(boxes.frame), *np.asarray(boxes.box, np.float64).T]
    # The rows of a box usually follow each other, one for each action. Therefore the
    # runs of equal rows are sorted, not the rows: there are far fewer.
    starts = np.flatnonzero(_changes(columns))
    columns = [column[starts] for column in columns]
    order = np.lexsort(columns[::-1])  # the last key of lexsort is the primary one
    first = _changes([column[order] for column in columns])
    # Number of the distinct box of each run, written back to the order of the runs.
    number = np.empty(len(starts), np.int64)
    number[order] = np.cumsum(first) - 1
    kept = order[first]
    return People(
        frame=columns[0][kept],
        box=np.stack(columns[1:], axis=1)[kept],
        of_row=np.repeat(number, np.diff(np.append(starts, len(boxes.frame)))),
    )


def _changes(columns: list[np.ndarray]) -> np.ndarray:
    """(R,) whether a row differs from the previous one; True for the first."""
    changes = np.ones(len(columns[0]), bool)
    changes[1:] = np.any([c[1:] != c[:-1] for c in columns], axis=0)
    return changes


def pair(detected: People, truth: People, iou_threshold: float) -> np.ndarray:
    """Matches detected people with true people of the same frame, one to one.

    Each detected box chooses the true person of highest IoU, if that IoU reaches the
    threshold. If several boxes choose the same person, the one of highest IoU is
    matched.

    Args:
      detected: P people.
      truth: G people.
      iou_threshold: smallest IoU of a match; above 0.

    Returns:
      (P,) index of the true person, or -1.
    """
    owner, target = pairs_of_a_frame(detected.frame, truth.frame)
    overlap = iou(detected.box[owner], truth.box[target])
    near = overlap >= iou_threshold
    owner, target, overlap = owner[near], target[near], overlap[near]
    best = _best_of_each(owner, overlap)  # one true person for each box
    owner, target, overlap = owner[best], target[best], overlap[best]
    best = _best_of_each(target, overlap)  # one box for each true person
    partner = np.full(len(detected.frame), -1)
    partner[owner[best]] = target[best]
    return partner


def nearest(
    truth: People, frame: int, box: np.ndarray, iou_threshold: float
) -> int | None:
    """Index of the person whose box has the highest IoU with the box (4,).

    Returns:
      None if no IoU with a person of the frame reaches the threshold.
    """
    own = np.flatnonzero(truth.frame == frame)
    overlap = iou(box, truth.box[own])
    if not (overlap >= iou_threshold).any():
        return None
    return int(own[np.nanargmax(overlap)])


def pairs_of_a_frame(
    frame: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of entries of the same frame.

    Args:
      frame: (P,) frame ids in any order.
      other: (G,) frame ids, ascending.

    Returns:
      (N,) indices into `frame`, ascending, and (N,) indices into `other`.
    """
    # The entries of a frame are consecutive in `other`: count[i] from begin[i] on.
    begin = np.searchsorted(other, frame, "left")
    count = np.searchsorted(other, frame, "right") - begin
    first = np.repeat(np.arange(len(frame)), count)
    # Counts the pairs of each entry of `frame` from 0: the index of the pair minus the
    # number of pairs of all earlier entries.
    within = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    return first, begin[first] + within


def _best_of_each(group: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    """Index of the highest IoU in each group; of equal ones the first."""
    # By group, then by descending IoU, so the first of each group is its best.
    order = np.lexsort((-overlap, group))
    return order[_changes([group[order]])]
