"""What `import ava_jax` offers, and how the objects that it gives print themselves."""

import pydoc
import subprocess
import sys

import from_config
import numpy as np
import pytest
from video_files import pictures, write_video
from video_results import result

import ava_jax
from ava_jax.evaluate import Results
from ava_jax.people import PeopleByTime
from ava_jax.predict import Detector
from ava_jax.report.evaluation import KeyFrame
from ava_jax.video.reader import VideoReader


def test_all_that_it_names_can_be_used():
    assert set(ava_jax.__all__) < set(dir(ava_jax))
    assert ava_jax.Detector is Detector
    for name in ava_jax.__all__:
        assert getattr(ava_jax, name).__doc__
        assert f"\n  {name} " in ava_jax.__doc__
    with pytest.raises(AttributeError, match="'ava_jax' has no attribute 'detector'"):
        _ = ava_jax.detector


def test_help_shows_it():
    text = pydoc.plain(pydoc.render_doc(ava_jax))
    assert "class Detector" in text and "0.1.0" in text


def test_importing_it_imports_nothing_else():
    code = (
        "import sys, ava_jax; print('numpy' in sys.modules);"
        "dir(ava_jax); ava_jax.Detector, ava_jax.export;"
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False", "False"]


BOX = (0, 0, 9, 9)


@pytest.mark.parametrize(
    ("people", "shown"),
    [
        ({}, "people=0"),
        (
            {1: (BOX, (0.1, 0.934, 0.2)), 7: (BOX, (0.8, 0, 0))},
            "people=2 (#1 walk 0.93, #7 stand 0.80)",
        ),
        (
            {number: (BOX, (0.5, 0, 0)) for number in range(1, 10)},
            "people=9 (#1 stand 0.50, #2 stand 0.50, #3 stand 0.50, ...)",
        ),
    ],
)
def test_a_result_shows_people_and_no_pixels(people, shown):
    assert repr(result(1.5, people)) == f"KeyFrameResult(time=1.5, {shown})"


def test_a_detector(tiny_config):
    names = {7: "jump/leap", 8: "lie/sleep", 11: "sit", 12: "stand"}
    variables = {"params": {}, "batch_stats": {}}
    shown = "4 actions (jump/leap, lie/sleep, sit, ...), clips of 4 frames, 2 apart at "
    shown += "10 fps)"
    detector = Detector(tiny_config, variables, names)
    assert repr(detector) == f"Detector('mini', {shown}"
    detector = Detector(tiny_config, variables, names, "AVA v2.1 (films)")
    assert repr(detector) == f"Detector('mini', trained on AVA v2.1 (films), {shown}"


def test_tables_and_splits(tiny_config):
    split = from_config.load_split(tiny_config, "val")
    boxes = len(split.truth_boxes), len(split.proposal_boxes)
    shown = (
        f"Split({len(split)} key frames of 1 movies, {boxes[0]} true boxes, {boxes[1]} "
        "proposals, 7 actions)"
    )
    assert repr(split) == shown
    table = split.ground_truth
    assert repr(table) == (
        f"BoxTable({table.path!r}, {len(table)} boxes, 1 videos, 0 key frames without "
        "a box)"
    )
    results = Results(split, np.zeros((9, 8)), table, {"mAP": 0.86543})
    assert repr(results) == f"Results({shown}, mAP 0.865)"


def test_people_of_a_file():
    people = PeopleByTime(np.array([0.5, 2]), (np.zeros((2, 5)), np.zeros((1, 5))))
    assert repr(people) == "PeopleByTime(3 boxes, 2 times from 0.5 to 2 s)"


def test_a_video(tmp_path):
    path = write_video(tmp_path / "a.mov", pictures(20))
    with VideoReader(path) as video:
        assert repr(video) == f"VideoReader('{path}', 64 x 48, 10 fps, 2.0 s)"


def test_a_key_frame_of_a_report():
    picture = np.zeros((9, 9, 3), np.uint8)
    frame = KeyFrame("a, second 1", picture, np.zeros((2, 4)), [["sit"], []], [], [])
    assert repr(frame) == "KeyFrame('a, second 1', 2 true boxes, 0 detected)"
