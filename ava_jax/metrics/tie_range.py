"""The lowest and highest AP that the order of equal scores can give.

The reference scripts sort twice, by unstable sorts or by heaps: the detections of a
frame to match them to boxes, and those of an action to rank them. So of equal scores
any may come first, in either sort, and their numbers depend on the order of the rows.

How many detections of one action and score are true does not: of the detections that
aim at a box, one with the highest score takes it. So the highest AP has the true
positives of each score before its false ones, and the lowest has them after: each
then has its lowest or its highest possible rank, all at once. Both are reached by some
order, and since actions share no rows, so are the means over actions.

A protocol that keeps only the highest-scored detections of a frame adds ties at the
cut, see `CutTies`. There the actions of a frame compete for the places that are left,
so no order gives less or more than the means, but they need not be reached; nor need
the lowest AP of an action two of whose tied detections of a frame aim at one box.
"""

import numpy as np

from ava_jax.metrics.ranking import CutTies, Ranking, area


def precision_range(ranking: Ranking, index: int) -> tuple[float, float]:
    """Lowest and highest AP of action `class_ids[index]`, which has ground truth."""
    part = slice(*ranking.offset[index : index + 2])
    score, true = ranking.score[part], ranking.taken[part] >= 0
    # Rounding keeps the order, and makes ties.
    score = score.astype(ranking.protocol.precision)
    ties = ranking.cut_ties
    if ties is None:
        lowest = highest = score, score[true]
    else:
        fixed = ~ties.rows[part]
        score, true = score[fixed], true[fixed]
        lowest = _with(ties, index, ties.least_true, ties.most_false, score, true)
        highest = _with(ties, index, ties.most_true, ties.least_false, score, true)
    labels = ranking.labels[index]
    return (
        area(_precision(*lowest, true_first=False), labels),
        area(_precision(*highest, true_first=True), labels),
    )


def _with(
    ties: CutTies,
    index: int,
    num_true: np.ndarray,
    num_false: np.ndarray,
    score: np.ndarray,
    true: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of all detections and of the true ones, with those that are kept."""
    own = ties.index == index
    num_true, num_false = num_true[own], num_false[own]
    kept = ties.score[own].astype(score.dtype)
    rows = np.concatenate([score, np.repeat(kept, num_true + num_false)])
    found = np.concatenate([score[true], np.repeat(kept, num_true)])
    return -np.sort(-rows, kind="stable"), -np.sort(-found, kind="stable")


def _precision(rows: np.ndarray, found: np.ndarray, true_first: bool) -> np.ndarray:
    """(K,) precision at each true positive.

    Args:
      rows: (D,) descending scores of all detections.
      found: (K,) descending scores of the true ones.
      true_first: of equal scores, whether the true ones are first or last.
    """
    number = np.arange(1, len(found) + 1)
    # Ranks before a true positive are those of higher scores and the true ones of its
    # own; after it, to the last rank of its score, are the other true ones of it.
    side = "left" if true_first else "right"
    rank = np.searchsorted(-rows, -found, side) + number
    return number / (rank - np.searchsorted(-found, -found, side))
