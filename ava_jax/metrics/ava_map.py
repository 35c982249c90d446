"""AVA's mean average precision, as its two reference evaluators compute it.

A detection is a box with one action and a score. Within a frame and an action,
detections are matched in the order of descending score. Each is matched with the
ground-truth box of highest IoU; it is a true positive if that IoU is at least 0.5 and
no earlier detection was matched with the same box. Then all detections of an action
are sorted by descending score. AP is the area under the precision envelope (PASCAL VOC
2010 and later), and mAP is the mean over actions.

There are two protocols, because published numbers use both:

* `activitynet`: the challenge's evaluator (ActivityNet,
  `Evaluation/get_ava_performance.py`), whose copies PySlowFast and MMAction2
  0.x use. Detections on all frames count. An action with ground truth but
  without detections has AP 0. Boxes without area are dropped.
* `mmaction2`: MMAction2 1.x (`mmaction/evaluation/functional/ava_utils.py`).
  Only detections on frames with ground truth count. An action without such
  detections is left out of the mean. Ground truth is counted before
  frames are excluded. Boxes and scores are rounded to float32. Boxes without
  area are false positives.

Inverted boxes are dropped here under both protocols; the second evaluator crashes on
them.

Ties: detections of equal score are ordered by their rows, and a detection with the
same IoU with several boxes is matched with the first. In the references the order of
ties depends on the sort function, so their results may differ from these by as much as
a reordering of the tied rows changes them.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ava_jax.metrics.iou import iou

PROTOCOLS = ("activitynet", "mmaction2")


class Boxes(NamedTuple):
    """Boxes with one action each, as columns of equal length.

    Attributes:
      frame: (R,) int, frame ids; not negative, and small because they index a table.
      box: (R, 4) float, x1 y1 x2 y2; detections and ground truth in the same unit.
      label: (R,) int, action ids.
      score: (R,) float; None for ground truth.
    """

    frame: np.ndarray
    box: np.ndarray
    label: np.ndarray
    score: np.ndarray | None = None


class Curve(NamedTuple):
    """Precision and recall of one action at each of its true positives.

    Attributes:
      score: (K,) scores, descending.
      recall: (K,) recall of the detections down to this one.
      precision: (K,) their precision.
    """

    score: np.ndarray
    recall: np.ndarray
    precision: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Ranking:
    """The detections that count under one protocol, ranked and matched.

    Attributes:
      protocol: name of the protocol.
      class_ids: (C,) action ids, ascending.
      row: (D,) rows of the detections, sorted by action, then by descending score.
      offset: (C + 1,) start of each action in `row`.
      taken: (D,) row of the matched ground truth; -1 for a false positive.
      score: (D,) scores.
      labels: (C,) number of ground-truth rows, as the protocol counts them.
    """

    protocol: str
    class_ids: np.ndarray
    row: np.ndarray
    offset: np.ndarray
    taken: np.ndarray
    score: np.ndarray
    labels: np.ndarray

    def curve(self, index: int) -> Curve:
        """The curve of action `class_ids[index]`, which must have ground truth."""
        start, end = self.offset[index], self.offset[index + 1]
        rank = np.flatnonzero(self.taken[start:end] >= 0)
        found = np.arange(1, len(rank) + 1)
        return Curve(
            score=self.score[start + rank],
            recall=found / self.labels[index],
            precision=found / (rank + 1),
        )

    def average_precision(self, index: int) -> float:
        """AP of action `class_ids[index]`, which must have ground truth."""
        # Recall rises by 1 / labels at each true positive, so the area under the
        # envelope is its sum over true positives, divided by labels. The envelope at
        # a recall is the highest precision at this or a higher recall: a running
        # maximum from the end. The sum does not depend on its order.
        precision = self.curve(index).precision
        envelope = np.maximum.accumulate(precision[::-1])
        return float(envelope.sum() / self.labels[index])

    @property
    def class_index(self) -> np.ndarray:
        """(D,) index in `class_ids` of each detection's action."""
        return np.repeat(np.arange(len(self.class_ids)), np.diff(self.offset))

    def part(self, keep: np.ndarray, labels: np.ndarray) -> "Ranking":
        """The ranking of some of the detections, with other ground-truth counts.

        Args:
          keep: (D,) bool, the detections to keep.
          labels: (C,) number of ground-truth rows of each action.
        """
        count = np.bincount(self.class_index[keep], minlength=len(self.class_ids))
        return dataclasses.replace(
            self,
            row=self.row[keep],
            offset=_offsets(count),
            taken=self.taken[keep],
            score=self.score[keep],
            labels=labels,
        )

    def is_averaged(self, index: int) -> bool:
        """Whether the mean of the protocol includes action `class_ids[index]`."""
        detected = self.offset[index + 1] > self.offset[index]
        return self.labels[index] > 0 and (detected or self.protocol != "mmaction2")


