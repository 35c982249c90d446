"""AVA's mean average precision, as its two reference evaluators compute it.

A detection is a box with one action and a score. Within a frame and an action,
detections go by descending score; each takes the ground-truth box of highest
IoU, and is true if that IoU is at least 0.5 and no earlier detection took the
box. Over all frames, the detections of an action go by descending score again;
AP is the area under the precision envelope (PASCAL VOC 2010 onward), and mAP
the mean over actions.

Two protocols, by name, because published numbers are of both kinds:

* `activitynet`: the challenge's evaluator (ActivityNet,
  `Evaluation/get_ava_performance.py`), whose copies PySlowFast and MMAction2
  0.x use. Detections of all frames count. An action with ground truth and
  without detections has AP 0. Boxes without area are dropped.
* `mmaction2`: MMAction2 1.x (`mmaction/evaluation/functional/ava_utils.py`).
  Detections count on the frames that have ground truth. An action without
  detections there is left out of the mean. Ground truth is counted before
  frames are excluded. Boxes and scores are rounded to float32. Boxes without
  area are false positives.

Both drop inverted boxes here; the second evaluator crashes on them.

Ties: detections of equal score count in the order of their rows, and a
detection with equal IoU to several boxes takes the first. The references
leave both to the sort at hand, so with ties they may differ from this, within
what reordering the tied rows gives.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ava_jax.metrics.iou import iou

PROTOCOLS = ("activitynet", "mmaction2")
IOU_THRESHOLD = 0.5  # the least of a true detection


class Boxes(NamedTuple):
    """Boxes with one action each, as columns of equal length.

    Attributes:
      frame: (R,) int, frame ids: small and not negative (they index a table).
      box: (R, 4) float, x1 y1 x2 y2 in any unit common to both sides.
      label: (R,) int, action ids.
      score: (R,) float; None for ground truth.
    """

    frame: np.ndarray
    box: np.ndarray
    label: np.ndarray
    score: np.ndarray | None = None


class Curve(NamedTuple):
    """Precision and recall of one action at each of its true detections.

    Attributes:
      score: (K,) descending.
      recall: (K,) share of ground truth found down to this score.
      precision: (K,) share of true ones among the detections down to this one.
    """

    score: np.ndarray
    recall: np.ndarray
    precision: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Ranking:
    """The detections that count under one protocol, ranked and judged.

    Attributes:
      protocol: its name.
      class_ids: (C,) action ids, ascending.
      row: (D,) rows of the detections: by action, then by descending score.
      offset: (C + 1,) where each action begins in `row`.
      taken: (D,) row of the ground truth that the detection took, -1 if false.
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
        """The curve of action `class_ids[index]`, which has ground truth."""
        start, end = self.offset[index], self.offset[index + 1]
        rank = np.flatnonzero(self.taken[start:end] >= 0)
        found = np.arange(1, len(rank) + 1)
        return Curve(
            score=self.score[start + rank],
            recall=found / self.labels[index],
            precision=found / (rank + 1),
        )

    def average_precision(self, index: int) -> float:
        """AP of action `class_ids[index]`, which has ground truth."""
        # Recall rises by one share of the ground truth at each true detection,
        # so the area is a mean over the ground truth.
        precision = self.curve(index).precision
        envelope = np.maximum.accumulate(precision[::-1])
        return float(envelope.sum() / self.labels[index])

    @property
    def class_index(self) -> np.ndarray:
        """(D,) index in `class_ids` of each detection's action."""
        return np.repeat(np.arange(len(self.class_ids)), np.diff(self.offset))

    def part(self, keep: np.ndarray, labels: np.ndarray) -> "Ranking":
        """Those of the detections that (D,) `keep` marks, against other counts.

        Args:
          keep: (D,) bool.
          labels: (C,) number of ground-truth rows.
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
        """Whether the protocol averages action `class_ids[index]`."""
        detected = self.offset[index + 1] > self.offset[index]
        return self.labels[index] > 0 and (detected or self.protocol != "mmaction2")


@dataclasses.dataclass(frozen=True)
class Result:
    """Average precision under one protocol.

    Attributes:
      protocol: its name.
      mean: mAP; None if no action was averaged.
      average_precision: AP by action id; None where it is not averaged.
      labels: number of ground-truth rows by action id, as the protocol counts.
      detections: number of detections that counted, by action id.
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
) -> Result:
    """AP of each action and their mean under one protocol.

    Args:
      ground_truth: one row for each action of each box.
      detections: one row for each action of each box, with scores.
      class_ids: the actions to score, from 1; rows with others are ignored.
      excluded_frames: ids of frames to leave out on both sides.
      protocol: 'activitynet' or 'mmaction2'.
      max_per_frame: keep this many highest-scored detections of a frame (the
        challenge's present script keeps 50; its copies keep all).

    Returns:
      The result under `protocol`.
    """
    ranking = rank(
        ground_truth,
        detections,
        class_ids,
        excluded_frames=excluded_frames,
        protocols=(protocol,),
        max_per_frame=max_per_frame,
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
) -> dict[str, Ranking]:
    """Judges every detection, under each of `protocols`; `evaluate`'s arguments."""
    check_protocols(protocols)
    class_ids = np.unique(np.asarray(class_ids, np.int64))
    num_frames = 1 + max(_highest(ground_truth.frame), _highest(detections.frame))
    excluded = np.zeros(num_frames, bool)
    ids = np.asarray(excluded_frames, np.int64)
    excluded[ids[ids < num_frames]] = True
    truth = _Truth.make(ground_truth, class_ids, excluded)
    row, offset = _sort(detections, class_ids, excluded, max_per_frame)
    return {
        protocol: _judge(protocol, truth, detections, class_ids, row, offset)
        for protocol in protocols
    }


