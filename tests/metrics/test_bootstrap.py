"""Differences between two rankings and their intervals."""

import itertools

import numpy as np
import pytest

from ava_jax.metrics import ava_map, bootstrap

VIDEOS, FRAMES, CLASSES = 6, 12, (1, 2, 3)
# Weighted sums of up to a hundred ratios, added in another order.
ROUNDING = 1e-13


def make(seed, quality):
    """Ground truth and detections; video v has frames v, v + VIDEOS."""
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(FRAMES), 6)
    low = rng.random((len(frame), 2)) * 0.5
    box = np.hstack([low, low + 0.3])
    label = rng.integers(1, 4, len(frame))
    truth = ava_map.Boxes(frame, box, label)
    noise = np.random.default_rng(seed + 99)
    wrong = noise.random(len(frame)) > quality
    detected = ava_map.Boxes(
        frame, box + 0.4 * wrong[:, None], label, noise.random(len(frame))
    )
    return truth, detected


def rank(truth, detected):
    return ava_map.rank(truth, detected, CLASSES)["pyslowfast"]


def compare(truth, first, second, **options):
    return compare_runs(truth, [first], [second], **options)


def runs_of(truth, detections):
    return [
        bootstrap.Run(rank(truth, boxes), boxes.frame % VIDEOS) for boxes in detections
    ]


def compare_runs(truth, first, second, **options):
    sides = runs_of(truth, first), runs_of(truth, second)
    return bootstrap.compare(*sides, (truth.frame % VIDEOS, truth.label), **options)


def test_values_are_the_differences_of_the_metric():
    truth, first = make(0, 0.5)
    _, second = make(0, 0.8)
    results = [ava_map.average(rank(truth, boxes)) for boxes in (first, second)]
    comparison = compare(truth, first, second, resamples=10)
    change = results[1].mean - results[0].mean
    assert comparison.mean.value == pytest.approx(change, abs=ROUNDING)
    for label, difference in comparison.per_class.items():
        change = [result.average_precision[label] for result in results]
        change = change[1] - change[0]
        assert difference.value == pytest.approx(change, abs=ROUNDING)


def repeated(boxes, draw):
    """The boxes of the drawn videos, each draw with frames of its own."""
    parts = []
    for copy, video in enumerate(draw):
        rows = boxes.frame % VIDEOS == video
        columns = [None if column is None else column[rows] for column in boxes]
        columns[0] = columns[0] + copy * FRAMES
        parts.append(columns)
    return ava_map.Boxes(
        *(
            None if columns[0] is None else np.concatenate(columns)
            for columns in zip(*parts, strict=True)
        )
    )


def test_a_draw_is_the_metric_on_the_videos_drawn():
    """All draws of one video: the interval's ends are metrics of those videos.

    Of one video, copies rank next to the original, so AP is the same as
    without them and the metric on the video alone is what a draw must give.
    """
    truth, first = make(3, 0.4)
    _, second = make(3, 0.9)
    changes = []
    for video in range(VIDEOS):
        parts = [repeated(boxes, [video]) for boxes in (truth, first, second)]
        means = [ava_map.average(rank(parts[0], boxes)).mean for boxes in parts[1:]]
        changes.append(means[1] - means[0])
        comparison = compare(*parts, resamples=3)
        assert comparison.mean == pytest.approx([changes[-1]] * 3, abs=ROUNDING)
    assert len(set(changes)) > 1  # the videos do differ


