"""Actions of detected people: confusion, and the worst mistakes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ava_jax.metrics import person_boxes as people_lib
from ava_jax.metrics.ava_map import Boxes, Ranking
from ava_jax.metrics.person_boxes import People, Truth

# Number of candidates for the worst mistakes from each action.
_PER_ACTION = 2


class Matched(NamedTuple):
    """True people, each matched with one detected box.

    Attributes:
      person: (M,) index of the true person.
      found: (M,) index of the detected box.
      scores: (M, C) score of each action; -inf if it was not detected.
      labels: (M, C) bool, the true actions.
    """

    person: np.ndarray
    found: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


class Confusion(NamedTuple):
    """Confusion matrix of the actions of matched people.

    For a person with k true actions, the k highest-scored actions are the predicted
    ones. A true action among them is found. Every other true action is missed, and its
    count is divided evenly among the predicted actions that are not true. There are as
    many of these as missed ones, unless the person has fewer than k scores.

    Attributes:
      count: (C, C) number of labels by true action (row) and predicted action
        (column), which may be a fraction; found labels are on the diagonal.
      labels: (C,) number of labels of each action. It exceeds the sum of a row of
        `count` if people have too few scores.
    """

    count: np.ndarray
    labels: np.ndarray

    @property
    def shown(self) -> np.ndarray:
        """Indices of the actions that are true or predicted for anyone."""
        return np.flatnonzero(self.labels + self.count.sum(axis=0))


class Mistake(NamedTuple):
    """A false positive, or a label with a low score.

    Attributes:
      frame: frame id.
      box: (4,) the detected box.
      label: action id.
      score: score of the action for this box; None if it was not detected.
    """

    frame: int
    box: np.ndarray
    label: int
    score: float | None


def match(
    truth: Truth,
    found: People,
    ranking: Ranking,
    *,
    excluded_frames: Sequence[int] = (),
    iou_threshold: float = 0.5,
) -> Matched:
    """Matches true people with detected boxes by `person_boxes.pair`.

    Args:
      truth: the ground truth.
      found: the distinct boxes of the detections.
      ranking: the ranking of the detections; only ranked detections have scores.
      excluded_frames: ids of frames where nobody is matched.
      iou_threshold: smallest IoU of a match.
    """
    partner = people_lib.pair(found, truth.people, iou_threshold)
    partner[np.isin(found.frame, excluded_frames)] = -1
    box = np.flatnonzero(partner >= 0)
    person = partner[box]
    shape = len(box), len(ranking.class_ids)
    scores, labels = np.full(shape, -np.inf), np.zeros(shape, bool)

    # Detection -> its box -> the row of that box in `scores`, or -1. The rows for true
    # people below are found in the same way.
    place = _places(box, len(found.frame))[found.of_row[ranking.row]]
    here = place >= 0
    cells = place[here] * shape[1] + ranking.class_index[here]
    # A box may have several detections of one action: the highest score counts.
    # `reshape` returns a view, so this writes to `scores`.
    np.maximum.at(scores.reshape(-1), cells, ranking.score[here])

    place = _places(person, len(truth.people.frame))[truth.person]
    here = place >= 0
    labels[place[here], truth.index[here]] = True
    return Matched(person, box, scores, labels)


def _places(chosen: np.ndarray, size: int) -> np.ndarray:
    """(size,) position of each index in `chosen`, or -1: the inverse of `chosen`."""
    place = np.full(size, -1)
    place[chosen] = np.arange(len(chosen))
    return place


def confuse(matched: Matched) -> Confusion:
    """Computes the confusion matrix that `Confusion` describes."""
    scores, labels = matched.scores, matched.labels
    order = np.argsort(-scores, axis=1, kind="stable")
    # The inverse of the permutation `order`: the rank of each action for each person.
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(scores.shape[1])[None], axis=1)
    predicted = (rank < labels.sum(axis=1)[:, None]) & (scores > -np.inf)
    missed, wrong = labels & ~predicted, predicted & ~labels
    # A person with m missed actions has at most m wrong ones. Each pair of a missed and
    # a wrong action counts 1 / m; the matrix product sums the pairs over all people.
    share = missed / np.maximum(missed.sum(axis=1), 1)[:, None]
    count = share.T @ wrong
    count[np.diag_indices(len(count))] += (labels & predicted).sum(axis=0)
    return Confusion(count, labels.sum(axis=0))


def false_alarms(
    ranking: Ranking, detections: Boxes, truth: Truth, number: int
) -> list[Mistake]:
    """The highest-scored false positives on frames with ground truth.

    Args:
      ranking: the ranking of `detections`.
      detections: all detections that were given to `ava_map.rank`.
      truth: their ground truth.
      number: largest number of mistakes. The worst of every action come first, then
        the second worst.
    """
    frames = np.unique(truth.boxes.frame[truth.row])
    worst = []
    for label, start, end in zip(
        ranking.class_ids.tolist(), ranking.offset, ranking.offset[1:], strict=False
    ):
        # In the order of the ranking: the highest score first.
        false = start + np.flatnonzero(ranking.taken[start:end] < 0)
        false = false[np.isin(detections.frame[ranking.row[false]], frames)]
        worst += [(k, label, i) for k, i in enumerate(false[:_PER_ACTION])]
    worst.sort(key=lambda worst: (worst[0], -ranking.score[worst[2]]))
    return [
        Mistake(
            frame=int(detections.frame[ranking.row[i]]),
            box=detections.box[ranking.row[i]],
            label=label,
            score=float(ranking.score[i]),
        )
        for _, label, i in worst[:number]
    ]


def low_scores(
    matched: Matched, found: People, ranking: Ranking, number: int
) -> list[Mistake]:
    """The true actions of detected people with the lowest scores.

    A low score is a mistake only if some false positive of the action has a higher
    score.

    Args:
      matched: the matched people.
      found: the distinct boxes of the detections.
      ranking: the ranking of the detections.
      number: largest number of mistakes, as in `false_alarms`.
    """
    worst = []
    for c in range(len(ranking.class_ids)):
        start, end = ranking.offset[c : c + 2]
        false = np.flatnonzero(ranking.taken[start:end] < 0)
        top = ranking.score[start + false[0]] if len(false) else -np.inf
        scores = matched.scores[:, c]
        # An action without any score is a mistake even without false positives.
        below = (scores < top) | (scores == -np.inf)
        rows = np.flatnonzero(matched.labels[:, c] & below)
        rows = rows[np.argsort(scores[rows], kind="stable")]
        worst += [(k, c, m) for k, m in enumerate(rows[:_PER_ACTION])]
    worst.sort(key=lambda worst: (worst[0], matched.scores[worst[2], worst[1]]))
    return [
        Mistake(
            frame=int(found.frame[matched.found[m]]),
            box=found.box[matched.found[m]],
            label=int(ranking.class_ids[c]),
            score=_score(matched.scores[m, c]),
        )
        for _, c, m in worst[:number]
    ]


def _score(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
