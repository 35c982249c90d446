"""Confidence intervals of a difference in mAP: bootstrap over videos.

The key frames of a video are not independent of each other. Therefore videos are
drawn (with replacement), not key frames. Both sets of detections are scored on the
same draws. The intervals are percentile intervals (Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, chapter 13).
"""

import itertools
from typing import NamedTuple

import numpy as np

from ava_jax.metrics.ava_map import Ranking


class Difference(NamedTuple):
    """Score of the second set of detections minus that of the first.

    Attributes:
      value: difference on the original data; None if one of them has no score.
      low, high: ends of the confidence interval; None if there is no value.
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
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Scores the second ranking minus the first, with confidence intervals.

    The mean of a draw includes an action if the means of both rankings include it and
    the draw has ground truth of it.

    Args:
      first: ranked detections (`ava_map.rank`).
      second: other detections, ranked with the same protocol and options.
      detection_videos: for each ranking, (R,) video number of each row of the
        detections that it ranks.
      label_videos: (G,) video number and (G,) action id of each row of ground
        truth that counts.
      resamples: number of draws.
      confidence: share of the draws within the interval.
      seed: seed of the draws.
    """
    class_ids = first.class_ids
    videos, labels = label_videos
    num_videos = 1 + max(
        (int(part.max()) for part in (*detection_videos, videos) if len(part)),
        default=0,
    )
    # Only videos with ground truth are drawn.
    weights = _draw(np.unique(videos), num_videos, resamples, seed)
    truth = np.zeros((num_videos, len(class_ids)))
    np.add.at(truth, (videos, np.searchsorted(class_ids, labels)), 1)
    truth = weights @ truth  # (draws, classes) number of labels
    precisions = [
        _weighted_precisions(ranking, video[ranking.row], weights, truth)
        for ranking, video in zip((first, second), detection_videos, strict=True)
    ]
    averaged = [
        first.is_averaged(i) and second.is_averaged(i) for i in range(len(class_ids))
    ]
    # (draws, classes); draw 0 is the original data.
    change = np.where(averaged, precisions[1] - precisions[0], np.nan)
    share = (1 - confidence) / 2
    return Comparison(
        mean=_difference(_mean(change), share),
        per_class={
            label: _difference(change[:, i], share)
            for i, label in enumerate(class_ids.tolist())
        },
    )


def _draw(present: np.ndarray, num_videos: int, resamples: int, seed: int):
    """(1 + resamples, videos) count of each video in each draw; row 0 is all ones."""
    weights = np.ones((1 + resamples, num_videos))
    drawn = np.random.default_rng(seed).choice(present, (resamples, len(present)))
    for row, draw in zip(weights[1:], drawn, strict=True):
        row[:] = np.bincount(draw, minlength=num_videos)
    return weights


def _weighted_precisions(
    ranking: Ranking, video: np.ndarray, weights: np.ndarray, truth: np.ndarray
) -> np.ndarray:
    """(draws, classes) AP, NaN where a draw has no ground truth of the action.

    A draw repeats videos, so each detection counts as often as its video was drawn. The
    ranking and the matches stay the same: frames do not influence each other.
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
            # `seen` is 0 until the first detection whose video was drawn. There `found`
            # is 0 too, so 0 / 1 adds nothing to the AP.
            precision = np.cumsum(found) / np.maximum(seen, 1)
            # Unlike in `Ranking.average_precision`, recall rises by a different weight
            # at each true positive, so the envelope must be in its order.
            envelope = np.maximum.accumulate(precision[::-1])[::-1]
            precisions[draw, i] = np.dot(found, envelope) / truth[draw, i]
    return precisions


def _mean(change: np.ndarray) -> np.ndarray:
    """(draws,) mean over classes; NaN for a draw without any."""
    count = np.sum(~np.isnan(change), axis=1)
    return np.divide(
        np.nansum(change, axis=1),
        count,
        where=count > 0,
        out=np.full(len(count), np.nan),
    )


def _difference(values: np.ndarray, share: float) -> Difference:
    drawn = values[1:][~np.isnan(values[1:])]
    if np.isnan(values[0]) or not len(drawn):
        return Difference(None, None, None)
    low, high = np.quantile(drawn, [share, 1 - share])
    return Difference(float(values[0]), float(low), float(high))
