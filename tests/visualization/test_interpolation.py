import types

import numpy as np
import pytest
from video_results import result

from ava_jax.visualization.interpolation import interpolate

LEFT, MIDDLE, RIGHT = (0, 0, 10, 20), (20, 0, 30, 20), (40, 0, 50, 20)
SCORES = (0.1, 0.2, 0.3)


def frames(*times, grey=90):
    """Frames that look like those of `result`, or darker."""
    picture = np.full((48, 64, 3), grey, np.uint8)
    return [types.SimpleNamespace(time=time, rgb=picture) for time in times]


def people_at(time, *results, grey=90):
    ((_, people),) = interpolate(frames(time, grey=grey), results)
    boxes = people.boxes.tolist()
    return dict(zip(people.track_ids.tolist(), boxes, strict=True))


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (0.0, {1: [0, 0, 10, 20], 2: [*MIDDLE]}),
        (0.2, {1: [8, 0, 18, 20], 2: [*MIDDLE]}),
        (0.25, {1: [10, 0, 20, 20], 2: [*MIDDLE]}),
        (0.26, {1: [10.4, 0, 20.4, 20]}),  # number 2 will not be seen again
        (0.6, {1: [24, 0, 34, 20]}),
        (0.9, {3: [*MIDDLE], 1: [36, 0, 46, 20]}),  # in the order of the later one
        (1.0, {3: [*MIDDLE], 1: [*RIGHT]}),
        (1.7, {3: [*MIDDLE], 1: [*RIGHT]}),  # behind the last key frame
    ],
)
def test_people_move_evenly(time, expected):
    before = result(0.0, {1: (LEFT, SCORES), 2: (MIDDLE, SCORES)})
    after = result(1.0, {3: (MIDDLE, SCORES), 1: (RIGHT, SCORES)})
    found = people_at(time, before, after)
    assert list(found) == list(expected)
    for number, box in expected.items():
        np.testing.assert_allclose(found[number], box, rtol=1e-6)


@pytest.mark.parametrize(
    ("time", "grey", "expected"),
    [
        (0.2, 90, {1: [*LEFT]}),  # before the cut, where all stand still
        (0.4, 90, {}),
        (0.4, 10, {}),  # behind it, nearer to the key frame before it
        (0.6, 10, {}),
        (0.9, 10, {1: [*RIGHT]}),
        (0.1, 200, {}),  # a shot of its own
        (0.9, 200, {}),
    ],
)
def test_nobody_moves_through_a_cut(time, grey, expected):
    before = result(0.0, {1: (LEFT, SCORES)})
    after = result(1.0, {1: (RIGHT, SCORES)}, grey=10)
    assert people_at(time, before, after, grey=grey) == expected


def test_behind_the_last_key_frame():
    last = result(0.0, {1: (LEFT, SCORES)})
    assert people_at(0.9, last) == {1: [*LEFT]}
    assert people_at(0.9, last, grey=10) == {}


def test_actions_are_those_of_the_nearest_key_frame():
    results = [result(t, {1: (LEFT, (t, 0, 0))}) for t in (0.0, 1.0, 2.0)]
    joined = list(interpolate(frames(0.0, 0.4, 0.6, 1.4, 1.6, 2.5), results))
    assert [people.time for _, people in joined] == [0, 0, 1, 1, 2, 2]
    assert [people.scores[0, 1] for _, people in joined] == [0, 0, 1, 1, 2, 2]


def test_several_key_frames_between_two_frames():
    results = [result(t / 10, {t: (LEFT, SCORES)}) for t in range(30)]
    joined = list(interpolate(frames(0.0, 0.95, 2.9), results))
    assert [people.track_ids.tolist() for _, people in joined] == [[0], [], [29]]


def test_nobody():
    assert people_at(0.5, result(0.0, {}), result(1.0, {})) == {}


def test_results_are_asked_for_when_they_are_needed():
    asked = []

    def results():
        for t in range(100):
            asked.append(t)
            yield result(float(t), {})

    joined = interpolate(frames(*np.arange(0, 50, 0.5)), results())
    for _ in range(10):  # up to 4.5 s
        next(joined)
    assert max(asked) == 5
