"""Matches detections to ground truth, and ranks those that a protocol counts.

Which box a detection aims at does not depend on the other detections: it is the
ground-truth box of its frame and action with the highest IoU. So boxes are compared
once for all protocols, which differ in what they count (and in the type of numbers).
"""

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ava_jax.metrics.iou import iou
from ava_jax.metrics.protocols import Protocol
from ava_jax.metrics.ranking import Boxes, CutTies, Ranking, offsets

IOU_THRESHOLD = 0.5  # the least of a true detection


class Matching:
    """Detections, and the ground-truth boxes that they aim at.

    Rows are ordered by action and descending score; those of equal score keep the
    order that they are given in. Excluded frames, actions that are not scored and
    inverted boxes are not among them.
    """

    def __init__(
        self,
        ground_truth: Boxes,
        detections: Boxes,
        class_ids: Sequence[int],
        *,
        excluded_frames: Sequence[int] = (),
        keyframes: Sequence[int] = (),
    ):
        """Sorts the detections; arguments as of `ava_map.evaluate`."""
        self._class_ids = np.unique(np.asarray(class_ids, np.int64))
        self._boxes = detections
        keyframes = np.asarray(keyframes, np.int64)
        frames = (ground_truth.frame, detections.frame, keyframes)
        num_frames = 1 + max(map(_highest, frames))
        excluded = np.zeros(num_frames, bool)
        ids = np.asarray(excluded_frames, np.int64)
        excluded[ids[ids < num_frames]] = True
        self._listed = np.zeros(num_frames, bool)
        self._listed[ground_truth.frame] = True
        self._listed[keyframes] = True
        self._truth = _Truth.make(ground_truth, self._class_ids, excluded)
        self._index_of_row = class_index(detections.label, self._class_ids)
        self._row, offset = self._sort(excluded)
        classes = len(self._class_ids)
        self._index = np.repeat(np.arange(classes, dtype=np.int16), np.diff(offset))
        self._frame = detections.frame[self._row]
        self._slot = self._truth.slot[self._frame]
        self._targets: dict[str, np.ndarray] = {}  # by precision

    def _sort(self, excluded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows in order, and where each action begins."""
        boxes, classes = self._boxes, len(self._class_ids)
        keep = self._index_of_row < classes
        keep &= ~excluded[boxes.frame]
        keep &= boxes.box[:, 0] <= boxes.box[:, 2]
        keep &= boxes.box[:, 1] <= boxes.box[:, 3]
        row = np.flatnonzero(keep)
        index = self._index_of_row[row]
        row = row[np.argsort(index, kind="stable")]
        offset = offsets(np.bincount(index, minlength=classes))
        descending = -np.asarray(boxes.score, np.float64)
        for start, end in itertools.pairwise(offset):
            part = row[start:end]
            row[start:end] = part[np.argsort(descending[part], kind="stable")]
        return row, offset

    def rank(self, protocol: Protocol) -> Ranking:
        """The detections that count under the protocol, ranked and judged."""
        counted = self._counted(protocol)
        ties = None
        if protocol.max_per_frame is not None:
            cap = _Cap.make(self._boxes, self._scored_rows, protocol.max_per_frame)
            ties = self._cut_ties(protocol, counted, cap)
            counted &= cap.kept[self._row]
        row, index = self._row[counted], self._index[counted]
        if ties is not None:
            ties = ties._replace(rows=ties.rows[counted])
        truth = self._truth
        return Ranking(
            protocol=protocol,
            class_ids=self._class_ids,
            row=row,
            offset=offsets(np.bincount(index, minlength=len(self._class_ids))),
            taken=truth.row_of(_first_of_each(self._target(protocol)[counted], truth)),
            score=self._boxes.score[row],
            labels=truth.all_labels if protocol.counts_excluded else truth.labels,
            cut_ties=ties,
        )

    def _counted(self, protocol: Protocol) -> np.ndarray:
        """(N,) which of the rows count, but for a cap."""
        if protocol.counted_frames == "labelled":
            counted = self._slot >= 0
        elif protocol.counted_frames == "listed":
            counted = self._listed[self._frame]
        else:
            counted = np.ones(len(self._row), bool)
        if not protocol.counts_empty:
            counted &= self._has_area
        return counted

    @functools.cached_property
    def _has_area(self) -> np.ndarray:
        # In the order of the file, which is far quicker than in that of the ranks.
        box = self._boxes.box
        return ((box[:, 0] < box[:, 2]) & (box[:, 1] < box[:, 3]))[self._row]

    @functools.cached_property
    def _scored_rows(self) -> np.ndarray:
        """Rows of the file that a cap counts: of scored actions, with any box."""
        return np.flatnonzero(self._index_of_row < len(self._class_ids))

    def _target(self, protocol: Protocol) -> np.ndarray:
        """(N,) index in the ground truth of the box that a row aims at, or -1."""
        if protocol.precision not in self._targets:
            self._targets[protocol.precision] = self._aim(np.dtype(protocol.precision))
        return self._targets[protocol.precision]

    def _aim(self, dtype: np.dtype) -> np.ndarray:
        place = np.flatnonzero(self._slot >= 0)
        group = self._slot[place].astype(np.int64) * len(self._class_ids)
        group += self._index[place]
        some = self._truth.count[group] > 0
        place, group = place[some], group[some]
        target = np.full(len(self._row), -1)
        box = self._boxes.box[self._row[place]]
        target[place] = _aims(self._truth, box, group, dtype)
        return target

    def _cut_ties(
        self, protocol: Protocol, counted: np.ndarray, cap: "_Cap"
    ) -> CutTies | None:
        """The ties at the cut; their `rows` are of all rows, not of the counted ones.

        Of a group's rows, none of which aims at a box that a row above the cut takes,
        p are true if all are kept: one for each box. Then any k of the tied rows of
        the frame may be kept, so between `least` and `most` of the group. A true
        positive never lowers an AP and a false one never raises it.
        """
        score = self._boxes.score[self._row]
        cut = cap.score[self._frame]
        contested = counted & (score == cut) & cap.is_contested[self._frame]
        if not contested.any():
            return None
        target = self._target(protocol)
        claimed = np.zeros(len(self._truth.row) + 1, bool)
        claimed[target[counted & (score > cut)]] = True
        place = np.flatnonzero(contested)
        frame = self._frame[place].astype(np.int64)
        classes = len(self._class_ids)
        keys, first, group, size = np.unique(
            frame * classes + self._index[place],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        free = (target[place] >= 0) & ~claimed[target[place]]
        _, one = np.unique(target[place][free], return_index=True)
        true = np.bincount(group[free][one], minlength=len(keys))
        frame = keys // classes
        kept, tied = cap.places[frame], cap.tied[frame]
        least, most = np.maximum(0, kept - (tied - size)), np.minimum(kept, size)
        most_true = np.minimum(kept, true)
        return CutTies(
            rows=contested,
            index=keys % classes,
            score=score[place[first]],
            most_true=most_true,
            least_false=np.maximum(0, least - most_true),
            least_true=np.maximum(0, least - (size - true)),
            most_false=np.minimum(most, size - true),
        )


class _Cap(NamedTuple):
    """The highest-scored rows of each frame.

    Attributes:
      kept: (R,) bool, the rows that are kept: of equal scores, the first ones.
      score: (F,) the lowest score that is kept; -inf where all rows are.
      places: (F,) how many rows of that score are kept.
      tied: (F,) how many rows have that score.
    """

    kept: np.ndarray
    score: np.ndarray
    places: np.ndarray
    tied: np.ndarray

    @property
    def is_contested(self) -> np.ndarray:
        """(F,) whether more rows have the lowest score than are kept."""
        return self.tied > self.places

    @classmethod
    def make(cls, boxes: Boxes, rows: np.ndarray, most: int) -> "_Cap":
        frame, score = boxes.frame[rows], boxes.score[rows]
        count = np.bincount(frame)
        cut = _lowest_kept(frame, score, count, most)
        above = score > cut[frame]
        tied = np.flatnonzero(score == cut[frame])
        tied = tied[np.argsort(frame[tied], kind="stable")]
        frame_of_tied = frame[tied]
        num_tied = np.bincount(frame_of_tied, minlength=len(count))
        places = np.where(
            count > most,
            most - np.bincount(frame[above], minlength=len(count)),
            num_tied,
        )
        # The place of each tied row among those of its frame.
        begin = np.cumsum(num_tied) - num_tied
        place = np.arange(len(tied)) - begin[frame_of_tied]
        above[tied[place < places[frame_of_tied]]] = True
        kept = np.zeros(len(boxes.frame), bool)
        kept[rows[above]] = True
        size = 1 + _highest(boxes.frame)
        return cls(kept, *(_padded(x, size) for x in (cut, places, num_tied)))


def _lowest_kept(frame, score, count: np.ndarray, most: int) -> np.ndarray:
    """(F,) the `most`-th highest score of each frame; -inf where there are fewer."""
    order = np.argsort(frame, kind="stable")
    start = np.cumsum(count) - count
    lowest = np.full(len(count), -np.inf)
    # Frames with as many rows are one matrix.
    for size in np.unique(count[count > most]).tolist():
        frames = np.flatnonzero(count == size)
        rows = score[order[start[frames][:, None] + np.arange(size)]]
        lowest[frames] = np.partition(rows, size - most, axis=1)[:, size - most]
    return lowest


def _padded(values: np.ndarray, size: int) -> np.ndarray:
    """Values of the first frames, with zeros for the others."""
    return np.pad(values, (0, size - len(values)))


def _highest(frame: np.ndarray) -> int:
    return int(frame.max()) if len(frame) else -1


def class_index(label: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """Index of each label in ascending `class_ids`; len(class_ids) for others."""
    others = len(class_ids)
    top = int(class_ids[-1]) if others else -1
    table = np.full(top + 2, others, np.int16)
    table[class_ids] = np.arange(others)
    label = np.where((label < 0) | (label > top), top + 1, label)
    return table[label]


class _Truth(NamedTuple):
    """Ground truth of the scored actions, grouped by frame and action.

    Attributes:
      row: (G,) rows given, without the excluded frames, grouped; order within a
        group is that of the rows.
      box: (G, 4) float64, their boxes.
      slot: (frames,) index of a frame among those that have boxes here, or -1.
      start, count: (slots * classes,) where a group is in `row`.
      labels: (classes,) number of rows, without the excluded frames.
      all_labels: (classes,) the same with them.
    """

    row: np.ndarray
    box: np.ndarray
    slot: np.ndarray
    start: np.ndarray
    count: np.ndarray
    labels: np.ndarray
    all_labels: np.ndarray

    @classmethod
    def make(cls, boxes: Boxes, class_ids: np.ndarray, excluded: np.ndarray):
        classes = len(class_ids)
        index = class_index(boxes.label, class_ids)
        all_labels = np.bincount(index, minlength=classes + 1)[:classes]
        rows = np.flatnonzero((index < classes) & ~excluded[boxes.frame])
        frame, index = boxes.frame[rows], index[rows]
        frames = np.unique(frame)
        slot = np.full(len(excluded), -1, np.int32)
        slot[frames] = np.arange(len(frames))
        group = slot[frame].astype(np.int64) * classes + index
        count = np.bincount(group, minlength=len(frames) * classes).astype(np.int32)
        rows = rows[np.argsort(group, kind="stable")]
        return cls(
            row=rows,
            box=np.asarray(boxes.box, np.float64)[rows],
            slot=slot,
            start=np.cumsum(count, dtype=np.int32) - count,
            count=count,
            labels=np.bincount(index, minlength=classes),
            all_labels=all_labels,
        )

    def row_of(self, target: np.ndarray) -> np.ndarray:
        """Rows given of indices in `row`; -1 stays."""
        return np.append(self.row, -1)[target]


def _aims(
    truth: _Truth, box: np.ndarray, group: np.ndarray, dtype: np.dtype
) -> np.ndarray:
    """(N,) index in `truth` of the box of highest IoU, the first of equal ones.

    -1 where that IoU is below the threshold. Each group has ground truth.
    """
    target = np.full(len(box), -1)
    if not len(box):
        return target
    # All pairs of a detection and a ground-truth box of its frame and action.
    count = truth.count[group]
    begin = np.cumsum(count) - count
    owner = np.repeat(np.arange(len(box)), count)
    other = np.arange(len(owner)) - begin[owner] + truth.start[group][owner]
    overlap = iou(box[owner].astype(dtype), truth.box[other].astype(dtype))
    best = np.maximum.reduceat(overlap, begin)
    # The first pair of each detection that attains its best; NaN never does.
    hit = np.flatnonzero((overlap == best[owner]) & (overlap >= IOU_THRESHOLD))
    # Of several values for one place the last one stays, so pairs go backwards.
    target[owner[hit[::-1]]] = other[hit[::-1]]
    return target


def _first_of_each(target: np.ndarray, truth: _Truth) -> np.ndarray:
    """`target` where a row is the first to aim at its box, which it takes; else -1."""
    place = np.flatnonzero(target >= 0)[::-1]
    taker = np.full(len(truth.row), -1)
    # Of several values for one box the last one stays, here the first row.
    taker[target[place]] = place
    taken = np.full(len(target), -1)
    boxes = np.flatnonzero(taker >= 0)
    taken[taker[boxes]] = boxes
    return taken