def test_the_interval_is_that_of_all_draws():
    """Two videos, so four equally likely draws: ends are among three values."""
    truth, first = make(5, 0.4)
    _, second = make(5, 0.9)
    two = [repeated(boxes, [0, 1]) for boxes in (truth, first, second)]
    values = []
    for draw in itertools.product([0, 1], repeat=2):
        parts = [repeated(boxes, sorted(set(draw))) for boxes in (truth, first, second)]
        means = [ava_map.average(rank(parts[0], boxes)).mean for boxes in parts[1:]]
        values.append(means[1] - means[0])
    sides = [
        [bootstrap.Run(rank(two[0], boxes), boxes.frame // FRAMES)] for boxes in two[1:]
    ]
    labels = two[0].frame // FRAMES, two[0].label
    comparison = bootstrap.compare(*sides, labels, resamples=200)
    assert comparison.mean.low == pytest.approx(min(values), abs=ROUNDING)
    assert comparison.mean.high == pytest.approx(max(values), abs=ROUNDING)


def test_the_interval_holds_95_percent_of_the_draws():
    """Only video 0 of four makes a difference: a quarter for each time it is drawn.

    It is drawn up to twice in 94.9 % of the draws and up to three times in 99.6 %,
    so the upper end is three quarters, while one of 90 % would end at a half.
    """
    box = np.tile([0.1, 0.1, 0.5, 0.5], (4, 1))
    frame, label = np.arange(4), np.ones(4, int)
    truth = ava_map.Boxes(frame, box, label)
    second = ava_map.Boxes(frame, box, label, np.linspace(0.9, 0.6, 4))
    first = ava_map.Boxes(*(column[1:] for column in second))
    sides = [
        [bootstrap.Run(ava_map.rank(truth, x, [1])["pyslowfast"], x.frame)]
        for x in (first, second)
    ]
    found = bootstrap.compare(*sides, (frame, label), resamples=4000).mean
    assert (found.value, found.low, found.high) == pytest.approx((0.25, 0, 0.75))


def test_equal_detections_do_not_differ():
    truth, detected = make(1, 0.6)
    comparison = compare(truth, detected, detected, resamples=20)
    assert comparison.mean == (0, 0, 0)


def test_the_seed_decides():
    truth, first = make(0, 0.5)
    _, second = make(0, 0.8)
    one, same, other = (
        compare(truth, first, second, resamples=20, seed=seed) for seed in (1, 1, 2)
    )
    assert one == same
    assert one.mean.low != other.mean.low


def test_without_ground_truth_there_is_no_difference():
    truth, detected = make(0, 0.5)
    keep = truth.label != 2
    truth = ava_map.Boxes(truth.frame[keep], truth.box[keep], truth.label[keep])
    comparison = compare(truth, detected, detected, resamples=5)
    assert comparison.per_class[2] == (None, None, None)
    assert comparison.mean.value == 0


def test_the_mean_of_a_run_has_an_interval():
    truth, detected = make(2, 0.7)
    (run,) = runs_of(truth, [detected])
    labels = truth.frame % VIDEOS, truth.label
    found = bootstrap.mean_interval(run, labels, resamples=200)
    value = ava_map.average(run.ranking).mean
    assert found.value == pytest.approx(value, abs=ROUNDING)
    assert found.low < value < found.high
    # Detections that find nothing are the other side of the same difference.
    nothing = detected._replace(box=detected.box + 9)
    assert compare(truth, nothing, detected, resamples=200).mean == found


def test_several_runs_of_a_side_are_averaged():
    truth, _ = make(0, 0.5)
    first = [make(0, quality)[1] for quality in (0.4, 0.5, 0.6)]
    second = [make(0, quality)[1] for quality in (0.7, 0.9)]
    means = [
        np.mean([ava_map.average(rank(truth, boxes)).mean for boxes in side])
        for side in (first, second)
    ]
    found = compare_runs(truth, first, second, resamples=100).mean
    assert found.value == pytest.approx(means[1] - means[0], abs=ROUNDING)


def test_runs_are_drawn_like_videos():
    """One video, so only the runs differ between draws."""
    truth, _ = make(4, 0.5)
    runs = [make(4, quality)[1] for quality in (0.3, 0.9)]
    one = [repeated(boxes, [2]) for boxes in (truth, *runs)]
    values = [ava_map.average(rank(one[0], boxes)).mean for boxes in one[1:]]
    worst = one[1]._replace(box=one[1].box + 9)
    found = compare_runs(one[0], [worst], one[1:], resamples=200).mean
    # A quarter of the draws have one run twice.
    expected = np.mean(values), min(values), max(values)
    assert found == pytest.approx(expected, abs=ROUNDING)
