"""The protocols against the reference scripts, as `reference_scripts` restates them."""

import numpy as np
import pytest
import reference_scripts

from ava_jax.metrics import ava_map

# Means of some hundred exact ratios, added in another order.
ROUNDING = 1e-12
CLASSES = (1, 2, 3, 5)
EXCLUDED, KEYFRAMES = (3, 40), (6, 40, 7)


def random_problem(seed, decimals):
    """Some crowded frames, frames without ground truth, actions that are not scored.

    Corners are random, so that no detection is as near to one box as to another.
    """
    rng = np.random.default_rng(seed)

    def boxes(count):
        low = rng.random((count, 2)) * 0.7
        return np.hstack([low, low + 0.05 + 0.25 * rng.random((count, 2))])

    truth = [
        (int(frame), tuple(box), int(label))
        for frame, box, label in zip(
            np.sort(rng.integers(0, 6, 60)),
            boxes(60)[rng.integers(0, 60, 60)],
            rng.choice([1, 2, 3, 4, 7], 60),
            strict=True,
        )
    ]
    truth.append((8, truth[0][1], 7))  # a frame with an action that is not scored
    frames = np.concatenate([rng.integers(0, 9, 200), np.full(120, 1)])
    detected = []
    for frame in frames.tolist():
        near = [row for row in truth if row[0] == frame]
        if near and rng.random() < 0.7:
            box = np.array(near[rng.integers(len(near))][1])
            box = box + rng.normal(0, 0.02, 4)
        else:
            box = boxes(1)[0]
        if rng.random() < 0.03:
            box[2] = box[0]  # without area
        if box[0] > box[2] or box[1] > box[3]:
            continue  # MMAction2's crashes
        label = rng.choice([1, 2, 3, 4, 7])
        score = rng.random() ** 3
        score = score if decimals is None else round(score, decimals)
        detected.append((frame, tuple(box.tolist()), int(label), score))
    return truth, detected


def results(name, truth, detected):
    """By our evaluator and by the script: AP by label, without those not averaged."""
    boxes = ava_map.Boxes(*map(np.array, zip(*truth, strict=True)))
    found = ava_map.Boxes(*map(np.array, zip(*detected, strict=True)))
    options = {"excluded_frames": EXCLUDED, "keyframes": KEYFRAMES}
    ours = ava_map.evaluate(boxes, found, CLASSES, protocol=name, **options)
    theirs = reference_scripts.SCRIPTS[name](
        truth, detected, CLASSES, EXCLUDED, KEYFRAMES
    )
    return ours, theirs


@pytest.mark.parametrize("name", ava_map.PROTOCOLS)
@pytest.mark.parametrize("seed", range(20))
def test_equal_without_ties(name, seed):
    ours, theirs = results(name, *random_problem(seed, None))
    averaged = {k: v for k, v in ours.average_precision.items() if v is not None}
    assert averaged == pytest.approx(theirs, abs=ROUNDING)
    assert ours.mean == pytest.approx(np.mean(list(theirs.values())), abs=ROUNDING)
    # No ties, no range. float32 could make some, but does not here.
    assert ours.mean_range == (ours.mean, ours.mean)


@pytest.mark.parametrize("decimals", [1, 2, 3])
@pytest.mark.parametrize("name", ava_map.PROTOCOLS)
def test_in_the_range_with_ties(name, decimals):
    inside = []
    for seed in range(10):
        truth, detected = random_problem(seed, decimals)
        rng = np.random.default_rng(seed)
        for _ in range(3):
            detected = [detected[i] for i in rng.permutation(len(detected))]
            ours, theirs = results(name, truth, detected)
            for label, value in theirs.items():
                low, high = ours.ranges[label]
                assert low - ROUNDING <= value <= high + ROUNDING
                assert low <= ours.average_precision[label] <= high
            low, high = ours.mean_range
            mean = np.mean(list(theirs.values()))
            assert low - ROUNDING <= mean <= high + ROUNDING
            inside.append(mean - ours.mean)
    # The scripts do depend on the order of equal scores.
    assert np.abs(inside).max() > 1e-4


def test_the_problems_tell_the_scripts_apart():
    means = set()
    for name in ava_map.PROTOCOLS:
        _, theirs = results(name, *random_problem(0, None))
        means.add(round(np.mean(list(theirs.values())), 3))
    assert len(means) == 3
