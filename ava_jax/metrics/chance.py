"""The AP of random scores on the detected boxes: what any model must exceed.

An action that most people do has a high AP whatever the scores are. Each detected box
gets a random score for every action. Of the boxes that could be true for one label,
one is (see `ceiling`), and all others are false; so the true detections of an action
are at random ranks among all boxes.
"""

from typing import NamedTuple

import numpy as np

from ava_jax.metrics.person_boxes import People, Truth
from ava_jax.metrics.ranking import Boxes, Ranking, area

_DRAWS = 500
_SEED = 0


class Chance(NamedTuple):
    """AP of an action with random scores.

    Attributes:
      mean: over the draws.
      limit: that one draw in a hundred exceeds; a higher AP is hardly due to chance.
    """

    mean: float
    limit: float


def chances(
    ranking: Ranking,
    detections: Boxes,
    truth: Truth,
    found: People,
    reached: np.ndarray,
) -> dict[int, Chance | None]:
    """AP of random scores by action id; None where the protocol does not average it.

    A cap on the detections of a frame is left out.

    Args:
      ranking: the detections, ranked.
      detections: what it ranks.
      truth: the ground truth.
      found: the boxes of the detections.
      reached: (L,) result of `ceiling.reached_labels`.
    """
    frames = detections.frame[ranking.row], truth.boxes.frame[truth.row[reached]]
    boxes = int(np.isin(found.frame, np.concatenate(frames)).sum())
    count = np.bincount(truth.index[reached], minlength=len(ranking.class_ids))
    rng = np.random.default_rng(_SEED)
    return {
        label: _chance(rng, int(count[i]), boxes, int(ranking.labels[i]))
        if ranking.is_averaged(i)
        else None
        for i, label in enumerate(ranking.class_ids.tolist())
    }


def _chance(rng: np.random.Generator, reached: int, boxes: int, labels: int) -> Chance:
    draws = [_draw(rng, reached, boxes, labels) for _ in range(_DRAWS)]
    return Chance(float(np.mean(draws)), float(np.quantile(draws, 0.99)))


def _draw(rng: np.random.Generator, reached: int, boxes: int, labels: int) -> float:
    ranks = np.sort(rng.choice(boxes, reached, replace=False, shuffle=False))
    return area(np.arange(1, reached + 1) / (ranks + 1), labels)
