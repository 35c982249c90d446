"""The metric against hand-computed cases, a plain implementation, references."""

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from ava_jax import annotations, scoring
from ava_jax.metrics import ava_map

DATA = Path(__file__).parents[1] / "data" / "annotations"

# A mean over ground truth of exact ratios: a few roundings of numbers up to 1.
ROUNDING = 1e-14


def boxes_of(rows, with_scores):
    """Boxes of rows (frame, box, label[, score])."""
    return ava_map.Boxes(
        np.array([row[0] for row in rows], np.int32),
        np.array([row[1] for row in rows], np.float64).reshape(-1, 4),
        np.array([row[2] for row in rows], np.int32),
        np.array([row[3] for row in rows], np.float64) if with_scores else None,
    )


def evaluate(truth, detected, class_ids, **options):
    truth, detected = boxes_of(truth, False), boxes_of(detected, True)
    return ava_map.evaluate(truth, detected, class_ids, **options)


# ------------------------------------------------------------ computed by hand

LEFT, RIGHT, FAR = (0, 0, 4, 4), (4, 0, 8, 4), (9, 9, 10, 10)
HALF = (0, 0, 4, 2)  # IoU 1/2 with LEFT
LESS = (0, 0, 4, 1.99)


@pytest.mark.parametrize(
    ("truth", "detected", "expected"),
    [
        # One person, found.
        ([(0, LEFT, 1)], [(0, LEFT, 1, 0.1)], 1.0),
        # An IoU of exactly the threshold is enough, less is not.
        ([(0, LEFT, 1)], [(0, HALF, 1, 0.1)], 1.0),
        ([(0, LEFT, 1)], [(0, LESS, 1, 0.1)], 0.0),
        # True, false, true: precision 1, 2/3 at recall 1/2, 1.
        (
            [(0, LEFT, 1), (0, RIGHT, 1)],
            [(0, LEFT, 1, 0.9), (0, FAR, 1, 0.8), (0, RIGHT, 1, 0.7)],
            (1 + 2 / 3) / 2,
        ),
        # False, true, true: the envelope lifts 1/2 to 2/3.
        (
            [(0, LEFT, 1), (0, RIGHT, 1)],
            [(0, FAR, 1, 0.9), (0, LEFT, 1, 0.8), (0, RIGHT, 1, 0.7)],
            2 / 3,
        ),
        # A second detection of the same person is false, and comes first here.
        (
            [(0, LEFT, 1), (1, LEFT, 1)],
            [(0, LEFT, 1, 0.9), (0, LEFT, 1, 0.8), (1, LEFT, 1, 0.7)],
            (1 + 2 / 3) / 2,
        ),
        # The box of highest IoU is taken; if it is taken already, no other is.
        (
            [(0, LEFT, 1), (0, HALF, 1)],
            [(0, LEFT, 1, 0.9), (0, LEFT, 1, 0.8)],
            1 / 2,
        ),
        # The right box and frame, the wrong action.
        ([(0, LEFT, 1)], [(0, LEFT, 2, 0.9)], 0.0),
        # The right box and action, the wrong frame.
        ([(0, LEFT, 1)], [(1, LEFT, 1, 0.9)], 0.0),
        # The order of rows does not matter, that of scores does.
        (
            [(0, LEFT, 1)],
            [(0, LEFT, 1, 0.1), (0, FAR, 1, 0.2), (0, FAR, 1, 0.05)],
            1 / 2,
        ),
        # Of equal scores, the first row ranks first.
        ([(0, LEFT, 1)], [(0, LEFT, 1, 0.5), (0, FAR, 1, 0.5)], 1.0),
        ([(0, LEFT, 1)], [(0, FAR, 1, 0.5), (0, LEFT, 1, 0.5)], 1 / 2),
        # A box annotated twice has to be found twice, and cannot be.
        (
            [(0, LEFT, 1), (0, LEFT, 1)],
            [(0, LEFT, 1, 0.9), (0, LEFT, 1, 0.8)],
            1 / 2,
        ),
    ],
)
def test_by_hand(truth, detected, expected):
    result = evaluate(truth, detected, [1])
    assert result.average_precision[1] == pytest.approx(expected, abs=ROUNDING)
    assert result.mean == result.average_precision[1]


TRUTH = [(0, LEFT, 1), (1, LEFT, 2), (2, LEFT, 9)]
CROWD = [(0, FAR, 3, 0.95)] * 49


