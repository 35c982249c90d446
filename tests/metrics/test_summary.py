"""What is told of an evaluation: the protocols, groups of actions, counts."""

import json

import numpy as np
import pytest

from ava_jax.metrics import ava_map, summary
from ava_jax.report.tables import score_text

LEFT, RIGHT = (0, 0, 4, 4), (4, 0, 8, 4)
TRUTH = [(0, LEFT, 1), (0, LEFT, 2), (0, RIGHT, 1), (1, LEFT, 1), (2, LEFT, 9)]
FOUND = [(0, LEFT, 1, 0.5), (0, LEFT, 9, 0.5), (1, LEFT, 1, 0.5)]


def boxes_of(rows):
    """Boxes of rows (frame, box, label[, score])."""
    frame, box, label, *score = zip(*rows)
    score = [np.array(column) for column in score]
    return ava_map.Boxes(np.array(frame), np.array(box, float), np.array(label), *score)


def summarise(class_names, **options):
    return summary.summarise(boxes_of(TRUTH), boxes_of(FOUND), class_names, **options)


def test_counts():
    result = summarise(
        {2: "b", 1: "a"},
        keyframes=[3, 0],
        excluded_frames=[1, 8],
        protocol="mmaction2",
    )
    assert json.loads(json.dumps(result)) == result
    assert result["protocol"] == "mmaction2"
    for key in ("mAP", "per_class", "groups"):
        assert result[key] == result["protocols"]["mmaction2"][key]
    assert result["class_names"] == {"1": "a", "2": "b"}
    assert result["counts"] == {
        "keyframes": 3,
        "excluded_keyframes": 1,
        "ground_truth_boxes": 3,
        "ground_truth_labels": 3,
        "detections": 1,
        "per_class": {
            "1": {"labels": 2, "detections": 1},
            "2": {"labels": 1, "detections": 0},
        },
    }


def test_an_unknown_protocol():
    with pytest.raises(ValueError, match="protocols are"):
        summarise({1: "a"}, protocol="coco")


# AP: action 1 has 2/3, 2 is annotated and not detected, 9 has its one detection on
# a key frame where it is not annotated; 3 is neither annotated nor detected.
GROUPS = {"pose": [1, 2], "object": [3], "person": [9, 77], "other": [5]}


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("pyslowfast", {"pose": 1 / 3, "object": None, "person": 0}),
        ("activitynet", {"pose": 1 / 3, "object": None, "person": 0}),
        ("mmaction2", {"pose": 2 / 3, "object": None, "person": 0}),
    ],
)
def test_groups_are_averaged_as_the_protocol_averages(protocol, expected):
    names = {i: f"action {i}" for i in (1, 2, 3, 9)}
    result = summarise(names, groups=GROUPS, protocol=protocol)
    # 'other' has no action that is scored.
    assert result["groups"] == pytest.approx(expected, abs=1e-15)
    assert result["protocols"][protocol]["groups"] == result["groups"]


@pytest.mark.parametrize(
    ("others", "ranges"),
    [
        # Four of equal score: the true one may be the first or the last.
        (3, ["0.2500", "to", "1.0000"]),
        (0, []),
    ],
)
def test_equal_scores_are_told_where_they_matter(others, ranges):
    truth = boxes_of([(0, LEFT, 1)])
    found = boxes_of([(0, LEFT, 1, 0.5), *[(0, RIGHT, 1, 0.5)] * others])
    result = summary.summarise(truth, found, {1: "a"})
    low = 1 / (1 + others)
    assert result["mAP_range"] == result["per_class_ranges"]["1"] == [low, 1]
    assert result["protocols"]["mmaction2"]["mAP_range"] == [low, 1]
    lines = score_text(result).splitlines()
    assert lines[1].split()[4:] == [*["1.0000"] * 3, *ranges]
    assert lines[2].split()[-3:] == (ranges or ["1.0000"] * 3)
    if others:
        assert lines[-1] == result["ties"]
        assert "0.2500 to 1.0000 by activitynet" in result["ties"]
        assert "write them with all their digits" in result["ties"]
    else:
        assert result["ties"] is None and "equal scores" not in lines[0]


def test_no_groups():
    assert summarise({1: "a"})["groups"] == {}


def test_the_printed_table():
    names = {i: f"action {i}" for i in (1, 2, 3, 9)}
    lines = score_text(summarise(names, groups=GROUPS)).splitlines()
    assert [line.split() for line in lines[1:9]] == [
        ["1", "action", "1", "3", "2", "0.6667", "0.6667", "0.6667"],
        ["2", "action", "2", "1", "0", "0.0000", "0.0000", "n/a"],
        ["3", "action", "3", "0", "0", "n/a", "n/a", "n/a"],
        ["9", "action", "9", "1", "1", "0.0000", "0.0000", "0.0000"],
        ["mAP,", "pose", "0.3333", "0.3333", "0.6667"],
        ["mAP,", "object", *["n/a"] * 3],
        ["mAP,", "person", *["0.0000"] * 3],
        ["mAP", "5", "3", "0.2222", "0.2222", "0.3333"],
    ]
    # Columns are aligned.
    assert len({len(line) for line in lines[:9]}) == 1
    assert lines[9].startswith("3 key frames, 4 boxes; 0 annotated key frames excluded")
