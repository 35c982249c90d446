"""AP on parts of the ground truth: by size and by number of people.

A true positive belongs to the part of its label. A false positive belongs to the part
of its own box, as in COCO's AP by area (pycocotools, `cocoeval.py`). Means are over the
actions that have labels in every part, so that the parts can be compared.
"""

from typing import NamedTuple

import numpy as np

from ava_jax.metrics.ava_map import Boxes, Ranking
from ava_jax.metrics.person_boxes import Truth

# Smallest number of people in a key frame of each part: 1, 2, 3 to 4, 5 or more.
_PEOPLE = (1, 2, 3, 5)


class Part(NamedTuple):
    """A part of the ground truth with its scores.

    Attributes:
      low: smallest area or number of people of the part.
      high: where the next part begins; None for the last part.
      people: number of people with counted labels.
      labels: number of counted labels, of all actions.
      mean: mAP; None if no action has labels in every part.
      ceiling: the highest mAP that scores can give on the detected boxes.
    """

    low: float
    high: float | None
    people: int
    labels: int
    mean: float | None
    ceiling: float | None


class Parts(NamedTuple):
    """Scores of the parts that have labels.

    Attributes:
      parts: in ascending order.
      classes: number of actions that the means include.
    """

    parts: tuple[Part, ...]
    classes: int


def by_size(
    ranking: Ranking, detections: Boxes, truth: Truth, reached: np.ndarray
) -> Parts:
    """AP by the area of the person's box: three parts with the same number of people.

    Args:
      ranking: the ranking of `detections`.
      detections: all detections that were given to `ava_map.rank`.
      truth: their ground truth.
      reached: (L,) result of `ceiling.reached_labels`.
    """
    area = _area(truth.people.box)
    labelled = area[np.unique(truth.person)]
    if not len(labelled):
        return Parts((), 0)
    low = np.array([0.0, *np.quantile(labelled, [1 / 3, 2 / 3])])
    return _split(ranking, truth, reached, low, area, _area(detections.box))


def by_people(
    ranking: Ranking, detections: Boxes, truth: Truth, reached: np.ndarray
) -> Parts:
    """AP by the number of annotated people in the key frame.

    The arguments are those of `by_size`.
    """
    frames = max(truth.people.frame.max(initial=0), detections.frame.max(initial=0)) + 1
    count = np.bincount(truth.people.frame, minlength=frames)
    low = np.array(_PEOPLE)
    return _split(
        ranking, truth, reached, low, count[truth.people.frame], count[detections.frame]
    )


def _area(box: np.ndarray) -> np.ndarray:
    return np.prod(np.maximum(box[:, 2:] - box[:, :2], 0), axis=1)


def _split(
    ranking: Ranking,
    truth: Truth,
    reached: np.ndarray,
    low: np.ndarray,
    of_person: np.ndarray,
    of_detection: np.ndarray,
) -> Parts:
    """Computes the scores of each part.

    Args:
      ranking: as of `by_size`.
      truth: as of `by_size`.
      reached: as of `by_size`.
      low: (parts,) ascending start of each part.
      of_person: (P,) value of each true person that decides about its part.
      of_detection: (D,) the same value of each detection.
    """
    # Index of the last part that starts at or below the value; -1 below all parts
    # (only detections on frames without people, which then belong to no part).
    person_part = np.searchsorted(low, of_person, "right") - 1
    label_part = person_part[truth.person]
    shape = len(low), len(ranking.class_ids)
    labels = _count(label_part, truth.index, shape)
    reachable = _count(label_part[reached], truth.index[reached], shape)

    # `taken` is -1 for false positives, which would index the last row. The appended
    # row keeps the index valid if there is no ground truth; np.where ignores the value.
    row_part = np.append(person_part[truth.people.of_row], -1)
    own = np.searchsorted(low, of_detection, "right") - 1
    part = np.where(ranking.taken < 0, own[ranking.row], row_part[ranking.taken])

    # Means use the same actions in all parts, so only parts with labels can be kept.
    kept = np.flatnonzero(labels.any(axis=1))
    averaged = [ranking.is_averaged(i) for i in range(shape[1])]
    shared = np.flatnonzero((labels[kept] > 0).all(axis=0) & averaged)
    bounds = [*low.tolist(), None]
    people = np.bincount(person_part[np.unique(truth.person)], minlength=len(low))
    parts = []
    for p in kept.tolist():
        of_part = ranking.part(part == p, labels[p])
        parts.append(
            Part(
                low=bounds[p],
                high=bounds[p + 1],
                people=int(people[p]),
                labels=int(labels[p].sum()),
                mean=_mean([of_part.average_precision(i) for i in shared]),
                ceiling=_mean(reachable[p, shared] / labels[p, shared]),
            )
        )
    return Parts(tuple(parts), len(shared))


def _count(part: np.ndarray, index: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(parts, classes) number of labels."""
    # A histogram in two dimensions: np.bincount of the flat index of each cell.
    cell = part * shape[1] + index
    return np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)


def _mean(values) -> float | None:
    return float(np.mean(values)) if len(values) else None
