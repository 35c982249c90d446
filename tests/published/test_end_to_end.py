"""From an empty cache to results, with weights made from their names.

The file of the video has its real size. The others are of smaller networks, which
compile in a tenth of the time; `tests/checkpoints` reads all of them in full.
"""

import json
import os
import pathlib
import subprocess
import sys

import checkpoint_data
import numpy as np
import pytest
from published_files import publish, serving
from video_files import pictures, write_video

from ava_jax import published
from ava_jax.annotations import read_boxes
from ava_jax.checkpoints.pytorch import converter
from ava_jax.checkpoints.pytorch.convert_file import read_variables
from ava_jax.checkpoints.pytorch.writer import write_pytorch
from configs import slowfast

pytestmark = pytest.mark.slow

WORKER = pathlib.Path(__file__).with_name("program_worker.py")
DETECTOR = "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
SMALL = "slowfast_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb"
RECIPE = "configs/slowfast.py"  # of both
START = published.find(DETECTOR).init_from
SMALL_NETWORK = ("--config.model.depth=10", "--config.model.width=8")
# Small pictures of the miniature in place of AVA.
DATA = (
    "--config.data.labels=annotations/mini_action_list.pbtxt",
    *(
        f"--config.data.{split}.{field}=annotations/{name}"
        for split in ("train", "val")
        for field, name in (
            ("boxes", f"mini_{split}.csv"),
            ("exclusions", f"mini_{split}_excluded_timestamps.csv"),
            ("proposals", f"mini_proposals_{split}.pkl"),
        )
    ),
    "--config.data.fps=10",
    "--config.data.timestamp_start=100",
    "--config.data.crop=32",
    "--config.data.train_short_side=(32,36)",
    "--config.data.test_short_side=32",
    "--config.data.max_boxes=8",
    "--config.eval.batch=4",
)


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def small_config():
    config = slowfast.get_config()
    config.model.depth, config.model.width = 10, 8
    return config


@pytest.fixture(scope="module")
def server(patch, tmp_path_factory):
    """Serves two detectors, and what their training starts from."""
    folder = tmp_path_factory.mktemp("served")
    small = checkpoint_data.state_of(small_config().model)
    head = "roi_head.bbox_head."
    start = {k.replace(head, "cls_head."): value for k, value in small.items()}
    states = {
        DETECTOR: checkpoint_data.mmaction2_state(DETECTOR),
        SMALL: small,
        START: start,
    }
    with serving(patch, folder / "cache") as server:
        rows = []
        for file, state in zip(map(published.find, states), states.values()):
            path = folder / file.file_name
            write_pytorch(path, state, {})
            rows.append(vars(publish(server, file, path.read_bytes())))
            path.unlink()
        (folder / "rows.json").write_text(json.dumps(rows))
        server.folder = folder
        yield server


def run(server, *command):
    return subprocess.run(
        [sys.executable, WORKER, server.folder / "rows.json", *command],
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
    )


def requests(server):
    """How often each of the three files was asked for."""
    return [len(served.told) for served in server.files.values()]


def test_a_video_by_the_name_of_a_detector(server, tmp_path):
    video = write_video(tmp_path / "film.mov", pictures(3))
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("film,0,.2,.1,.7,.9,,.9\n")
    out = tmp_path / "result.mp4"
    done = run(
        server,
        *("demo_video.py", video, "--checkpoint", DETECTOR),
        *("--detector", boxes, "--out", out),
    )
    assert done.returncode == 0, done.stderr
    assert f"Downloading {DETECTOR} from {server.url}" in done.stderr
    assert "1 person was found at 1 key frame." in done.stdout
    found = read_boxes(out.with_suffix(".csv"), kind="detections")
    assert (
        f"Model: {DETECTOR}, trained on AVA v2.1 (films)"
        in out.with_suffix(".html").read_text()
    )
    # With these weights every action passes the threshold.
    assert found.label.tolist() == list(range(1, 81))
    assert requests(server) == [1, 0, 0]


def test_evaluation_of_a_published_detector(server, tiny_root, tmp_path):
    workdir = tmp_path / "eval"
    done = run(
        server,
        *("main", "--mode=eval", f"--config={RECIPE}", *SMALL_NETWORK, *DATA),
        *(f"--config.data.root={tiny_root}", f"--config.init_from={SMALL}"),
        f"--workdir={workdir}",
    )
    assert done.returncode == 0, done.stderr
    assert 0 <= json.loads((workdir / "metrics.json").read_text())["mAP"] < 1
    assert requests(server)[1:] == [1, 0]


def test_training_begins_from_the_kinetics_weights(server, tiny_root, tmp_path):
    workdir = tmp_path / "run"
    done = run(
        server,
        *("main", f"--config={RECIPE}", *SMALL_NETWORK, *DATA),
        *(f"--config.data.root={tiny_root}", f"--workdir={workdir}"),
        # One epoch whose steps are too small for float32.
        *("--config.train.batch=4", "--config.train.epochs=1"),
        "--config.optim.lr=1e-30",
    )
    assert done.returncode == 0, done.stderr
    assert f"Initial weights: {START} (Kinetics-400)" in done.stderr
    assert "it starts untrained" in done.stderr
    assert requests(server)[2] == 1
    config, variables = read_variables(workdir)
    trained = converter.to_state_dict(variables)
    assert config.init_from == START
    for key, value in checkpoint_data.state_of(small_config().model).items():
        # Statistics follow the data.
        if key.startswith("backbone.") and key.endswith((".weight", ".bias")):
            np.testing.assert_array_equal(trained[key], value)
