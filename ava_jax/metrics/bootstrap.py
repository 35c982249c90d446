"""How sure a difference in mAP is: bootstrap over videos.

The key frames of a video are alike, so videos are what is drawn (with
replacement), not key frames; both sets of detections are scored on the same
draws. Efron and Tibshirani, An Introduction to the Bootstrap (1993), ch. 13:
percentile intervals.
"""

import itertools
from typing import NamedTuple

import numpy as np

from ava_jax.metrics.ava_map import Ranking

_INTERVAL = (0.025, 0.975)  # 95 % of the draws


class Difference(NamedTuple):
    """What the second set of detections scores above the first.

    Attributes:
      value: on the data as it is; None where either has no value.
      low, high: ends of the interval; None likewise.
    """

    value: float | None
    low: float | None
    high: float | None


class Comparison(NamedTuple):
    """Differences of mAP and of each action's AP, by action id."""

    mean: Difference
    per_class: dict[int, Difference]


def compare(
    first: Ranking,
    second: Ranking,
    detection_videos: tuple[np.ndarray, np.ndarray],
    label_videos: tuple[np.ndarray, np.ndarray],
    *,
    resamples: int = 300,
    seed: int = 0,
) -> Comparison:
    """Differences between two rankings of the same ground truth, with intervals.

    An action counts in a draw if both rankings average it and the draw holds
    ground truth of it.

    Args:
      first: ranked detections (`ava_map.rank`).
      second: others, ranked under the same protocol and options.
      detection_videos: for each ranking, (R,) video number of each row of the
        detections that it ranks.
      label_videos: (G,) video number and (G,) action id of each row of ground
        truth that counts.
      resamples: number of draws.
      seed: of the draws.

    Returns:
      Second minus first.
    """
    class_ids = first.class_ids
    videos, labels = label_videos
    num_videos = 1 + max(
        (int(part.max()) for part in (*detection_videos, videos) if len(part)),
        default=0,
    )
    weights = _draw(np.unique(videos), num_videos, resamples, seed)
    truth = np.zeros((num_videos, len(class_ids)))
    np.add.at(truth, (videos, np.searchsorted(class_ids, labels)), 1)
    truth = weights @ truth
    precisions = [
        _weighted_precisions(ranking, video[ranking.row], weights, truth)
        for ranking, video in zip((first, second), detection_videos, strict=True)
    ]
    averaged = [
        first.is_averaged(i) and second.is_averaged(i) for i in range(len(class_ids))
    ]
    # (draws, classes); draw 0 is the data as it is.
    change = np.where(averaged, precisions[1] - precisions[0], np.nan)
    return Comparison(
        mean=_difference(_mean(change)),
        per_class={
            label: _difference(change[:, i])
            for i, label in enumerate(class_ids.tolist())
        },
    )


def _draw(present: np.ndarray, num_videos: int, resamples: int, seed: int):
    """(1 + resamples, videos): how often each draw has a video; once in row 0."""
    weights = np.ones((1 + resamples, num_videos))
    drawn = np.random.default_rng(seed).choice(present, (resamples, len(present)))
    for row, draw in zip(weights[1:], drawn, strict=True):
        row[:] = np.bincount(draw, minlength=num_videos)
    return weights


def _weighted_precisions(
    ranking: Ranking, video: np.ndarray, weights: np.ndarray, truth: np.ndarray
) -> np.ndarray:
    """(draws, classes) AP where each row counts as often as its video is drawn.

    NaN where a draw has no ground truth of an action.
    """
    precisions = np.full(truth.shape, np.nan)
    for i, (start, end) in enumerate(itertools.pairwise(ranking.offset)):
        true = np.flatnonzero(ranking.taken[start:end] >= 0)
        part = video[start:end]
        for draw, weight in enumerate(weights):
            if not truth[draw, i]:
                continue
            found = weight[part[true]]
            seen = np.cumsum(weight[part])[true]
            # A draw may lack the video of a first true detection: 0 / 0.
            precision = np.cumsum(found) / np.maximum(seen, 1)
            envelope = np.maximum.accumulate(precision[::-1])[::-1]
            precisions[draw, i] = np.dot(found, envelope) / truth[draw, i]
    return precisions


def _mean(change: np.ndarray) -> np.ndarray:
    """(draws,) mean over classes; NaN where a draw has none."""
    count = np.sum(~np.isnan(change), axis=1)
    return np.divide(
        np.nansum(change, axis=1),
        count,
        where=count > 0,
        out=np.full(len(count), np.nan),
    )


def _difference(values: np.ndarray) -> Difference:
    drawn = values[1:][~np.isnan(values[1:])]
    if np.isnan(values[0]) or not len(drawn):
        return Difference(None, None, None)
    low, high = np.quantile(drawn, _INTERVAL)
    return Difference(float(values[0]), float(low), float(high))
