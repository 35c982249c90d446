"""Intervals of actions: how they are found, and their files."""

import csv
import json
import re
import types
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ava_jax import intervals
from ava_jax.errors import UserError
from ava_jax.inference.video_results import KeyFrameResult
from ava_jax.intervals import Interval, Moment, Settings, find

EXACT = Settings(high=0.5, low=0.5, max_gap=0, min_length=0)


def moments(*scores, step=1.0):
    """A person who walks with these scores; None: is not seen."""
    return [
        Moment(i * step, {} if score is None else {1: {"walk": score}})
        for i, score in enumerate(scores)
    ]


def spans(found):
    return [(i.start, i.end) for i in found]


@pytest.mark.parametrize(
    ("scores", "changes", "expected"),
    [
        ([0, 0.5, 0.9, 0], {}, [(0.5, 2.5)]),
        ([0.6, 0, 0.6], {}, [(0, 0.5), (1.5, 2.5)]),  # not before the video
        ([0.2, 0.3, 0.5, 0.3, 0.2], {"low": 0.3}, [(0.5, 3.5)]),
        ([0.4, 0.4, 0, 0.6], {"low": 0.3}, [(2.5, 3.5)]),  # nothing high: none
        ([0.6, 0, 0.6], {"max_gap": 0.9}, [(0, 0.5), (1.5, 2.5)]),
        ([0.6, 0, 0.6], {"max_gap": 1}, [(0, 2.5)]),
        ([0.6, None, 0.6], {}, [(0, 0.5), (1.5, 2.5)]),
        ([0.6, None, 0.6], {"max_gap": 1}, [(0, 2.5)]),
        ([0.6, 0, 0.6, 0.6], {"min_length": 1.1}, [(1.5, 3.5)]),
        ([0.6, 0, 0.6], {"min_length": 1}, [(0, 0.5), (1.5, 2.5)]),  # the first, too
        ([0.6, 0, 0.6], {"max_gap": 1, "min_length": 3}, [(0, 2.5)]),
        ([0, 0], {}, []),
        ([0.6], {}, [(0, 0.5)]),
        ([], {}, []),
    ],
)
def test_what_is_an_interval(scores, changes, expected):
    settings = Settings(**{**vars(EXACT), **changes})
    assert spans(find(moments(*scores), settings)) == expected


def test_scores_are_of_the_key_frames_with_the_person():
    settings = Settings(high=0.5, low=0.5, max_gap=2)
    (found,) = find(moments(0.6, 0.3, None, 0.9), settings)
    assert (found.mean_score, found.peak_score) == (pytest.approx(0.6), 0.9)


def test_people_and_actions_are_apart_and_sorted():
    both = {1: {"walk": 0.9, "talk": 0.9}, 7: {"talk": 0.9}}
    found = find([Moment(0, both), Moment(1, both), Moment(2, {7: {}})], EXACT)
    assert [(i.person, i.action) for i in found] == [
        (1, "talk"),
        (1, "walk"),
        (7, "talk"),
    ]


def test_a_key_frame_stands_for_the_least_step():
    """Key frames that a live stream dropped are as if the person was unseen."""
    walks = {1: {"walk": 0.9}}
    found = find([Moment(t, walks) for t in (0, 0.5, 2, 2.5)], EXACT)
    assert spans(found) == [(0, 0.75), (1.75, 2.75)]


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=30),
    st.floats(0.04, 3),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 3),
    st.floats(0, 3),
)
def test_intervals_of_any_scores(scores, step, a, b, max_gap, min_length):
    seen = moments(*scores, step=step)
    settings = Settings(max(a, b), min(a, b), max_gap, min_length)
    found = find(seen, settings)
    for interval in found:
        assert 0 <= interval.start < interval.end
        assert settings.high <= interval.peak_score >= interval.mean_score - 1e-12
    for one, other in zip(found, found[1:]):
        assert other.start - one.end > max_gap - 1e-6
    # Every high score is in one, if none is too short.
    if not min_length:
        for moment in seen:
            if moment.people.get(1, {}).get("walk", -1) >= settings.high:
                assert sum(i.start <= moment.time < i.end for i in found) == 1


