"""Intervals of actions from the scores of people at key frames."""

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ava_jax.errors import UserError

_ALONE = 1.0  # seconds that a key frame stands for if a video has no other


class Moment(NamedTuple):
    """The people at a key frame.

    Attributes:
      time: seconds.
      people: the scores of each person's actions, by their number and the action.
        An action that is not there has the score 0.
    """

    time: float
    people: Mapping[int, Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is an interval.

    Attributes:
      high: an interval has a score of this or more at some key frame ...
      low: ... and of this or more at all its key frames (hysteresis thresholding).
      max_gap: intervals with at most so many seconds between them are joined, also
        where the person was not seen.
      min_length: shorter ones are left out, after the joining; seconds.
    """

    high: float = 0.3
    low: float = 0.2
    max_gap: float = 1.0
    min_length: float = 1.0

    def __post_init__(self):
        if not 0 <= self.low <= self.high <= 1:
            raise UserError(
                f"The thresholds are low {self.low:g} and high {self.high:g}; expected "
                "0 <= low <= high <= 1."
            )


class Interval(NamedTuple):
    """An action of a person, from `start` to before `end`, in seconds.

    The mean and the greatest score are those of all key frames within at which the
    person was seen.
    """

    person: int
    action: str
    start: float
    end: float
    mean_score: float
    peak_score: float


def to_moments(results: Iterable[Any]) -> list[Moment]:
    """Moments of the results of `Detector.predict_video`."""
    return [
        Moment(
            result.time,
            {
                int(person): dict(actions)
                for person, actions in zip(
                    result.track_ids,
                    result.actions(0, top=len(result.labels)),
                    strict=True,
                )
            },
        )
        for result in results
    ]


def spacing(moments: Sequence[Moment]) -> float:
    """Seconds that a key frame stands for: the least between two of them."""
    times = np.array([moment.time for moment in moments])
    return float(np.diff(times).min()) if len(times) > 1 else _ALONE


def find(moments: Sequence[Moment], settings: Settings) -> list[Interval]:
    """Finds the intervals of every person and action.

    A key frame at t stands for the time from t - s/2 to t + s/2, where s is the
    `spacing` of the key frames, and not for times before 0.

    Args:
      moments: of one video, in the order of time.
      settings: thresholds and lengths.

    Returns:
      The intervals by start, then person and action. Those of the same person and
      action are apart.

    Raises:
      UserError: the moments are not in the order of time.
    """
    _check_order(moments)
    half = spacing(moments) / 2
    found = []
    for (person, action), series in _series(moments).items():
        runs = _joined(_runs(series, half, settings), half, settings.max_gap)
        for first, last in runs:
            scores = [score for time, score in series if first <= time <= last]
            # Of the time before 0, too, so that the first key frame counts as any.
            if last - first + 2 * half >= settings.min_length - 1e-9:
                span = max(first - half, 0.0), last + half
                mean = float(np.mean(scores))
                found.append(Interval(person, action, *span, mean, max(scores)))
    return sorted(found, key=lambda i: (i.start, i.person, i.action))


def _check_order(moments: Sequence[Moment]) -> None:
    for before, after in itertools.pairwise(moments):
        if not after.time > before.time:
            raise UserError(
                f"The key frame at {after.time:g} s follows one at {before.time:g} s; "
                "expected the order of time, each once."
            )


def _series(moments):
    """(time, score) at all key frames with the person, by person and action."""
    actions = collections.defaultdict(set)
    for moment in moments:
        for person, scores in moment.people.items():
            actions[person].update(scores)
    series = collections.defaultdict(list)
    for moment in moments:
        for person, scores in moment.people.items():
            for action in actions[person]:
                series[person, action].append((moment.time, scores.get(action, 0.0)))
    return series


def _runs(series, half: float, settings: Settings):
    """First and last time of the key frames of each interval."""
    run, peak = [], 0.0
    for time, score in [*series, (np.inf, -1.0)]:
        # A key frame is missing between them, or the person is.
        is_apart = run and time - run[-1] > 3 * half + 1e-9
        if run and (is_apart or score < settings.low):
            if peak >= settings.high:
                yield run[0], run[-1]
            run, peak = [], 0.0
        if score >= settings.low:
            run.append(time)
            peak = max(peak, score)


def _joined(runs, half: float, max_gap: float):
    joined: list[tuple[float, float]] = []
    for first, last in runs:
        if joined and first - joined[-1][1] - 2 * half <= max_gap + 1e-9:
            first = joined.pop()[0]
        joined.append((first, last))
    return joined
