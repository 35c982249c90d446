"""Tracks people from key frame to key frame.

The usual libraries do not fit: `trackers` installs the OpenCV wheel with a user
interface, which overwrites the headless one, `norfair` needs NumPy 1, and both expect
every frame of a video, not key frames.
"""

import dataclasses

import numpy as np
from scipy.optimize import linear_sum_assignment

from ava_jax.people.motion import Motion

# Largest distance of a person from the expected box, in heights: the jitter of the
# detector, and unexpected movement a second. Key frames a second apart are too far
# apart for IoU: on OpenCV's vtest.avi, of 421 times that a person is seen again, the
# number changes 46 times with IoU (generalised, at its best limit), 25 times with this.
_JITTER = 0.35
_REACH = 0.9  # a second
_LONGEST = 1.0  # seconds after which the distance no longer grows

_MEMORY = 1.0  # seconds, the time constant of smoothing scores


@dataclasses.dataclass
class _Track:
    number: int
    motion: Motion
    seen: float  # seconds
    scores: np.ndarray | None = None
    scored: float = 0.0  # seconds


class Tracker:
    """Assigns track numbers by position.

    The box of a person moves with constant velocity (a Kalman filter). Detected boxes
    are assigned to expected ones by distance and height (Hungarian method). Appearance
    is not compared: two people who cross between two key frames may swap numbers.
    """

    def __init__(self, patience: float = 3.0):
        """Starts without tracks.

        Args:
          patience: seconds after which a person who was not seen gets a new number.
        """
        self._patience = patience
        self._tracks: list[_Track] = []
        self._next = 1
        self._time: float | None = None

    def update(self, boxes: np.ndarray, time: float | None = None) -> np.ndarray:
        """Assigns numbers to the people of the next key frame.

        Args:
          boxes: (N, 4) or (N, 5) x1, y1, x2, y2 in pixels; more columns are
            ignored.
          time: of the boxes, in seconds; one second after the last by default.

        Returns:
          (N,) int64, different numbers from 1.
        """
        boxes = np.asarray(boxes, np.float64)[:, :4]
        if time is None:
            time = 0.0 if self._time is None else self._time + 1.0
        self._advance(time)
        numbers = np.zeros(len(boxes), np.int64)
        expected = np.array([track.motion.box() for track in self._tracks])
        unseen = np.array([time - track.seen for track in self._tracks])
        for i, k in _assign(boxes, expected.reshape(-1, 4), unseen):
            track = self._tracks[k]
            track.motion.observe(boxes[i])
            track.seen = time
            numbers[i] = track.number
        for i in np.flatnonzero(numbers == 0):
            self._tracks.append(_Track(self._next, Motion(boxes[i]), time))
            numbers[i] = self._next
            self._next += 1
        return numbers

    def smooth(self, numbers: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Averages the scores of every person over time, exponentially.

        Args:
          numbers: (N,) as the last `update` gave them.
          scores: (N, C) of the same people.

        Returns:
          (N, C) of the type of `scores`; those of a new person are unchanged.
        """
        tracks = {track.number: track for track in self._tracks}
        smoothed = np.array(scores)
        for row, number in zip(smoothed, np.asarray(numbers).tolist(), strict=True):
            track = tracks[number]
            if track.scores is not None:
                fresh = -np.expm1((track.scored - self._time) / _MEMORY)
                row[:] = fresh * row + (1 - fresh) * track.scores
            track.scores, track.scored = row.copy(), self._time
        return smoothed

    def _advance(self, time: float) -> None:
        """Advances all tracks to `time` and drops those that were not seen for long."""
        self._tracks = [t for t in self._tracks if time - t.seen <= self._patience]
        for track in self._tracks:
            track.motion.advance(time - self._time)
        self._time = time


def _assign(
    boxes: np.ndarray, expected: np.ndarray, unseen: np.ndarray
) -> list[tuple[int, int]]:
    """Assigned pairs (index into `boxes`, index into `expected`)."""
    reach = _JITTER + _REACH * np.minimum(unseen, _LONGEST)
    # All pairs beyond reach count 0. Otherwise the assignment would trade a good pair
    # for a hopeless one that is slightly less hopeless.
    affinity = np.maximum(1 - _distance(boxes, expected) / reach, 0)
    rows, columns = linear_sum_assignment(affinity, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(i, k) for i, k in pairs if affinity[i, k] > 0]


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance of each box of a (M, 4) to each of b (N, 4): (M, N).

    The distance of the centres in units of the geometric mean of the heights, plus the
    absolute logarithm of the ratio of the heights.
    """
    a, b = a[:, None], b[None]
    way = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    heights = (np.maximum(box[..., 3] - box[..., 1], 1.0) for box in (a, b))
    log_a, log_b = (np.log(height) for height in heights)
    far = np.hypot(way[..., 0], way[..., 1]) / np.exp((log_a + log_b) / 2)
    return far + np.abs(log_a - log_b)