@dataclasses.dataclass(frozen=True)
class Result:
    """Average precision under one protocol.

    Attributes:
      protocol: name of the protocol.
      mean: mAP; None if it includes no action.
      average_precision: AP by action id; None if the mean does not include it.
      labels: number of ground-truth rows by action id, as the protocol counts them.
      detections: number of detections that the protocol counts, by action id.
    """

    protocol: str
    mean: float | None
    average_precision: dict[int, float | None]
    labels: dict[int, int]
    detections: dict[int, int]


def evaluate(
    ground_truth: Boxes,
    detections: Boxes,
    class_ids: Sequence[int],
    *,
    excluded_frames: Sequence[int] = (),
    protocol: str = "activitynet",
    max_per_frame: int | None = None,
    iou_threshold: float = 0.5,
) -> Result:
    """AP of each action and their mean under one protocol.

    Args:
      ground_truth: one row for each action of each box.
      detections: one row for each action of each box, with scores.
      class_ids: the actions to score, from 1; rows with other actions are ignored.
      excluded_frames: ids of frames whose detections and ground truth do not count.
      protocol: 'activitynet' or 'mmaction2'.
      max_per_frame: number of highest-scored detections to keep in a frame; None
        keeps all. The current script of the challenge keeps 50; its copies keep all.
      iou_threshold: smallest IoU of a true positive; above 0, at most 1.
    """
    ranking = rank(
        ground_truth,
        detections,
        class_ids,
        excluded_frames=excluded_frames,
        protocols=(protocol,),
        max_per_frame=max_per_frame,
        iou_threshold=iou_threshold,
    )
    return average(ranking[protocol])


def rank(
    ground_truth: Boxes,
    detections: Boxes,
    class_ids: Sequence[int],
    *,
    excluded_frames: Sequence[int] = (),
    protocols: Sequence[str] = PROTOCOLS,
    max_per_frame: int | None = None,
    iou_threshold: float = 0.5,
) -> dict[str, Ranking]:
    """Ranks and matches the detections under each of `protocols`.

    The other arguments are those of `evaluate`.
    """
    check_protocols(protocols)
    if not 0 < iou_threshold <= 1:
        raise ValueError(
            f"iou_threshold is {iou_threshold}; expected above 0 and at most 1"
        )
    class_ids = np.unique(np.asarray(class_ids, np.int64))
    num_frames = 1 + max(_highest(ground_truth.frame), _highest(detections.frame))
    excluded = np.zeros(num_frames, bool)
    ids = np.asarray(excluded_frames, np.int64)
    # An excluded frame may have neither ground truth nor detections.
    excluded[ids[ids < num_frames]] = True
    truth = _Truth.make(ground_truth, class_ids, excluded)
    row, offset = _sort(detections, class_ids, excluded, max_per_frame)
    return {
        protocol: _judge(
            protocol, truth, detections, class_ids, row, offset, iou_threshold
        )
        for protocol in protocols
    }


