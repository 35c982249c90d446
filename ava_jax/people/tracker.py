"""Gives people numbers that stay the same from one moment to the next.

Kept libraries don't serve: `trackers` brings the OpenCV wheel with a user interface,
which overwrites the headless one, `norfair` needs NumPy 1, and both are made for
every frame of a video, not for key-frames.
"""

import dataclasses

import numpy as np
from scipy.optimize import linear_sum_assignment

from ava_jax.people.motion import Motion

# How far from where they are expected people may be found, in their heights: the
# detector's jitter, and what they may do in so many seconds. Key-frames a second
# apart are too far apart for IoU: on OpenCV's vtest.avi, of 421 times that a person
# is seen again, IoU (generalised, at its best limit) gives 46 another number, this 25.
_JITTER = 0.35
_REACH = 0.9  # a second
_LONGEST = 1.0  # seconds, after which uncertainty grows no more

_MEMORY = 1.0  # seconds, the time constant of smoothing scores


@dataclasses.dataclass
class _Track:
    number: int
    motion: Motion
    seen: float  # seconds
    scores: np.ndarray | None = None
    scored: float = 0.0  # seconds


class Tracker:
    """Numbers people by where they are expected to be.

    Every person's box moves with constant velocity (a Kalman filter); boxes are
    assigned to the expected ones by their distance and their height, the best
    whole assignment first (Hungarian method). Looks are not compared: two people
    who cross between two key-frames may swap numbers.
    """

    def __init__(self, patience: float = 3.0):
        """Starts without people.

        Args:
          patience: a person who is not seen for more seconds than this comes back
            under a new number.
        """
        self._patience = patience
        self._tracks: list[_Track] = []
        self._next = 1
        self._time: float | None = None

    def update(self, boxes: np.ndarray, time: float | None = None) -> np.ndarray:
        """Numbers the people of the next moment.

        Args:
          boxes: (N, 4) or (N, 5) x1, y1, x2, y2 in pixels; more columns are
            ignored.
          time: of the boxes, in seconds; one second after the last by default.

        Returns:
          (N,) int64 numbers, from 1; nobody shares one.
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
        """Averages every person's scores over the last moments, exponentially.

        Args:
          numbers: (N,) as the last `update` gave them.
          scores: (N, C) of the same people at that moment.

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
        """Moves everybody on to `time` and forgets who was not seen for long."""
        self._tracks = [t for t in self._tracks if time - t.seen <= self._patience]
        for track in self._tracks:
            track.motion.advance(time - self._time)
        self._time = time


def _assign(
    boxes: np.ndarray, expected: np.ndarray, unseen: np.ndarray
) -> list[tuple[int, int]]:
    """Pairs (index into `boxes`, index into `expected`) that belong together."""
    reach = _JITTER + _REACH * np.minimum(unseen, _LONGEST)
    # Beyond reach every pair is equally bad, so that nobody gets a worse pair in
    # order that another one gets a hopeless one.
    affinity = np.maximum(1 - _distance(boxes, expected) / reach, 0)
    rows, columns = linear_sum_assignment(affinity, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(i, k) for i, k in pairs if affinity[i, k] > 0]


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How different each of a (M, 4) is from each of b (N, 4): (M, N).

    From centre to centre, in their mean height, and the logarithm of how many
    times one is higher than the other.
    """
    a, b = a[:, None], b[None]
    way = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    heights = (np.maximum(box[..., 3] - box[..., 1], 1.0) for box in (a, b))
    log_a, log_b = (np.log(height) for height in heights)
    far = np.hypot(way[..., 0], way[..., 1]) / np.exp((log_a + log_b) / 2)
    return far + np.abs(log_a - log_b)
