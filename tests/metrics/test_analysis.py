"""The analysis behind the report: hand-computed cases, and definitions searched."""

import itertools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from ava_jax.metrics import analysis, ava_map, person_boxes

# A mean of a few exact ratios: some roundings of numbers up to 1.
ROUNDING = 1e-14

LEFT, RIGHT, FAR = (0, 0, 4, 4), (4, 0, 8, 4), (9, 9, 10, 10)
NEAR_LEFT = (0, 0, 4, 3)  # IoU 3/4 with LEFT
LESS_NEAR = (0, 0, 4, 2.5)


def boxes_of(rows):
    """Boxes of rows (frame, box, label[, score])."""
    scores = [row[3] for row in rows if len(row) > 3]
    return ava_map.Boxes(
        np.array([row[0] for row in rows], np.int32),
        np.array([row[1] for row in rows], np.float64).reshape(-1, 4),
        np.array([row[2] for row in rows], np.int32),
        np.array(scores, np.float64),
    )


def analyse(truth, detected, class_ids=(1, 2, 3), **options):
    return analysis.analyse(boxes_of(truth), boxes_of(detected), class_ids, **options)


# ----------------------------------------------------------------- people


@pytest.mark.parametrize(
    ("rows", "frames", "of_row"),
    [
        ([], [], []),
        ([(3, LEFT, 1), (3, LEFT, 2)], [3], [0, 0]),
        # Apart from each other, and in any order.
        (
            [(1, LEFT, 1), (0, RIGHT, 1), (1, LEFT, 2), (0, LEFT, 1)],
            [0, 0, 1],
            [2, 1, 2, 0],
        ),
        # The same box in another frame is another person.
        ([(0, LEFT, 1), (1, LEFT, 1)], [0, 1], [0, 1]),
    ],
)
def test_distinct_people(rows, frames, of_row):
    found = person_boxes.distinct(boxes_of(rows))
    assert found.frame.tolist() == frames
    assert found.of_row.tolist() == of_row
    for row, person in zip(rows, of_row, strict=True):
        assert tuple(found.box[person]) == row[1]


@pytest.mark.parametrize(
    ("detected", "truth", "partner"),
    [
        ([(0, LEFT), (0, RIGHT)], [(0, LEFT), (0, RIGHT)], [0, 1]),
        ([(0, LEFT)], [(1, LEFT)], [-1]),
        ([(0, FAR)], [(0, LEFT)], [-1]),
        # Two boxes of one person: the nearer one, whichever comes first.
        ([(0, NEAR_LEFT), (0, LEFT)], [(0, LEFT)], [-1, 0]),
        # A box near two people stands for the nearer.
        ([(0, LESS_NEAR)], [(0, NEAR_LEFT), (0, LEFT)], [0]),
        ([], [(0, LEFT)], []),
        ([(0, LEFT)], [], [-1]),
    ],
)
def test_pairs(detected, truth, partner):
    first, second = (
        person_boxes.distinct(boxes_of([(*row, 1) for row in rows]))
        for rows in (detected, truth)
    )
    # `distinct` sorts; find each row's person.
    place = person_boxes.pair(first, second)[first.of_row].tolist()
    assert [second.of_row.tolist().index(p) if p >= 0 else -1 for p in place] == partner


# ---------------------------------------------------------------- ceiling

corner = st.integers(0, 4)
box = st.tuples(corner, corner, corner, corner).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)
frame = st.integers(0, 1)


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(
    truth=st.lists(st.tuples(frame, box), min_size=1, max_size=4),
    found=st.sets(st.tuples(frame, box), min_size=1, max_size=3),
    excluded=st.sets(frame, max_size=1),
    protocol=st.sampled_from(list(ava_map.PROTOCOLS)),
)
def test_no_order_of_the_boxes_gives_more_than_the_ceiling(
    truth, found, excluded, protocol
):
    truth = boxes_of([(*row, 1) for row in truth])
    options = {"excluded_frames": sorted(excluded), "protocol": protocol}
    best = -1.0
    for count in range(1, len(found) + 1):
        for order in itertools.permutations(sorted(found), count):
            rows = [(*row, 1, 1 / (i + 1)) for i, row in enumerate(order)]
            result = ava_map.evaluate(truth, boxes_of(rows), [1], **options)
            best = max(best, -1 if result.mean is None else result.mean)
    # The ceiling asks for boxes, not for their actions or scores.
    every = boxes_of([(*row, 1, 0.5) for row in sorted(found)])
    ceiling = analysis.analyse(truth, every, [1], **options).ceiling[1]
    assert (-1 if ceiling is None else ceiling) == pytest.approx(best, abs=ROUNDING)


