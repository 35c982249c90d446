"""Boxes as columns, and detections that are ranked and judged."""

import dataclasses
from typing import NamedTuple

import numpy as np

from ava_jax.metrics.protocols import Protocol


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


class CutTies(NamedTuple):
    """Detections whose score is the lowest that a capped frame keeps, and more have it.

    A protocol with `max_per_frame` keeps some of them, by their order. Each of the G
    groups has those of one frame and one action.

    Attributes:
      rows: (D,) bool, which detections of the ranking are among them.
      index: (G,) index of the action in `class_ids`.
      score: (G,) their score.
      most_true, least_false: (G,) numbers of true and false positives that give the
        highest AP of the action.
      least_true, most_false: (G,) those that give the lowest.
    """

    rows: np.ndarray
    index: np.ndarray
    score: np.ndarray
    most_true: np.ndarray
    least_false: np.ndarray
    least_true: np.ndarray
    most_false: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Ranking:
    """The detections that count under one protocol, ranked and judged.

    Attributes:
      protocol: the rules.
      class_ids: (C,) action ids, ascending.
      row: (D,) rows of the detections: by action, then by descending score.
      offset: (C + 1,) where each action begins in `row`.
      taken: (D,) row of the ground truth that the detection took, -1 if false.
      score: (D,) scores.
      labels: (C,) number of ground-truth rows, as the protocol counts them.
      cut_ties: of a protocol that caps the detections of a frame; None if there are
        no ties at the cut.
    """

    protocol: Protocol
    class_ids: np.ndarray
    row: np.ndarray
    offset: np.ndarray
    taken: np.ndarray
    score: np.ndarray
    labels: np.ndarray
    cut_ties: CutTies | None = None

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
        return area(self.curve(index).precision, self.labels[index])

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
            offset=offsets(count),
            taken=self.taken[keep],
            score=self.score[keep],
            labels=labels,
            cut_ties=None,
        )

    def is_averaged(self, index: int) -> bool:
        """Whether the protocol averages action `class_ids[index]`."""
        detected = self.offset[index + 1] > self.offset[index]
        return bool(
            self.labels[index] > 0 and (detected or self.protocol.averages_undetected)
        )


def area(precision: np.ndarray, labels: int) -> float:
    """Area under the precision envelope.

    Args:
      precision: (K,) at each true detection, by descending score.
      labels: number of ground-truth rows.
    """
    # Recall rises by one share of the ground truth at each true detection, so the area
    # is a mean over the ground truth.
    envelope = np.maximum.accumulate(precision[::-1])
    return float(envelope.sum() / labels)


def offsets(count: np.ndarray) -> np.ndarray:
    """(N + 1,) where each of N consecutive groups of these sizes begins."""
    return np.concatenate([[0], np.cumsum(count)])
