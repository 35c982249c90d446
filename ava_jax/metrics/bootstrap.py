"""How sure an mAP or a difference in mAP is: bootstrap over videos.

The key frames of a video are alike, so videos are what is drawn (with
replacement), not key frames; all sets of detections are scored on the same
draws. Where a side has several runs, they are drawn with replacement, too.
Efron and Tibshirani, An Introduction to the Bootstrap (1993), ch. 13:
percentile intervals.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ava_jax.metrics.ava_map import Ranking

_INTERVAL = (0.025, 0.975)  # 95 % of the draws


class Estimate(NamedTuple):
    """A mean average precision, or a difference of two, with its interval.

    Attributes:
      value: on the data as it is; None if it has no value.
      low, high: ends of the interval; None likewise.
    """

    value: float | None
    low: float | None
    high: float | None


class Comparison(NamedTuple):
    """Differences of mAP and of each action's AP, by action id."""

    mean: Estimate
    per_class: dict[int, Estimate]


class Run(NamedTuple):
    """Ranked detections.

    Attributes:
      ranking: from `ava_map.rank`.
      video: (R,) video number of each row of the detections that it ranks.
    """

    ranking: Ranking
    video: np.ndarray


def mean_interval(
    run: Run,
    label_videos: tuple[np.ndarray, np.ndarray],
    *,
    resamples: int = 300,
    seed: int = 0,
) -> Estimate:
    """The mAP of a run with its interval; arguments as of `compare`."""
    return compare([], [run], label_videos, resamples=resamples, seed=seed).mean


def compare(
    first: Sequence[Run],
    second: Sequence[Run],
    label_videos: tuple[np.ndarray, np.ndarray],
    *,
    resamples: int = 300,
    seed: int = 0,
) -> Comparison:
    """Differences between two sides of the same ground truth, with intervals.

    An action counts in a draw if all rankings average it and the draw holds
    ground truth of it.

    Args:
      first: runs of one method, such as several seeds; none: nothing is subtracted.
      second: runs of another, under the same protocol and options.
      label_videos: (G,) video number and (G,) action id of each row of ground
        truth that counts.
      resamples: number of draws.
      seed: of the draws.

    Returns:
      The mean of the second side minus that of the first.
    """
    runs = [*first, *second]
    class_ids = runs[0].ranking.class_ids
    videos, labels = label_videos
    parts = [videos, *(run.video for run in runs)]
    num_videos = 1 + max((int(part.max()) for part in parts if len(part)), default=0)
    rng = np.random.default_rng(seed)
    weights = _draw(np.unique(videos), num_videos, resamples, rng)
    truth = np.zeros((num_videos, len(class_ids)))
    np.add.at(truth, (videos, np.searchsorted(class_ids, labels)), 1)
    truth = weights @ truth
    sides = [_mean_of_runs(side, weights, truth, rng) for side in (first, second)]
    averaged = [
        all(run.ranking.is_averaged(i) for run in runs) for i in range(len(class_ids))
    ]
    # (draws, classes); draw 0 is the data as it is.
    change = np.where(averaged, sides[1] - sides[0], np.nan)
    return Comparison(
        mean=_estimate(_mean(change)),
        per_class={
            label: _estimate(change[:, i]) for i, label in enumerate(class_ids.tolist())
        },
    )


def _draw(present: np.ndarray, num: int, resamples: int, rng: np.random.Generator):
    """(1 + resamples, num): how often each draw has a video or run; once in row 0."""
    weights = np.ones((1 + resamples, num))
    drawn = rng.choice(present, (resamples, len(present)))
    for row, draw in zip(weights[1:], drawn, strict=True):
        row[:] = np.bincount(draw, minlength=num)
    return weights


def _mean_of_runs(
    runs: Sequence[Run],
    weights: np.ndarray,
    truth: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """(draws, classes) mean AP of runs, which are drawn, too; 0 without any."""
    total = np.zeros(truth.shape)
    if not runs:
        return total
    counts = _draw(np.arange(len(runs)), len(runs), len(weights) - 1, rng)
    for run, count in zip(runs, counts.T, strict=True):
        video = run.video[run.ranking.row]
        precisions = _weighted_precisions(run.ranking, video, weights, truth)
        total += count[:, None] * precisions
    return total / len(runs)


def _weighted_precisions(
    ranking: Ranking, video: np.ndarray, weights: np.ndarray, truth: np.ndarray
) -> np.ndarray:
    """(draws, classes) AP where each row counts as often as its video is drawn.

    NaN where a draw has no ground truth of an action.
    """
    precisions = np.full(truth.shape, np.nan)
    for i, (start, end) in enumerate(itertools.pairwise(ranking.offset)):
        true = np.flatnonzero(ranking.taken[start:end] >= 0)
        found, seen = _found_and_seen(video[start:end], true, weights)
        # A draw may lack the video of a first true detection: 0 / 0.
        precision = np.cumsum(found, axis=1) / np.maximum(seen, 1)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        areas = np.einsum("dh,dh->d", found, envelope)
        has_truth = truth[:, i] > 0
        precisions[has_truth, i] = areas[has_truth] / truth[has_truth, i]
    return precisions


def _found_and_seen(
    video: np.ndarray, true: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of H true detections, (draws, H): each one's weight, and that of all up to it.

    Args:
      video: (D,) of an action's detections, best first.
      true: (H,) places of the true ones.
      weights: (draws, V).
    """
    # Detections by video, counted from one true detection to the next: a product of
    # matrices then weighs them in all draws, which is several times faster than a
    # cumulative sum over all detections for each draw.
    num_videos = weights.shape[1]
    interval = np.searchsorted(true, np.arange(len(video)))
    cell = interval * num_videos + video
    counts = np.bincount(cell, minlength=(len(true) + 1) * num_videos)
    counts = counts.reshape(-1, num_videos)[: len(true)].astype(np.float64)
    return weights[:, video[true]], weights @ np.cumsum(counts, axis=0).T


def _mean(change: np.ndarray) -> np.ndarray:
    """(draws,) mean over classes; NaN where a draw has none."""
    count = np.sum(~np.isnan(change), axis=1)
    return np.divide(
        np.nansum(change, axis=1),
        count,
        where=count > 0,
        out=np.full(len(count), np.nan),
    )


def _estimate(values: np.ndarray) -> Estimate:
    drawn = values[1:][~np.isnan(values[1:])]
    if np.isnan(values[0]) or not len(drawn):
        return Estimate(None, None, None)
    low, high = np.quantile(drawn, _INTERVAL)
    return Estimate(float(values[0]), float(low), float(high))