@pytest.mark.parametrize(
    ("truth", "detected", "ceiling"),
    [
        # Scored as another action: the box is there.
        ([(0, LEFT, 1), (1, LEFT, 1)], [(0, LEFT, 2, 0.9)], {1: 1 / 2, 2: None}),
        # One box between two people of one action reaches the nearer only; of two
        # actions, both.
        ([(0, LEFT, 1), (0, NEAR_LEFT, 1)], [(0, LEFT, 1, 0.9)], {1: 1 / 2}),
        ([(0, LEFT, 1), (0, NEAR_LEFT, 2)], [(0, LEFT, 1, 0.9)], {1: 1, 2: 1}),
        # IoU below the threshold.
        ([(0, LEFT, 1)], [(0, RIGHT, 1, 0.9)], {1: 0}),
        ([(0, LEFT, 1)], [], {1: 0}),
    ],
)
def test_ceilings(truth, detected, ceiling):
    found = analyse(truth, detected, [1, 2]).ceiling
    assert found == {1: None, 2: None} | ceiling


# ----------------------------------------------- from one protocol to the other

CROWD = [(0, FAR, 1, 0.9)] * 50


@pytest.mark.parametrize(
    ("truth", "detected", "options", "first", "changes"),
    [
        # Nothing to differ in.
        ([(0, LEFT, 1)], [(0, LEFT, 1, 0.9)], {}, 1, {}),
        # False, then true: 1/2, until the false one's frame is left out.
        (
            [(0, LEFT, 1)],
            [(0, LEFT, 1, 0.8), (7, LEFT, 1, 0.9)],
            {},
            1 / 2,
            {"listed": (1, 1)},
        ),
        # The same on a frame that is annotated as having nobody.
        (
            [(0, LEFT, 1)],
            [(0, LEFT, 1, 0.8), (7, LEFT, 1, 0.9)],
            {"keyframes": [7]},
            1 / 2,
            {"labelled": (1, 1)},
        ),
        # The true detection is the 51st.
        (
            [(0, LEFT, 1)],
            [(0, LEFT, 1, 0.8), *CROWD],
            {},
            1 / 51,
            {"capped": (1, 0), "not capped": (1, 1 / 51)},
        ),
        # Action 2 is not detected; 3 is, but on no frame with ground truth.
        (
            [(0, LEFT, 1), (0, LEFT, 2), (0, LEFT, 3)],
            [(0, LEFT, 1, 0.8), (7, LEFT, 3, 0.9)],
            {},
            1 / 3,
            {"listed": (1, 1 / 3), "undetected": (2, 1)},
        ),
        # Ground truth of an excluded frame.
        (
            [(0, LEFT, 1), (1, LEFT, 1)],
            [(0, LEFT, 1, 0.8), (1, LEFT, 1, 0.9)],
            {"excluded_frames": [1]},
            1,
            {"excluded": (1, 1 / 2)},
        ),
        # A box without area.
        (
            [(0, LEFT, 1)],
            [(0, LEFT, 1, 0.8), (0, (1, 1, 1, 2), 1, 0.9)],
            {},
            1,
            {"empty": (1, 1 / 2)},
        ),
        # IoU 0.5 - 3e-9, which float32 rounds to 0.5.
        (
            [(0, LEFT, 1)],
            [(0, (0, 0, 4, 2 - 1.2e-8), 1, 0.8)],
            {},
            0,
            {"float32": (1, 1)},
        ),
        ([], [], {}, None, {}),
    ],
)
def test_from_one_protocol_to_the_other(truth, detected, options, first, changes):
    names = ["listed", "capped", "labelled", "not capped"]
    names += ["undetected", "excluded", "empty", "float32"]
    start, *steps = analyse(truth, detected, **options).steps
    assert (start.protocol.name, start.count) == ("pyslowfast", None)
    assert start.mean == pytest.approx(first, abs=ROUNDING)
    for name, step in zip(names, steps, strict=True):
        count, mean = changes.get(name, (0, first))
        assert (name, step.count) == (name, count)
        assert step.mean == pytest.approx(mean, abs=ROUNDING)
        first = mean
    reached = [step.protocol and step.protocol.name for step in steps]
    assert reached == [None, "activitynet", *[None] * 5, "mmaction2"]
    assert steps[0].words.endswith("that the ground truth lists count")


# ------------------------------------------------------------------- parts


