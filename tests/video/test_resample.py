"""Frames at another rate."""

import dataclasses

import numpy as np
import pytest

from ava_jax.video.resample import at_rate


@dataclasses.dataclass(frozen=True)
class Frame:
    time: float


def resampled(times, fps):
    """Positions in `times` of the frames at the rate."""
    frames = [Frame(time) for time in times]
    pairs = list(at_rate(iter(frames), fps))
    assert [index for index, _ in pairs] == list(range(len(pairs)))
    return [frames.index(frame) for _, frame in pairs]


@pytest.mark.parametrize(
    ("times", "fps", "expected"),
    [
        (np.arange(5) / 30, 30, [0, 1, 2, 3, 4]),
        # Milliseconds, as Matroska has them.
        (np.round(np.arange(9) / 30, 3), 30, list(range(9))),
        (np.arange(6) / 60, 30, [0, 2, 4]),
        # As near to both neighbours: the earlier.
        (np.arange(3) / 15, 30, [0, 0, 1, 1, 2, 2]),
        (np.arange(5) / 25, 30, [0, 1, 2, 2, 3, 4]),
        ([0.0, 0.1, 0.9, 1.0], 10, [0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3]),
        # 2.4 intervals of the new rate: less than half a third one.
        (np.arange(2) / 24, 29, [0, 1]),
        ([0.0], 30, [0]),
        ([0.0, 0.001], 30, [0]),
        ([], 30, []),
    ],
    ids=[
        "same",
        "rounded",
        "half",
        "double",
        "25",
        "gap",
        "end",
        "one",
        "short",
        "none",
    ],
)
def test_frames(times, fps, expected):
    assert resampled(list(times), fps) == expected


@pytest.mark.parametrize("source", [10, 23.976, 24, 25, 29.97, 50, 60, 240])
def test_as_long_as_before(source):
    times = (np.arange(int(4 * source)) / source).tolist()
    assert len(resampled(times, 30)) == round(len(times) / source * 30)


def test_the_nearest_frame_is_taken(rng):
    times = np.cumsum(rng.uniform(0.005, 0.3, 50)).round(3)
    times -= times[0]
    found = resampled(times.tolist(), 24)
    slots = np.arange(len(found)) / 24
    np.testing.assert_array_equal(found, np.abs(times - slots[:, None]).argmin(1))


def test_frames_come_as_soon_as_they_are_certain():
    taken = []

    def source():
        for i in range(100):
            taken.append(i)
            yield Frame(i / 30)

    for index, _ in at_rate(source(), 30):
        assert len(taken) <= index + 2
