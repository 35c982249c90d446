"""Which movies are for validation: a share of them, and of every action."""

import numpy as np

_STARTS = 8  # random splits that are improved


def split_movies(counts: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Chooses movies so that each action has about `share` of its labels among them.

    An action that one side lacks costs more than any difference in shares: training
    needs all of them, and validation should have them.

    Args:
      counts: (M, A), labels of each action in each movie.
      share: of the movies to choose, 0 to 1; at least one and not all of two or more.
      seed: decides between equally good splits.

    Returns:
      (M,) bool: which movies are chosen.
    """
    movies = len(counts)
    size = round(share * movies)
    if share and movies > 1:
        size = min(max(size, 1), movies - 1)
    random = np.random.default_rng(seed)
    best, lowest = np.zeros(movies, bool), np.inf
    for _ in range(_STARTS):
        chosen = np.zeros(movies, bool)
        chosen[random.permutation(movies)[:size]] = True
        cost = _improve(chosen, counts, share)
        if cost < lowest - 1e-12:
            best, lowest = chosen, cost
    return best


def _improve(chosen: np.ndarray, counts: np.ndarray, share: float) -> float:
    """Swaps movies as long as that lowers the cost, which it returns."""
    cost = float(_costs(counts[chosen].sum(axis=0)[None], counts, share)[0])
    while chosen.any() and not chosen.all():
        inside, outside = np.flatnonzero(chosen), np.flatnonzero(~chosen)
        total = counts[chosen].sum(axis=0)
        # (I, O, A): the labels of the chosen after each swap.
        swapped = total - counts[inside][:, None] + counts[outside][None]
        costs = _costs(swapped.reshape(-1, counts.shape[1]), counts, share)
        lowest = int(np.argmin(costs))
        if costs[lowest] >= cost - 1e-12:
            break
        one, other = np.unravel_index(lowest, (len(inside), len(outside)))
        chosen[inside[one]], chosen[outside[other]] = False, True
        cost = float(costs[lowest])
    return cost


def _costs(labels: np.ndarray, counts: np.ndarray, share: float) -> np.ndarray:
    """(N,) costs of (N, A) labels among the chosen."""
    total = np.maximum(counts.sum(axis=0), 1)
    differences = np.abs(labels / total - share)
    lacks = 10.0 * (labels == total) + 1.0 * (labels == 0)
    return (differences + lacks * (counts.sum(axis=0) > 0)).sum(axis=1)