def square(side):
    return (0, 0, side, side)


def test_ap_by_size():
    """Three people, one a part: what happens in one part stays there."""
    truth = [(0, square(1), 1), (1, square(2), 1), (2, square(3), 1)]
    detected = [
        (0, square(1), 1, 0.9),
        (0, square(3), 1, 0.95),  # a large false alarm
        (1, (5, 5, 7, 7), 1, 0.8),  # a false alarm of middle size
        (1, (0, 0, 2, 1.3), 1, 0.7),  # true, and so of its label's part
        (2, square(3), 1, 0.6),
    ]
    parts = analyse(truth, detected).by_size
    assert parts.classes == 1
    assert [part.mean for part in parts.parts] == [1, 1 / 2, 1 / 2]
    assert [part.ceiling for part in parts.parts] == [1, 1, 1]
    assert [(part.people, part.labels) for part in parts.parts] == [(1, 1)] * 3
    # Of the areas 1, 4 and 9, a third and two thirds of the way.
    assert [part.low for part in parts.parts] == pytest.approx([0, 3, 17 / 3])
    assert [part.high for part in parts.parts] == pytest.approx([3, 17 / 3, None])


def test_ap_by_number_of_people_is_that_of_the_frames():
    rng = np.random.default_rng(0)
    truth, detected = [], []
    for at, count in enumerate([1, 1, 2, 2, 3, 4, 5, 7]):
        for k in range(count):
            own = (2 * k, 0, 2 * k + 1, 1)
            actions = {1, 2, int(rng.integers(1, 4))}
            truth += [(at, own, action) for action in sorted(actions)]
            for action in (1, 2):
                detected.append((at, own, action, rng.random()))
            detected.append((at, (2 * k, 5, 2 * k + 1, 6), 1, rng.random()))
    detected.append((50, LEFT, 1, 0.99))  # nobody annotated: in no part
    parts = analyse(truth, detected, [1, 2]).by_people
    assert [(part.low, part.high) for part in parts.parts] == [
        (1, 2),
        (2, 3),
        (3, 5),
        (5, None),
    ]
    assert [part.people for part in parts.parts] == [2, 4, 7, 12]
    for part, frames in zip(parts.parts, [(0, 1), (2, 3), (4, 5), (6, 7)], strict=True):
        own = [
            boxes_of([r for r in rows if r[0] in frames]) for rows in (truth, detected)
        ]
        expected = ava_map.evaluate(*own, [1, 2])
        assert part.mean == pytest.approx(expected.mean, abs=ROUNDING)
        assert part.labels == sum(expected.labels.values())


def test_parts_are_compared_on_the_actions_that_all_have():
    truth = [(0, LEFT, 1), (0, LEFT, 2), (1, LEFT, 1), (1, RIGHT, 3)]
    detected = [(0, LEFT, 1, 0.9), (0, LEFT, 2, 0.9), (1, LEFT, 1, 0.9)]
    parts = analyse(truth, detected).by_people
    assert parts.classes == 1  # action 1
    assert [part.mean for part in parts.parts] == [1, 1]
    apart = [(0, LEFT, 1), (1, LEFT, 2), (1, RIGHT, 2)]
    parts = analyse(apart, detected).by_people
    assert parts.classes == 0
    assert [(part.mean, part.ceiling) for part in parts.parts] == [(None, None)] * 2


# --------------------------------------------------------------- confusion


@pytest.mark.parametrize(
    ("actions", "scores", "count"),
    [
        # One action, one score: found.
        ({1}, {1: 0.9}, {(1, 1): 1}),
        # Another one scores higher.
        ({1}, {1: 0.4, 2: 0.5}, {(1, 2): 1}),
        # Two actions: the second place is for the second one.
        ({1, 2}, {1: 0.9, 3: 0.8, 2: 0.7}, {(1, 1): 1, (2, 3): 1}),
        # Both missed: each is divided among what was predicted.
        (
            {1, 2},
            {3: 0.9, 4: 0.8, 1: 0.1},
            {(1, 3): 0.5, (1, 4): 0.5, (2, 3): 0.5, (2, 4): 0.5},
        ),
        # Too few scores: the rest goes nowhere.
        ({1, 2}, {3: 0.9}, {(1, 3): 0.5, (2, 3): 0.5}),
        # Two boxes of the same person: only the nearer one's scores count.
        ({1}, {1: 0.9, "other": {2: 1.0}}, {(1, 1): 1}),
        # The person has no box.
        ({1}, {}, {}),
    ],
)
def test_confusion(actions, scores, count):
    other = scores.pop("other", {})
    detected = [(0, LEFT, label, score) for label, score in scores.items()]
    detected += [(0, NEAR_LEFT, label, score) for label, score in other.items()]
    truth = [(0, LEFT, label) for label in sorted(actions)]
    found = analyse(truth, detected, [1, 2, 3, 4]).confusion
    expected = np.zeros((4, 4))
    for (a, b), value in count.items():
        expected[a - 1, b - 1] = value
    np.testing.assert_allclose(found.count, expected, atol=ROUNDING)
    matched = actions if scores else set()
    assert found.labels.tolist() == [int(label in matched) for label in (1, 2, 3, 4)]