def test_results_of_a_detector():
    result = KeyFrameResult(
        time=2.0,
        frame=np.zeros((4, 4, 3), np.uint8),
        boxes=np.zeros((2, 4), np.float32),
        track_ids=np.array([3, 5]),
        scores=np.array([[0, 0.25, 0.75], [0, 0.5, 0]], np.float32),
        labels=("", "sit", "walk"),
        latency=0.0,
    )
    assert intervals.to_moments([result]) == [
        Moment(2.0, {3: {"walk": 0.75, "sit": 0.25}, 5: {"sit": 0.5, "walk": 0}})
    ]


@pytest.mark.parametrize("low_and_high", [(0.6, 0.5), (-0.1, 0.5), (0.5, 1.1)])
def test_thresholds_that_are_none(low_and_high):
    low, high = low_and_high
    with pytest.raises(UserError, match="expected 0 <= low <= high <= 1"):
        Settings(high=high, low=low)


# ------------------------------------------------------------------------- files

NASTY = 'a <b> & "c" --> d,\n\ne; ü \x07'
FOUND = [
    Interval(1, "walk", 0.0, 1.5, 0.61234, 0.9),
    Interval(1, NASTY, 0.5, 3661.2344, 0.5, 0.5),
    Interval(12, "walk", 2.0, 3.0, 0.7, 0.8),
]


@pytest.fixture
def written(tmp_path):
    def write(name, found=FOUND, video="films/a & b.mp4"):
        intervals.write(tmp_path / name, found, Settings(), video)
        return (tmp_path / name).read_text("utf-8")

    return write


def test_json(written):
    content = json.loads(written("x.json"))
    assert content["settings"] == vars(Settings())
    assert content["intervals"][0] == {
        "person": 1,
        "action": "walk",
        "start": 0.0,
        "end": 1.5,
        "mean_score": 0.6123,
        "peak_score": 0.9,
    }
    assert content["intervals"][1]["action"] == NASTY


