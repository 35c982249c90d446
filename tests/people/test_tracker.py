import importlib.resources

import numpy as np
import pytest

from ava_jax import annotations
from ava_jax.people import Tracker
from ava_jax.people.motion import Motion

SIZE = np.array([40, 100])


def boxes_at(*centres, size=SIZE):
    centres = np.array(centres, np.float64).reshape(-1, 2)
    boxes = np.hstack([centres - size / 2, centres + size / 2])
    return np.hstack([boxes, np.ones((len(boxes), 1))]).astype(np.float32)


def follow(tracker, moments):
    return [tracker.update(boxes_at(*centres)).tolist() for centres in moments]


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        # One stands, one walks nearly a height a second, side by side at first.
        (
            [
                [(100, 100), (300, 100)],
                [(100, 100), (370, 100)],
                [(101, 100), (440, 100)],
            ],
            [[1, 2], [1, 2], [1, 2]],
        ),
        # The order of the boxes does not matter.
        ([[(100, 100), (300, 100)], [(305, 100), (100, 100)]], [[1, 2], [2, 1]]),
        # Two walk past each other: only their velocities tell them apart.
        (
            [
                [(100, 100), (300, 110)],
                [(150, 100), (250, 110)],
                [(200, 100), (200, 110)],
                [(250, 100), (150, 110)],
                [(300, 100), (100, 110)],
            ],
            [[1, 2]] * 5,
        ),
        # A miss of two moments, while walking.
        (
            [[(100, 100)], [(130, 100)], [(160, 100)], [], [], [(250, 100)]],
            [[1], [1], [1], [], [], [1]],
        ),
        # A long absence is a new person.
        ([[(100, 100)], [], [], [], [(100, 100)]], [[1], [], [], [], [2]]),
        # Someone far away is someone else; so is a giant.
        ([[(100, 100)], [(400, 100)]], [[1], [2]]),
        # The newcomer beside the old one does not take the number.
        ([[(100, 100)], [(150, 100), (102, 100)]], [[1], [2, 1]]),
        ([[], []], [[], []]),
    ],
)
def test_numbers(moments, expected):
    assert follow(Tracker(), moments) == expected


def test_numbers_do_not_depend_on_the_scale():
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, 500, (3, 2))
    steps = rng.normal(0, 15, (12, 3, 2))
    runs = []
    for scale in (0.1, 1, 10):
        tracker = Tracker()
        runs.append(
            [
                tracker.update(boxes_at(*moment, size=SIZE) * scale).tolist()
                for moment in centres + np.cumsum(steps, axis=0)
            ]
        )
    assert runs[0] == runs[1] == runs[2]


def test_time_decides_how_far_people_come():
    # 25 times a second, everybody moves little from one moment to the next.
    tracker = Tracker()
    for i in range(50):
        x = 100 + 100 * i / 25
        numbers = tracker.update(boxes_at((x, 100), (500 - x, 105)), time=i / 25)
        assert numbers.tolist() == [1, 2]


def test_patience_is_in_seconds():
    tracker = Tracker(patience=0.5)
    assert tracker.update(boxes_at((100, 100)), time=10.0).tolist() == [1]
    assert tracker.update(boxes_at((100, 100)), time=10.5).tolist() == [1]
    assert tracker.update(boxes_at((100, 100)), time=11.1).tolist() == [2]


@pytest.mark.parametrize("size", [(0, 0), (0, 100)])
def test_boxes_without_area(size):
    tracker = Tracker()
    flat = boxes_at((100, 100), (200, 100), size=np.array(size))
    assert tracker.update(flat).tolist() == [1, 2]
    assert len(set(tracker.update(flat).tolist())) == 2


def test_scores_are_smoothed_for_every_person():
    tracker = Tracker()
    first = np.array([[0.0, 1.0], [1.0, 1.0]], np.float32)
    numbers = tracker.update(boxes_at((100, 100), (300, 100)))
    np.testing.assert_array_equal(tracker.smooth(numbers, first), first)
    # The other order, and one newcomer, whose scores are as they are.
    numbers = tracker.update(boxes_at((300, 100), (100, 100), (500, 100)))
    second = np.array([[0.0, 1.0], [1.0, 0.0], [0.25, 0.75]], np.float32)
    smoothed = tracker.smooth(numbers, second)
    old = np.exp(-1.0)
    expected = [[old, 1.0], [1 - old, old], [0.25, 0.75]]
    np.testing.assert_allclose(smoothed, expected, rtol=1e-6)
    assert smoothed.dtype == np.float32
    # Twice as long ago weighs the square.
    numbers = tracker.update(boxes_at((300, 100)), time=3.0)
    third = tracker.smooth(numbers, np.ones((1, 2), np.float32))
    weight = np.exp(-2.0)
    np.testing.assert_allclose(third, [[1 - weight + weight * old, 1]], rtol=1e-6)


def test_smoothing_nobody():
    tracker = Tracker()
    numbers = tracker.update(np.zeros((0, 5), np.float32))
    assert tracker.smooth(numbers, np.zeros((0, 7), np.float32)).shape == (0, 7)


def test_numbers_change_25_times_in_421_on_a_real_street():
    """The figure of docs/video.md, on vtest.avi's annotated people, a second apart."""
    folder = importlib.resources.files("ava_jax.prepare") / "vtest_annotations"
    seen_again = changes = 0
    for split in ("train", "val"):
        table = annotations.read_boxes(folder / f"vtest_{split}.csv")
        tracker, last = Tracker(), {}
        for second in np.unique(table.timestamp):
            rows = np.flatnonzero(table.timestamp == second)
            people, first = np.unique(table.entity[rows], return_index=True)
            boxes = table.box[rows[first]] * (768, 576, 768, 576)
            numbers = tracker.update(boxes, time=float(second)).tolist()
            for person, number in zip(people.tolist(), numbers):
                seen_again += person in last
                changes += last.get(person, number) != number
                last[person] = number
    assert (changes, seen_again) == (25, 421)


@pytest.mark.parametrize(("heights", "expected"), [(1.2, 1), (1.3, 2)])
def test_reach_of_a_person_who_was_seen_once(heights, expected):
    # A second later, 0.35 heights of jitter and 0.9 of movement may lie between.
    tracker = Tracker()
    tracker.update(boxes_at((100, 100)))
    numbers = tracker.update(boxes_at((100 + 100 * heights, 100)))
    assert numbers.tolist() == [expected]


def test_a_person_who_stops_is_expected_where_a_kalman_filter_says():
    """Of constant velocity, written out in its textbook form for one coordinate."""
    height, positions = 100.0, [0.0, 60.0, 120.0, 120.0]
    variance_of_jitter = (0.05 * height) ** 2
    state = np.array([positions[0], 0.0])
    covariance = np.diag([variance_of_jitter, (0.7 * height) ** 2])
    move, observe = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([1.0, 0.0])
    pushed = np.outer([0.5, 1.0], [0.5, 1.0]) * (0.6 * height) ** 2
    motion = Motion(boxes_at((positions[0], 0))[0, :4])
    for position in positions[1:]:
        state, covariance = move @ state, move @ covariance @ move.T + pushed
        gain = covariance @ observe / (covariance[0, 0] + variance_of_jitter)
        state = state + gain * (position - state[0])
        covariance = covariance - np.outer(gain, observe @ covariance)
        motion.advance(1.0)
        motion.observe(boxes_at((position, 0))[0, :4])
    motion.advance(1.0)
    box = motion.box()
    np.testing.assert_allclose((box[0] + box[2]) / 2, state.sum(), rtol=1e-9)