@pytest.mark.parametrize(
    ("detected", "options", "expected"),
    [
        # Class 3 has no ground truth, class 2 no detections.
        (
            [(0, LEFT, 1, 0.9), (0, LEFT, 3, 0.9)],
            {},
            ([1, 0, None], [1, 0, None], [1, None, None]),
        ),
        # A false alarm on a frame that the ground truth does not list.
        (
            [(0, LEFT, 1, 0.8), (5, LEFT, 1, 0.9)],
            {},
            ([1 / 2, 0, None], [1, 0, None], [1, None, None]),
        ),
        # The ground truth lists the frame, without a box or with another action.
        (
            [(0, LEFT, 1, 0.8), (5, LEFT, 1, 0.9)],
            {"keyframes": [5]},
            ([1 / 2, 0, None], [1 / 2, 0, None], [1, None, None]),
        ),
        (
            [(0, LEFT, 1, 0.8), (2, LEFT, 1, 0.9)],
            {},
            ([1 / 2, 0, None], [1 / 2, 0, None], [1, None, None]),
        ),
        # A box without area.
        (
            [(0, LEFT, 1, 0.8), (0, (1, 1, 1, 2), 1, 0.9)],
            {},
            ([1, 0, None], [1, 0, None], [1 / 2, None, None]),
        ),
        # An inverted box: the reference of `mmaction2` crashes on it.
        (
            [(0, LEFT, 1, 0.8), (0, (2, 1, 1, 2), 1, 0.9)],
            {},
            ([1, 0, None], [1, 0, None], [1, None, None]),
        ),
        # Frame 1, with a row of class 2, is excluded. It still counts as ground
        # truth to `mmaction2`, though nothing can find it.
        (
            [(0, LEFT, 1, 0.8), (0, FAR, 2, 0.5), (1, LEFT, 2, 0.9)],
            {"excluded_frames": [1, 77]},
            ([1, None, None], [1, None, None], [1, 0, None]),
        ),
        # Excluded frames are not listed.
        (
            [(0, LEFT, 1, 0.8), (5, LEFT, 1, 0.9)],
            {"keyframes": [5], "excluded_frames": [5]},
            ([1, 0, None], [1, 0, None], [1, None, None]),
        ),
        # The 51st detection of a frame, of whatever actions the others are.
        (
            [(0, LEFT, 1, 0.8), (0, FAR, 2, 0.9), *CROWD, (1, LEFT, 2, 0.1)],
            {},
            ([1, 1 / 2, None], [0, 1 / 2, None], [1, 1 / 2, None]),
        ),
        # The 50th; and actions that are not scored do not count among them.
        (
            [(0, LEFT, 1, 0.8), *CROWD, (0, FAR, 4, 0.9), (0, FAR, -1, 0.9)],
            {},
            ([1, 0, None], [1, 0, None], [1, None, None]),
        ),
        # Boxes that are dropped later do: without area, or inverted.
        (
            [(0, LEFT, 1, 0.8), (0, (1, 1, 1, 2), 2, 0.9), *CROWD],
            {},
            ([1, 0, None], [0, 0, None], [1, 0, None]),
        ),
        (
            [(0, LEFT, 1, 0.8), (0, (2, 1, 1, 2), 2, 0.9), *CROWD],
            {},
            ([1, 0, None], [0, 0, None], [1, None, None]),
        ),
        # Of equal scores at the cut the first rows are kept.
        (
            [(0, LEFT, 1, 0.8), (0, FAR, 2, 0.8), *CROWD],
            {},
            ([1, 0, None], [1, 0, None], [1, 0, None]),
        ),
        (
            [(0, FAR, 2, 0.8), (0, LEFT, 1, 0.8), *CROWD],
            {},
            ([1, 0, None], [0, 0, None], [1, 0, None]),
        ),
    ],
)
def test_where_the_protocols_differ(detected, options, expected):
    names = ("pyslowfast", "activitynet", "mmaction2")
    for protocol, values in zip(names, expected, strict=True):
        result = evaluate(TRUTH, detected, [1, 2, 3], protocol=protocol, **options)
        assert list(result.average_precision.values()) == values
        averaged = [value for value in values if value is not None]
        assert result.mean == pytest.approx(np.mean(averaged), abs=ROUNDING)


def test_float32_is_part_of_mmaction2():
    """IoU 0.5 - 3e-9, which float32 rounds to 0.5, and scores that it equates."""
    low = (0, 0, 4, 2 - 1.2e-8)
    rows = [(0, low, 1, 0.5)]
    truth = [(0, LEFT, 1)]
    assert evaluate(truth, rows, [1]).mean == 0
    assert evaluate(truth, rows, [1], protocol="mmaction2").mean == 1