def test_csv(written, tmp_path):
    written("x.csv")
    with open(tmp_path / "x.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["action"] for row in rows] == [i.action for i in FOUND]
    assert [row["end"] for row in rows] == ["1.5", "3661.234", "3.0"]


def _milliseconds(time):
    hours, minutes, seconds, rest = map(int, re.split("[:.,]", time))
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest


@pytest.mark.parametrize(("ending", "mark"), [(".vtt", r"\."), (".srt", ",")])
def test_subtitles(written, ending, mark):
    """By the grammar of both: blocks between empty lines, a timing line, one text."""
    blocks = written(f"x{ending}").split("\n\n")
    if ending == ".vtt":
        assert blocks.pop(0) == "WEBVTT"
    assert len(blocks) == len(FOUND)
    clock = rf"(\d\d:[0-5]\d:[0-5]\d{mark}\d{{3}})"
    for number, (block, interval) in enumerate(zip(blocks, FOUND, strict=True), 1):
        lines = block.rstrip("\n").split("\n")
        if ending == ".srt":
            assert lines.pop(0) == str(number)
        start, end = re.fullmatch(f"{clock} --> {clock}", lines[0]).groups()
        assert abs(_milliseconds(start) - interval.start * 1000) <= 0.5
        assert abs(_milliseconds(end) - interval.end * 1000) <= 0.5
        (text,) = lines[1:]
        assert "-->" not in text and f"Person {interval.person}" in text
    if ending == ".vtt":
        assert '<v Person 1>a &lt;b&gt; &amp; "c" --&gt; d, e; ü' in blocks[1]


def test_elan(written):
    """The order and the references that EAFv3.0.xsd demands."""
    root = ElementTree.fromstring(written("x.eaf").encode())
    children = [child.tag for child in root]
    assert children == ["HEADER", "TIME_ORDER", "TIER", "TIER", "TIER"] + [
        "LINGUISTIC_TYPE"
    ]
    assert {"AUTHOR", "DATE", "FORMAT", "VERSION"} <= set(root.attrib)
    media = root.find("HEADER/MEDIA_DESCRIPTOR").attrib
    assert media["MEDIA_URL"].endswith("/films/a%20%26%20b.mp4")
    slots = {
        slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE"))
        for slot in root.find("TIME_ORDER")
    }
    (kind,) = root.findall("LINGUISTIC_TYPE")
    found, names = [], set()
    for tier in root.findall("TIER"):
        assert tier.get("LINGUISTIC_TYPE_REF") == kind.get("LINGUISTIC_TYPE_ID")
        for one in tier.iter("ALIGNABLE_ANNOTATION"):
            span = [slots[one.get(f"TIME_SLOT_REF{i}")] for i in (1, 2)]
            text = one.find("ANNOTATION_VALUE").text
            found.append((int(tier.get("PARTICIPANT")), text, *span))
            names.add(one.get("ANNOTATION_ID"))
    assert len(names) == len(FOUND) and len(root.findall("TIER")) == len(
        {tier.get("TIER_ID") for tier in root.findall("TIER")}
    )
    assert sorted(found) == sorted(
        (i.person, i.action.replace("\x07", ""), *(round(t * 1000) for t in i[2:4]))
        for i in FOUND
    )


def test_via3(written):
    project = json.loads(written("x_via3.json"))
    (attribute,) = project["attribute"]
    assert project["attribute"][attribute]["anchor_id"] == "FILE1_Z2_XY0"
    assert project["file"]["1"]["fname"] == "a & b.mp4"
    found = [
        (part["av"][attribute], *part["z"]) for part in project["metadata"].values()
    ]
    assert found == [
        (f"{i.person}: {i.action}", round(i.start, 3), round(i.end, 3)) for i in FOUND
    ]
    assert all(part["xy"] == [] for part in project["metadata"].values())


@pytest.mark.parametrize("ending", intervals.ENDINGS)
def test_no_interval_is_a_file_too(written, ending):
    text = written(f"none{ending}", found=[], video="")
    assert text or ending == ".srt"  # which has captions alone


def test_an_unknown_ending(tmp_path):
    with pytest.raises(UserError, match=r"x\.txt has the ending of no format.*\.vtt"):
        intervals.write(tmp_path / "x.txt", FOUND, Settings())


# ------------------------------------------------------------------ the JSON lines

LINE = '{"time": 1.0, "people": [{"id": 1, "box": [], "actions": {"sit": 0.5}}]}'


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("{", "JSON"),
        ("3", "an object with time and people"),
        ('{"people": []}', "a time in seconds"),
        ('{"time": NaN, "people": []}', "a time in seconds"),
        ('{"time": true, "people": []}', "a time in seconds"),
        ('{"time": 2}', "a list of people"),
        ('{"time": 2, "people": [3]}', "people with id and actions"),
        ('{"time": 2, "people": [{"id": "x", "actions": {}}]}', "a whole number"),
        (
            '{"time": 2, "people": [{"id": 1, "actions": {"sit": 2}}]}',
            "scores from 0 to 1",
        ),
        ('{"time": 1, "people": []}', "a time after 1"),
    ],
)
def test_a_broken_line(tmp_path, second, expected):
    path = tmp_path / "x.jsonl"
    path.write_text(f"{LINE}\n{second}\n")
    with pytest.raises(UserError) as caught:
        intervals.read_results(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 2: found {second}")
    assert f"expected {expected}" in message


def test_no_file_of_results(tmp_path):
    with pytest.raises(UserError, match="none.jsonl cannot be read"):
        intervals.read_results(tmp_path / "none.jsonl")
    (tmp_path / "x.mp4").write_bytes(b"\xff\x00")
    with pytest.raises(UserError, match="give the .jsonl file"):
        intervals.read_results(tmp_path / "x.mp4")


def test_results_that_were_written(tmp_path):
    from ava_jax.visualization import result_files

    result = KeyFrameResult(
        time=0.0,
        frame=np.zeros((4, 4, 3), np.uint8),
        boxes=np.zeros((1, 4), np.float32),
        track_ids=np.array([3]),
        scores=np.array([[0, 0.25, 0.01]], np.float32),
        labels=("", "sit", "walk"),
        latency=0.0,
    )
    later = types.SimpleNamespace(**(vars(result) | {"time": 1.0}))
    later.actions = result.actions
    result_files.write_jsonl(tmp_path / "x.jsonl", [result, later])
    read = intervals.read_results(tmp_path / "x.jsonl")
    assert read == [Moment(t, {3: {"sit": 0.25}}) for t in (0.0, 1.0)]