@pytest.mark.parametrize("protocol", ava_map.PROTOCOLS)
def test_excluded_frames_confuse_nobody(protocol):
    truth, detected = [(0, LEFT, 1), (1, LEFT, 1)], [(0, LEFT, 2, 0.9), (1, LEFT, 1, 1)]
    found = analyse(truth, detected, excluded_frames=[0], protocol=protocol).confusion
    assert found.count.sum() == found.count[0, 0] == found.labels.sum() == 1


# ---------------------------------------------------------------- mistakes


def test_worst_false_alarms():
    truth = [(0, LEFT, 1), (1, LEFT, 2)]
    detected = [
        (0, LEFT, 1, 0.99),  # true
        (0, RIGHT, 1, 0.8),
        (0, FAR, 1, 0.7),
        (1, FAR, 1, 0.6),  # the action's third
        (1, LEFT, 3, 0.75),
        (9, LEFT, 3, 0.98),  # nobody is annotated there
    ]
    found = analyse(truth, detected).false_alarms
    assert [(m.frame, tuple(m.box), m.label, m.score) for m in found] == [
        (0, RIGHT, 1, 0.8),
        (1, LEFT, 3, 0.75),
        (0, FAR, 1, 0.7),  # second ones behind all first ones
    ]


def test_lowest_scores():
    truth = [(0, LEFT, 1), (0, LEFT, 2), (1, LEFT, 1), (2, LEFT, 1), (3, LEFT, 1)]
    detected = [
        (0, NEAR_LEFT, 1, 0.3),
        (1, LEFT, 1, 0.2),
        (2, LEFT, 1, 0.9),
        (3, FAR, 1, 0.01),  # its person has no box
        (3, FAR, 1, 0.4),  # false, below 0.9 only
    ]
    found = analyse(truth, detected).low_scores
    assert [(m.frame, tuple(m.box), m.label, m.score) for m in found] == [
        (0, NEAR_LEFT, 2, None),  # the box has no score for the action
        (1, LEFT, 1, 0.2),
        (0, NEAR_LEFT, 1, 0.3),
    ]
    # Without false ones no score is too low.
    assert len(analyse(truth, detected[:3]).low_scores) == 1


# -------------------------------------------------------------- everything


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    truth=st.lists(st.tuples(frame, box, st.integers(1, 3)), max_size=8),
    detected=st.lists(
        st.tuples(st.integers(0, 2), box, st.integers(1, 4), st.floats(0, 1)),
        max_size=12,
    ),
    excluded=st.sets(frame, max_size=1),
    protocol=st.sampled_from(list(ava_map.PROTOCOLS)),
)
def test_parts_of_an_analysis_agree(truth, detected, excluded, protocol):
    options = {"excluded_frames": sorted(excluded), "protocol": protocol}
    found = analyse(truth, detected, **options)
    result = ava_map.evaluate(boxes_of(truth), boxes_of(detected), [1, 2, 3], **options)
    for label, ap in result.average_precision.items():
        if ap is None:
            assert found.ceiling[label] is None
        else:
            assert -ROUNDING <= ap <= found.ceiling[label] + ROUNDING <= 1 + ROUNDING
    for parts in (found.by_size, found.by_people):
        assert sum(p.labels for p in parts.parts) == sum(result.labels.values())
        for part in parts.parts:
            if part.mean is not None:
                assert -ROUNDING <= part.mean <= part.ceiling + ROUNDING
    confusion = found.confusion
    assert (confusion.count.sum(axis=1) <= confusion.labels + ROUNDING).all()
    for step in found.steps:
        if step.protocol is not None:
            options["protocol"] = step.protocol.name
            rows = boxes_of(truth), boxes_of(detected)
            assert step.mean == ava_map.evaluate(*rows, [1, 2, 3], **options).mean