@pytest.mark.parametrize("protocol", ava_map.PROTOCOLS)
@pytest.mark.parametrize(("truth", "detected"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_nothing_there(protocol, truth, detected):
    truth = [(0, LEFT, 1)][:truth]
    detected = [(0, LEFT, 1, 0.5)][:detected]
    result = evaluate(truth, detected, [1, 2], protocol=protocol)
    if truth and detected:
        assert result.mean == 1
    elif truth and protocol != "mmaction2":
        assert result.mean == 0
    else:
        assert result.mean is None
    assert result.labels == {1: len(truth), 2: 0}
    counted = truth or protocol == "pyslowfast"
    assert result.detections[1] == (len(detected) if counted else 0)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="protocol"):
        evaluate([], [], [1], protocol="coco")


# -------------------------------------------------------- plain implementation


def plain_iou(a, b):
    """Exact, for corners that are multiples of 1/8."""
    a, b = [[Fraction(x) for x in box] for box in (a, b)]
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (
        (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    )
    return width * height / union if union else Fraction(0)


def plain_ap(flags, total):
    """Mean over k = 1..total of the best precision at recall k / total or more."""
    points, found = [], 0
    for rank, flag in enumerate(flags, 1):
        found += flag
        points.append((found, found / rank))
    best = [
        max((precision for found, precision in points if found >= k), default=0)
        for k in range(1, total + 1)
    ]
    return sum(best) / total


def plain_flags(truth, detected, label, excluded):
    """True or false for each detection of the action, by descending score."""
    taken, flags = set(), []
    for frame, box, _, _ in sorted(detected, key=lambda row: -row[3]):
        rivals = [
            (plain_iou(box, other), -i)
            for i, (at, other, action) in enumerate(truth)
            if at == frame and action == label and at not in excluded
        ]
        iou, i = max(rivals, default=(0, 0))
        flags.append(iou >= Fraction(1, 2) and i not in taken)
        if flags[-1]:
            taken.add(i)
    return flags


def plain_evaluate(truth, detected, class_ids, excluded, protocol, most=50):
    listed = {row[0] for row in truth} - excluded
    detected = [row for row in detected if row[2] in class_ids]
    if protocol == "activitynet":
        kept = []
        for frame in {row[0] for row in detected}:
            rows = [i for i, row in enumerate(detected) if row[0] == frame]
            kept += sorted(rows, key=lambda i: -detected[i][3])[:most]
        detected = [detected[i] for i in sorted(kept)]
    scored = {f for f, _, label in truth if label in class_ids and f not in excluded}

    def counts(row):
        frame, (x1, y1, x2, y2), _, _ = row
        if frame in excluded or x1 > x2 or y1 > y2:
            return False
        if protocol == "mmaction2":
            return frame in scored
        is_counted = protocol == "pyslowfast" or frame in listed
        return is_counted and x1 < x2 and y1 < y2

    detected = [row for row in detected if counts(row)]
    precisions = {}
    for label in class_ids:
        total = sum(
            row[2] == label and (protocol == "mmaction2" or row[0] not in excluded)
            for row in truth
        )
        mine = [row for row in detected if row[2] == label]
        if total and (mine or protocol != "mmaction2"):
            flags = plain_flags(truth, mine, label, excluded)
            precisions[label] = plain_ap(flags, total)
        else:
            precisions[label] = None
    return precisions


corner = st.integers(0, 8).map(lambda value: value / 8)
any_box = st.tuples(corner, corner, corner, corner)
upright_box = any_box.map(
    lambda box: (
        min(box[0], box[2]),
        min(box[1], box[3]),
        max(box[0], box[2]),
        max(box[1], box[3]),
    )
)
frame = st.integers(0, 3)
label = st.integers(0, 4)
# Few values: ties of scores are common.
score = st.integers(0, 9).map(lambda value: value / 9)
truth_rows = st.lists(st.tuples(frame, upright_box, label), max_size=12)


@st.composite
def problems(draw):
    """Ground truth and detections, many of which are on its boxes."""
    truth = draw(truth_rows)
    box = any_box
    if truth:
        box = st.one_of(any_box, st.sampled_from([row[1] for row in truth]))
    detected = draw(st.lists(st.tuples(frame, box, label, score), max_size=30))
    return truth, detected


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(
    problem=problems(),
    excluded=st.sets(frame, max_size=2),
    class_ids=st.sets(st.integers(1, 5), min_size=1),
    protocol=st.sampled_from(list(ava_map.PROTOCOLS)),
    most=st.integers(1, 4),
)
def test_against_the_plain_implementation(problem, excluded, class_ids, protocol, most):
    truth, detected = problem
    expected = plain_evaluate(truth, detected, class_ids, excluded, protocol, most)
    rules = ava_map.PROTOCOLS[protocol]
    if rules.max_per_frame:
        rules = dataclasses.replace(rules, max_per_frame=most)
    rankings = ava_map.rank(
        boxes_of(truth, False),
        boxes_of(detected, True),
        sorted(class_ids),
        excluded_frames=sorted(excluded),
        protocols=[rules],
    )
    result = ava_map.average(rankings[protocol])
    assert set(result.average_precision) == class_ids
    for label, value in result.average_precision.items():
        assert value == pytest.approx(expected[label], abs=ROUNDING)


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(problem=problems(), order=st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter_without_ties(problem, order):
    truth, detected = problem
    detected = [(*row[:3], i / 64) for i, row in enumerate(detected)]
    shuffled = order.sample(detected, len(detected))
    first, second = (
        evaluate(truth, rows, [1, 2, 3, 4], protocol="pyslowfast")
        for rows in (detected, shuffled)
    )
    assert first == second


@pytest.mark.parametrize("protocol", ava_map.PROTOCOLS)
def test_thousands_of_boxes_in_one_frame(protocol):
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 6, (2020, 2)) / 8
    boxes = np.hstack([corners, corners + rng.integers(1, 4, (2020, 2)) / 8])
    rows = [tuple(map(float, box)) for box in boxes]
    truth = [(0, box, 1) for box in rows[:20]]
    detected = [
        (0, box, 1, float(s))
        for box, s in zip(rows[20:], rng.permutation(2000) / 2000, strict=True)
    ]
    expected = plain_evaluate(truth, detected, {1}, set(), protocol)
    result = evaluate(truth, detected, [1], protocol=protocol)
    assert result.mean == pytest.approx(expected[1], abs=ROUNDING)


# ------------------------------------------------------------------ references


@pytest.mark.parametrize("protocol", ["pyslowfast", "mmaction2"])
def test_against_the_reference_evaluators(protocol):
    reference = json.loads((DATA / "reference_map.json").read_text())[protocol]
    summary = scoring.score_tables(
        annotations.read_boxes(DATA / "val_v2.1_head.csv.gz"),
        annotations.read_boxes(DATA / "detections.csv", kind="detections"),
        annotations.read_labels(DATA / "labels_item.pbtxt"),
        exclusions=annotations.read_exclusions(DATA / "excluded.csv"),
        protocol=protocol,
    )
    assert summary["mAP"] == pytest.approx(reference["mAP"], abs=ROUNDING)
    assert summary["per_class"] == {
        label: value if value is None else pytest.approx(value, abs=ROUNDING)
        for label, value in reference["per_class"].items()
    }


@pytest.mark.parametrize(
    "name",
    [
        "val_v2.1_head.csv.gz",
        "kinetics_head.csv",
        "pose_only_tail.csv",
        "v1.0_head.csv",
        "ava_sample.csv",
    ],
)
def test_ground_truth_against_itself(name):
    table = annotations.read_boxes(DATA / name)
    names = annotations.read_labels(DATA / "labels_label.pbtxt")
    summary = scoring.score_tables(table, table, names)
    present = set(table.label.tolist())
    for result in summary["protocols"].values():
        assert result["mAP"] == 1
        assert result["per_class"] == {
            str(label): 1.0 if label in present else None for label in names
        }


# --------------------------------------------------------------------- ranking


def test_what_a_detection_took():
    truth = boxes_of([(1, RIGHT, 1), (0, LEFT, 1), (0, RIGHT, 1)], False)
    rows = [(0, RIGHT, 1, 0.2), (0, FAR, 1, 0.4), (0, LEFT, 1, 0.9), (0, LEFT, 2, 1)]
    detected = boxes_of(rows, True)
    ranking = ava_map.rank(truth, detected, [1, 2])["pyslowfast"]
    assert ranking.row.tolist() == [2, 1, 0, 3]
    assert ranking.taken.tolist() == [1, -1, 2, -1]
    assert ranking.offset.tolist() == [0, 3, 4]
    curve = ranking.curve(0)
    assert curve.score.tolist() == [0.9, 0.2]
    assert curve.recall.tolist() == [1 / 3, 2 / 3]
    assert curve.precision.tolist() == [1, 2 / 3]