def check_protocols(names: Sequence[str]) -> None:
    """Raises a ValueError unless all of `names` are in `PROTOCOLS`."""
    if not set(names) <= set(PROTOCOLS):
        raise ValueError(f"protocols are {tuple(names)}; expected any of {PROTOCOLS}")


def average(ranking: Ranking) -> Result:
    """AP of each action and their mean."""
    precisions = {
        label: ranking.average_precision(i) if ranking.is_averaged(i) else None
        for i, label in enumerate(ranking.class_ids.tolist())
    }
    averaged = [value for value in precisions.values() if value is not None]
    ids = ranking.class_ids.tolist()
    return Result(
        protocol=ranking.protocol,
        mean=float(np.mean(averaged)) if averaged else None,
        average_precision=precisions,
        labels=dict(zip(ids, ranking.labels.tolist(), strict=True)),
        detections=dict(zip(ids, np.diff(ranking.offset).tolist(), strict=True)),
    )


def _highest(frame: np.ndarray) -> int:
    return int(frame.max()) if len(frame) else -1


def class_index(label: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """Index of each label in the ascending `class_ids`; len(class_ids) for others."""
    others = len(class_ids)
    top = int(class_ids[-1]) if others else -1
    table = np.full(top + 2, others, np.int16)
    table[class_ids] = np.arange(others)
    # The last entry of the table stands for all labels outside of it.
    label = np.where((label < 0) | (label > top), top + 1, label)
    return table[label]


@dataclasses.dataclass(frozen=True)
class _Truth:
    """Ground truth of the scored actions, grouped by frame and action.

    Attributes:
      row: (G,) input rows sorted by group, without those of excluded frames; a group
        keeps the order of the input.
      box: (G, 4) float64, their boxes.
      slot: (frames,) index of a frame among those with boxes in `row`, or -1.
      start, count: (slots * classes,) first index and number of entries in `row` of
        each group. Group `slot * classes + class_index` holds the boxes of one action
        in one frame.
      labels: (classes,) number of rows, without excluded frames.
      all_labels: (classes,) number of rows, with excluded frames.
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
        # Frames without ground truth get no groups, so the tables of groups stay small.
        slot = np.full(len(excluded), -1, np.int32)
        slot[frames] = np.arange(len(frames))
        group = slot[frame].astype(np.int64) * classes + index
        count = np.bincount(group, minlength=len(frames) * classes).astype(np.int32)
        # Stable, because the first of several boxes with equal IoU is matched.
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


def _sort(
    boxes: Boxes,
    class_ids: np.ndarray,
    excluded: np.ndarray,
    max_per_frame: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Sorts the rows of detections by action, then by descending score.

    Drops other actions, excluded frames and inverted boxes.

    Returns:
      The sorted rows, and the start of each action among them.
    """
    index = class_index(boxes.label, class_ids)
    keep = index < len(class_ids)
    if max_per_frame is not None:
        # The challenge's reader does this before it drops anything else.
        keep = _highest_per_frame(boxes, keep, max_per_frame)
    keep &= ~excluded[boxes.frame]
    keep &= boxes.box[:, 0] <= boxes.box[:, 2]
    keep &= boxes.box[:, 1] <= boxes.box[:, 3]
    row = np.flatnonzero(keep)
    index = index[row]
    row = row[np.argsort(index, kind="stable")]
    offset = _offsets(np.bincount(index, minlength=len(class_ids)))
    # Both sorts are stable, so rows with equal scores keep the order of the input.
    descending = -np.asarray(boxes.score, np.float64)
    for start, end in itertools.pairwise(offset):
        part = row[start:end]
        row[start:end] = part[np.argsort(descending[part], kind="stable")]
    return row, offset


def _offsets(count: np.ndarray) -> np.ndarray:
    """(C + 1,) start of each of the C consecutive parts with `count` entries."""
    return np.concatenate([[0], np.cumsum(count)])


def _highest_per_frame(boxes: Boxes, keep: np.ndarray, number: int) -> np.ndarray:
    """Keeps the `number` highest-scored of the rows of each frame."""
    row = np.flatnonzero(keep)
    row = row[np.lexsort((-boxes.score[row], boxes.frame[row]))]
    frame = boxes.frame[row]
    # Index of the first row of the same frame; the difference is the rank in the frame.
    first = np.searchsorted(frame, frame)
    keep = np.zeros_like(keep)
    keep[row[np.arange(len(row)) - first < number]] = True
    return keep


def _judge(
    protocol: str,
    truth: _Truth,
    boxes: Boxes,
    class_ids: np.ndarray,
    row: np.ndarray,
    offset: np.ndarray,
    iou_threshold: float,
) -> Ranking:
    classes = len(class_ids)
    index = np.repeat(np.arange(classes, dtype=np.int16), np.diff(offset))
    slot = truth.slot[boxes.frame[row]]
    if protocol == "activitynet":
        dtype, labels = np.float64, truth.labels
        # Computed in the order of the file and then indexed: reading the boxes in the
        # order of the ranking would be far slower.
        area = boxes.box[:, 0] < boxes.box[:, 2]
        area &= boxes.box[:, 1] < boxes.box[:, 3]
        counted = area[row]
    else:
        dtype, labels = np.float32, truth.all_labels
        counted = slot >= 0
    if not counted.all():
        row, index, slot = row[counted], index[counted], slot[counted]
        offset = _offsets(np.bincount(index, minlength=classes))
    # Only detections whose frame and action have ground truth can be true positives.
    place = np.flatnonzero(slot >= 0)
    group = slot[place].astype(np.int64) * classes + index[place]
    some = truth.count[group] > 0
    place, group = place[some], group[some]
    taken = np.full(len(row), -1)
    taken[place] = _take(truth, boxes.box[row[place]], group, dtype, iou_threshold)
    return Ranking(protocol, class_ids, row, offset, taken, boxes.score[row], labels)


def _take(
    truth: _Truth,
    box: np.ndarray,
    group: np.ndarray,
    dtype: type,
    iou_threshold: float,
) -> np.ndarray:
    """Matches detections with ground truth.

    Args:
      truth: the ground truth.
      box: (N, 4) boxes of the detections; within a group by descending score.
      group: (N,) group of each detection; has ground truth.
      dtype: type in which the protocol computes the IoU.
      iou_threshold: smallest IoU of a true positive.

    Returns:
      (N,) row of the ground truth that each detection is matched with, or -1.
    """
    taken = np.full(len(box), -1)
    if not len(box):
        return taken
    # All pairs of a detection and a ground-truth box of its frame and action, as flat
    # arrays: pairs begin[i] to begin[i] + count[i] are those of detection i.
    count = truth.count[group]
    begin = np.cumsum(count) - count
    owner = np.repeat(np.arange(len(box)), count)
    # Number of the pair within its detection, plus the start of the group.
    target = np.arange(len(owner)) - begin[owner] + truth.start[group][owner]
    overlap = iou(box[owner].astype(dtype), truth.box[target].astype(dtype))
    best = np.maximum.reduceat(overlap, begin)
    # The first pair of each detection with its highest IoU. A comparison with NaN
    # (neither box has an area) is false, so such a detection has none.
    hit = np.flatnonzero((overlap == best[owner]) & (overlap >= iou_threshold))
    owner, target = owner[hit], target[hit]
    first = np.ones(len(hit), bool)
    first[1:] = owner[1:] != owner[:-1]
    owner, target = owner[first], target[first]
    # Of the detections of one box, the first has the highest score and is true.
    # np.unique returns the index of the first occurrence.
    _, taker = np.unique(target, return_index=True)
    taken[owner[taker]] = truth.row[target[taker]]
    return taken
