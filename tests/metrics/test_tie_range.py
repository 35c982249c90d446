"""The range that equal scores leave, against all orders of the rows."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest

from ava_jax.metrics import ava_map

# Means of a few exact ratios, added in another order.
ROUNDING = 1e-14
CLASSES = (1, 2)
# Of the first three, each has IoU 0.8 or less with the others.
BOXES = [(0, 0, 4, 5), (0, 0, 4, 4), (0, 0, 4, 3), (9, 9, 10, 10)]


def random_problem(seed, frames, detections, labels=CLASSES):
    """Few boxes, few scores: many ties, often for one box."""
    rng = np.random.default_rng(seed)

    def rows(count):
        return [
            (
                int(rng.integers(frames)),
                BOXES[rng.integers(4)],
                int(rng.choice(labels)),
                float(rng.choice([0.25, 0.5, 0.75], p=[0.2, 0.6, 0.2])),
            )
            for _ in range(count)
        ]

    return [row[:3] for row in rows(4)], rows(detections)


def boxes_of(rows):
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return ava_map.Boxes(*columns)


def rank(truth, detected, protocol):
    rankings = ava_map.rank(
        boxes_of(truth), boxes_of(detected), CLASSES, protocols=[protocol]
    )
    return rankings[protocol.name]


# ------------------------------------------------------- every order, by hand


def overlap(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def target(truth, row):
    """The ground-truth row that a detection aims at."""
    own = [i for i, other in enumerate(truth) if (other[0], other[2]) == row[::2][:2]]
    best = max(own, key=lambda i: (overlap(truth[i][1], row[1]), -i), default=None)
    return best if own and overlap(truth[best][1], row[1]) >= 0.5 else None


def outcomes(truth, detected, cap):
    """For each order of the rows, the (score, is true) of the rows kept by label."""
    listed = {row[0] for row in truth}
    found = set()
    for order in itertools.permutations(detected):
        ranked = sorted(order, key=lambda row: -row[3])
        frames = {row[0] for row in ranked}
        if cap:
            of_frame = [[r for r in ranked if r[0] == f][:cap] for f in sorted(frames)]
            ranked = [row for rows in of_frame for row in rows if row[0] in listed]
            ranked.sort(key=lambda row: -row[3])
        taken, result = set(), {label: [] for label in CLASSES}
        for row in ranked:
            aim = target(truth, row)
            result[row[2]].append((row[3], aim is not None and aim not in taken))
            taken.add(aim)
        found.add(tuple(tuple(sorted(result[label])) for label in CLASSES))
    return found


@functools.cache
def every_precision(flags, total):
    """APs of all orders in which detections of equal score can be ranked."""
    groups = [
        set(itertools.permutations([true for score, true in flags if score == level]))
        for level in sorted({score for score, _ in flags}, reverse=True)
    ]
    values = set()
    for parts in itertools.product(*groups):
        ranks = np.flatnonzero([flag for part in parts for flag in part]) + 1
        points = np.arange(1, len(ranks) + 1) / ranks
        best = [points[k:].max() for k in range(len(points))]
        values.add(sum(best) / total)
    return values


def extremes(truth, detected, cap=None):
    """(lowest, highest) of each averaged label, and of the mean, over all orders."""
    totals = {label: sum(row[2] == label for row in truth) for label in CLASSES}
    by_label = {label: set() for label in CLASSES if totals[label]}
    means = set()
    for outcome in outcomes(truth, detected, cap):
        ends = []
        for label, flags in zip(CLASSES, outcome, strict=True):
            if label in by_label:
                values = every_precision(flags, totals[label])
                by_label[label] |= values
                ends.append((min(values), max(values)))
        means |= {float(np.mean(column)) for column in zip(*ends, strict=True)}
    return {k: (min(v), max(v)) for k, v in by_label.items()}, (min(means), max(means))


# ----------------------------------------------------------------- no cap


@pytest.mark.parametrize("seed", range(60))
def test_exact_for_every_order(seed):
    truth, detected = random_problem(seed, frames=2, detections=6)
    by_label, mean = extremes(truth, detected)
    result = ava_map.average(rank(truth, detected, ava_map.PROTOCOLS["pyslowfast"]))
    for label, ends in by_label.items():
        assert result.ranges[label] == pytest.approx(ends, abs=ROUNDING)
    assert result.mean_range == pytest.approx(mean, abs=ROUNDING)


@pytest.mark.parametrize("protocol", ava_map.PROTOCOLS.values(), ids=ava_map.PROTOCOLS)
def test_orders_of_the_rows_reach_both_ends(protocol):
    """The highest always; the lowest unless tied detections aim at one box."""
    reached = 0
    for seed in range(25):
        truth, detected = random_problem(seed, frames=2, detections=5)
        low, high = ava_map.average(rank(truth, detected, protocol)).mean_range or (
            0,
            0,
        )
        means = [
            ava_map.average(rank(truth, order, protocol)).mean or 0
            for order in itertools.permutations(detected)
        ]
        assert max(means) == pytest.approx(high, abs=ROUNDING)
        assert min(means) >= low - ROUNDING
        aims = [(target(truth, row), row[3]) for row in detected]
        aims = [aim for aim in aims if aim[0] is not None]
        if len(set(aims)) == len(aims):
            reached += 1
            assert min(means) == pytest.approx(low, abs=ROUNDING)
    assert reached > 5


def test_float32_makes_ties():
    near = 0.5 + 1e-9  # more than 0.5, but not in float32
    truth = [(0, BOXES[0], 1)]
    detected = [(0, BOXES[0], 1, near), (0, BOXES[3], 1, 0.5)]
    results = [
        ava_map.average(rank(truth, detected, ava_map.PROTOCOLS[name])).ranges[1]
        for name in ("pyslowfast", "mmaction2")
    ]
    assert results == [(1, 1), (1 / 2, 1)]


# -------------------------------------------------------- ties at the cut


def has_rivals(truth, detected):
    """Whether two detections of one score aim at one box."""
    aims = [(target(truth, row), row[3]) for row in detected]
    aims = [aim for aim in aims if aim[0] is not None]
    return len(set(aims)) < len(aims)


@pytest.mark.parametrize("cap", [1, 2, 3, 4])
def test_no_order_leaves_the_range_with_a_cap(cap):
    protocol = dataclasses.replace(ava_map.PROTOCOLS["activitynet"], max_per_frame=cap)
    contested = exact = 0
    for seed in range(40):
        truth, detected = random_problem(seed, frames=1 + seed % 2, detections=6)
        by_label, (low, high) = extremes(truth, detected, cap)
        ranking = rank(truth, detected, protocol)
        contested += ranking.cut_ties is not None
        result = ava_map.average(ranking)
        for label, ends in by_label.items():
            least, most = result.ranges[label]
            assert most == pytest.approx(ends[1], abs=ROUNDING)
            assert least <= ends[0] + ROUNDING
            if not has_rivals(truth, detected):
                exact += 1
                assert least == pytest.approx(ends[0], abs=ROUNDING)
            assert least <= result.average_precision[label] <= most
        assert result.mean_range[0] <= low + ROUNDING
        assert result.mean_range[1] >= high - ROUNDING
    assert contested > 10 and exact > 5


def test_actions_compete_for_the_last_place():
    """Either of two is kept, so each AP is 0 or 1, but never both: the mean is 1/2."""
    protocol = dataclasses.replace(ava_map.PROTOCOLS["activitynet"], max_per_frame=1)
    truth = [(0, BOXES[0], 1), (0, BOXES[0], 2)]
    detected = [(0, BOXES[0], 1, 0.5), (0, BOXES[0], 2, 0.5)]
    result = ava_map.average(rank(truth, detected, protocol))
    assert result.average_precision == {1: 1, 2: 0}
    assert result.ranges == {1: (0, 1), 2: (0, 1)}
    assert extremes(truth, detected, 1)[1] == (1 / 2, 1 / 2)
    # What is said of the mean is that no order leaves the range, not that it is exact.
    assert result.mean_range == (0, 1)
