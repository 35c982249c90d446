"""Actions of the people who were found: confusion, and the worst mistakes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ava_jax.metrics import person_boxes as people_lib
from ava_jax.metrics.ava_map import Boxes, Ranking
from ava_jax.metrics.person_boxes import People, Truth

# Candidates for the worst mistakes, of each action.
_PER_ACTION = 2


class Matched(NamedTuple):
    """True people with the detected box that stands for them.

    Attributes:
      person: (M,) index of the true person.
      found: (M,) index of the detected box.
      scores: (M, C) of each action; -inf where the detections have none.
      labels: (M, C) bool, the true actions.
    """

    person: np.ndarray
    found: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


class Confusion(NamedTuple):
    """What was predicted for each true action, on matched people.

    For a person with k true actions, the k highest-scored actions are the
    predicted ones. A true action among them is found. Each of the others is
    missed, and divided evenly among the predicted actions that are not true: as
    many as were missed, unless the person has fewer than k scores.

    Attributes:
      count: (C, C) number of labels of the row's action (one person can give
        fractions) that went to the column's; the found ones are on the diagonal.
      labels: (C,) labels of each action. What a row of `count` lacks of it went
        to no action, because the person has too few scores.
    """

    count: np.ndarray
    labels: np.ndarray

    @property
    def shown(self) -> np.ndarray:
        """Indices of the actions that are true or predicted of anyone."""
        return np.flatnonzero(self.labels + self.count.sum(axis=0))


class Mistake(NamedTuple):
    """A false detection, or a label with a low score.

    Attributes:
      frame: its id.
      box: (4,) the detected box.
      label: action id.
      score: of the detected box and the action; None if there is none.
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
) -> Matched:
    """Matches true people with detected boxes by `person_boxes.pair`.

    Args:
      truth: the ground truth.
      found: the boxes of the detections.
      ranking: of the detections; those that it leaves out have no score here.
      excluded_frames: nobody is matched there.
    """
    partner = people_lib.pair(found, truth.people)
    partner[np.isin(found.frame, excluded_frames)] = -1
    box = np.flatnonzero(partner >= 0)
    person = partner[box]
    shape = len(box), len(ranking.class_ids)
    scores, labels = np.full(shape, -np.inf), np.zeros(shape, bool)

    place = _places(box, len(found.frame))[found.of_row[ranking.row]]
    here = place >= 0
    cells = place[here] * shape[1] + ranking.class_index[here]
    np.maximum.at(scores.reshape(-1), cells, ranking.score[here])

    place = _places(person, len(truth.people.frame))[truth.person]
    here = place >= 0
    labels[place[here], truth.index[here]] = True
    return Matched(person, box, scores, labels)


def _places(chosen: np.ndarray, size: int) -> np.ndarray:
    """(size,) where each index stands in `chosen`, -1 if it does not."""
    place = np.full(size, -1)
    place[chosen] = np.arange(len(chosen))
    return place


def confuse(matched: Matched) -> Confusion:
    """Which actions are taken for which others; see `Confusion`."""
    scores, labels = matched.scores, matched.labels
    order = np.argsort(-scores, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(scores.shape[1])[None], axis=1)
    predicted = (rank < labels.sum(axis=1)[:, None]) & (scores > -np.inf)
    missed, wrong = labels & ~predicted, predicted & ~labels
    share = missed / np.maximum(missed.sum(axis=1), 1)[:, None]
    count = share.T @ wrong
    count[np.diag_indices(len(count))] += (labels & predicted).sum(axis=0)
    return Confusion(count, labels.sum(axis=0))


def false_alarms(
    ranking: Ranking, detections: Boxes, truth: Truth, number: int
) -> list[Mistake]:
    """The highest-scored false detections, on frames with ground truth.

    Args:
      ranking: of `detections`.
      detections: as they were ranked.
      truth: the ground truth that judged them.
      number: how many at most; every action's worst come before any second one.
    """
    frames = np.unique(truth.boxes.frame[truth.row])
    worst = []
    for label, start, end in zip(
        ranking.class_ids.tolist(), ranking.offset, ranking.offset[1:], strict=False
    ):
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
    """The lowest-scored true actions of people who were found.

    It is a mistake only if some false detection of the action has a higher score.

    Args:
      matched: people and scores.
      found: the boxes of the detections.
      ranking: of the detections.
      number: as of `false_alarms`.
    """
    worst = []
    for c in range(len(ranking.class_ids)):
        start, end = ranking.offset[c : c + 2]
        false = np.flatnonzero(ranking.taken[start:end] < 0)
        top = ranking.score[start + false[0]] if len(false) else -np.inf
        scores = matched.scores[:, c]
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