def check_protocols(names: Sequence[str]) -> None:
    """Raises a ValueError unless all of `names` are in `PROTOCOLS`."""
    if not set(names) <= set(PROTOCOLS):
        raise ValueError(f"protocols are {PROTOCOLS}, not {tuple(names)}")


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
    """Index of each label in ascending `class_ids`; len(class_ids) for others."""
    others = len(class_ids)
    top = int(class_ids[-1]) if others else -1
    table = np.full(top + 2, others, np.int16)
    table[class_ids] = np.arange(others)
    label = np.where((label < 0) | (label > top), top + 1, label)
    return table[label]


@dataclasses.dataclass(frozen=True)
class _Truth:
    """Ground truth of the scored actions, grouped by frame and action.

    Attributes:
      row: (G,) rows given, without the excluded frames, grouped; order within a
        group is that of the rows.
      box: (G, 4) float64, their boxes.
      slot: (frames,) index of a frame among those that have boxes here, or -1.
      start, count: (slots * classes,) where a group lies in `row`.
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


def _sort(
    boxes: Boxes,
    class_ids: np.ndarray,
    excluded: np.ndarray,
    max_per_frame: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of scored actions by action, then descending score; where each begins.

    Excluded frames and inverted boxes are not among the rows.
    """
    index = class_index(boxes.label, class_ids)
    keep = index < len(class_ids)
    if max_per_frame is not None:
        # Before anything else is dropped, as the challenge's reader does.
        keep = _highest_per_frame(boxes, keep, max_per_frame)
    keep &= ~excluded[boxes.frame]
    keep &= boxes.box[:, 0] <= boxes.box[:, 2]
    keep &= boxes.box[:, 1] <= boxes.box[:, 3]
    row = np.flatnonzero(keep)
    index = index[row]
    row = row[np.argsort(index, kind="stable")]
    offset = _offsets(np.bincount(index, minlength=len(class_ids)))
    descending = -np.asarray(boxes.score, np.float64)
    for start, end in itertools.pairwise(offset):
        part = row[start:end]
        row[start:end] = part[np.argsort(descending[part], kind="stable")]
    return row, offset


def _offsets(count: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(count)])


def _highest_per_frame(boxes: Boxes, keep: np.ndarray, number: int) -> np.ndarray:
    """Of the rows to keep, the `number` highest-scored of each frame."""
    row = np.flatnonzero(keep)
    row = row[np.lexsort((-boxes.score[row], boxes.frame[row]))]
    frame = boxes.frame[row]
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
) -> Ranking:
    classes = len(class_ids)
    index = np.repeat(np.arange(classes, dtype=np.int16), np.diff(offset))
    slot = truth.slot[boxes.frame[row]]
    if protocol == "activitynet":
        dtype, labels = np.float64, truth.labels
        # In the order of the file, which is far quicker than in that of the ranks.
        area = boxes.box[:, 0] < boxes.box[:, 2]
        area &= boxes.box[:, 1] < boxes.box[:, 3]
        counted = area[row]
    else:
        dtype, labels = np.float32, truth.all_labels
        counted = slot >= 0
    if not counted.all():
        row, index, slot = row[counted], index[counted], slot[counted]
        offset = _offsets(np.bincount(index, minlength=classes))
    place = np.flatnonzero(slot >= 0)
    group = slot[place].astype(np.int64) * classes + index[place]
    some = truth.count[group] > 0
    place, group = place[some], group[some]
    taken = np.full(len(row), -1)
    taken[place] = _take(truth, boxes.box[row[place]], group, dtype)
    return Ranking(protocol, class_ids, row, offset, taken, boxes.score[row], labels)


def _take(
    truth: _Truth,
    box: np.ndarray,
    group: np.ndarray,
    dtype: type,
) -> np.ndarray:
    """(N,) row of the ground truth that each of `box` takes; -1: none.

    Boxes are in order of descending score; each group has ground truth.
    """
    taken = np.full(len(box), -1)
    if not len(box):
        return taken
    # All pairs of a detection and a ground-truth box of its frame and action.
    count = truth.count[group]
    begin = np.cumsum(count) - count
    owner = np.repeat(np.arange(len(box)), count)
    target = np.arange(len(owner)) - begin[owner] + truth.start[group][owner]
    overlap = iou(box[owner].astype(dtype), truth.box[target].astype(dtype))
    best = np.maximum.reduceat(overlap, begin)
    # The first pair of each detection that attains its best; NaN never does.
    hit = np.flatnonzero((overlap == best[owner]) & (overlap >= IOU_THRESHOLD))
    owner, target = owner[hit], target[hit]
    first = np.ones(len(hit), bool)
    first[1:] = owner[1:] != owner[:-1]
    owner, target = owner[first], target[first]
    # The first detection to name a box takes it; the others are false.
    _, taker = np.unique(target, return_index=True)
    taken[owner[taker]] = truth.row[target[taker]]
    return taken
