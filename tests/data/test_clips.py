"""Frame indices against MMAction2's `SampleAVAFrames`."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from ava_jax.data import clips
from ava_jax.video.clip_sampling import ClipSampling

REFERENCE = pathlib.Path(__file__).parent / "reference"
CASES = json.loads((REFERENCE / "pipeline_notes.json").read_text())["sampling"]


@pytest.fixture(scope="module")
def goldens():
    with np.load(REFERENCE / "pipeline.npz") as file:
        return dict(file)


@pytest.mark.parametrize("split", ["test", "train"])
@pytest.mark.parametrize("index", range(len(CASES)))
def test_frames_equal_mmaction2(goldens, index, split):
    case = CASES[index]
    sampling = ClipSampling(30, case["clip_len"], case["frame_interval"])
    offsets = sampling.offsets()
    if split == "train":
        offsets += goldens[f"sample/{index}/train_offsets"]
    first, end = case["shot_info"]
    indices = clips.frame_indices(
        clips.centre_frames(case["timestamp"], fps=30, timestamp_start=900),
        first,
        end - 1,
        offsets,
    )
    np.testing.assert_array_equal(
        indices + case["start_index"], goldens[f"sample/{index}/{split}"]
    )


@pytest.mark.parametrize(
    ("second", "fps", "start", "frame"),
    [(902, 30, 900, 61), (1, 10, 0, 11), (100.5, 25, 100, 14), (7, 24, 7, 1)],
)
def test_centre_frame(second, fps, start, frame):
    assert clips.centre_frames(second, fps, start) == frame


@pytest.mark.parametrize(
    ("interval", "expected"),
    [(1, {-1, 0}), (2, {-1, 0}), (3, {-2, -1, 0, 1}), (16, set(range(-8, 8)))],
)
def test_jitter_covers_mmaction2s_range(interval, expected):
    draws = clips.jitter(
        ClipSampling(30, 2000, interval), tf.constant([1, 2], tf.int64)
    )
    assert set(draws.numpy().tolist()) == expected
