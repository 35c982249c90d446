"""People in boxes: rows of the same box are one person with several actions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ava_jax.metrics import ava_map
from ava_jax.metrics.iou import iou


class People(NamedTuple):
    """Different boxes, each once, in the order of their frames.

    Attributes:
      frame: (P,) frame ids, ascending.
      box: (P, 4) float64.
      of_row: (R,) index of the person to whom each row belongs.
    """

    frame: np.ndarray
    box: np.ndarray
    of_row: np.ndarray


class Truth(NamedTuple):
    """Ground truth as one protocol counts it.

    Attributes:
      boxes: all rows.
      people: of all rows, those of actions that are not scored among them.
      row: (L,) the rows that count.
      index: (L,) index of their actions in the ranking's `class_ids`.
    """

    boxes: ava_map.Boxes
    people: People
    row: np.ndarray
    index: np.ndarray

    @property
    def person(self) -> np.ndarray:
        """(L,) index of the person to whom each counted row belongs."""
        return self.people.of_row[self.row]

    @classmethod
    def make(
        cls,
        boxes: ava_map.Boxes,
        ranking: ava_map.Ranking,
        excluded_frames: Sequence[int],
    ) -> "Truth":
        """The ground truth that `ranking` was judged by."""
        index = ava_map.class_index(boxes.label, ranking.class_ids)
        counted = index < len(ranking.class_ids)
        if not ranking.protocol.counts_excluded:
            counted &= ~np.isin(boxes.frame, excluded_frames)
        row = np.flatnonzero(counted)
        return cls(boxes, distinct(boxes), row, index[row].astype(np.int64))


def distinct(boxes: ava_map.Boxes) -> People:
    """The different boxes of each frame."""
    columns = [np.asarray(boxes.frame), *np.asarray(boxes.box, np.float64).T]
    # Files are mostly grouped by box: sort the runs of rows, not the rows.
    starts = np.flatnonzero(_changes(columns))
    columns = [column[starts] for column in columns]
    order = np.lexsort(columns[::-1])
    first = _changes([column[order] for column in columns])
    number = np.empty(len(starts), np.int64)
    number[order] = np.cumsum(first) - 1
    kept = order[first]
    return People(
        frame=columns[0][kept],
        box=np.stack(columns[1:], axis=1)[kept],
        of_row=np.repeat(number, np.diff(np.append(starts, len(boxes.frame)))),
    )


def _changes(columns: list[np.ndarray]) -> np.ndarray:
    """(R,) whether a row differs from the one before it in any column."""
    changes = np.ones(len(columns[0]), bool)
    changes[1:] = np.any([c[1:] != c[:-1] for c in columns], axis=0)
    return changes


def pair(detected: People, truth: People) -> np.ndarray:
    """Pairs detected with true people of the same frame, one to one.

    A detected box stands for the true person with whom its IoU is highest, if it
    is at least the metric's threshold; of several boxes that stand for one person, the
    one of highest IoU is paired.

    Args:
      detected: P people.
      truth: G people.

    Returns:
      (P,) index of the true person, -1 where there is none.
    """
    owner, target = pairs_of_a_frame(detected.frame, truth.frame)
    overlap = iou(detected.box[owner], truth.box[target])
    near = overlap >= ava_map.IOU_THRESHOLD
    owner, target, overlap = owner[near], target[near], overlap[near]
    best = _best_of_each(owner, overlap)  # the true person of each box
    owner, target, overlap = owner[best], target[best], overlap[best]
    best = _best_of_each(target, overlap)  # the box of each true person
    partner = np.full(len(detected.frame), -1)
    partner[owner[best]] = target[best]
    return partner


def nearest(truth: People, frame: int, box: np.ndarray) -> int | None:
    """Index of the person of the frame with the highest IoU with the box (4,).

    None if it is below the metric's threshold.
    """
    own = np.flatnonzero(truth.frame == frame)
    overlap = iou(box, truth.box[own])
    if not (overlap >= ava_map.IOU_THRESHOLD).any():
        return None
    return int(own[np.nanargmax(overlap)])


def pairs_of_a_frame(
    frame: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of all pairs that share a frame; `other` is ascending."""
    begin = np.searchsorted(other, frame, "left")
    count = np.searchsorted(other, frame, "right") - begin
    first = np.repeat(np.arange(len(frame)), count)
    within = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    return first, begin[first] + within


def _best_of_each(group: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    """Index of the highest IoU in each group, the first of equal ones."""
    order = np.lexsort((-overlap, group))
    return order[_changes([group[order]])]
