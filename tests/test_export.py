"""Detectors for other programs score as the detector does."""

import json
import pathlib
import runpy
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from made_up import made_up_variables

from ava_jax import export
from ava_jax.checkpoints.pytorch import convert_file
from ava_jax.checkpoints.pytorch.converter import to_state_dict
from ava_jax.checkpoints.pytorch.writer import write_pytorch
from ava_jax.errors import UserError
from ava_jax.predict import Detector
from configs import mini as mini_config

ROOT = pathlib.Path(__file__).parents[1]
SIZE = (64, 80)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A converted SlowFast; both pathways and the laterals are in it."""
    config = mini_config.get_config()
    config.data.clip_len, config.data.test_short_side = 4, 64
    config.data.max_boxes = 3
    config.model.width, config.model.slow_stride = 8, 2
    root = tmp_path_factory.mktemp("serving")
    state = to_state_dict(made_up_variables(config.model))
    write_pytorch(root / "tiny.pth", state, {})
    convert_file.convert_file(root / "tiny.pth", root / "out", config)
    return root / "out"


@pytest.fixture(scope="module")
def clips():
    shape = (3, 4, *SIZE, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module")
def boxes():
    corners = np.random.default_rng(1).uniform(0, 64, (3, 3, 2, 2))
    boxes = np.concatenate([corners.min(2), corners.max(2)], axis=-1)
    return boxes.astype(np.float32)


@pytest.fixture(scope="module")
def expected(directory, clips, boxes):
    detector = Detector.from_checkpoint(directory)
    return np.stack([detector.predict(c, b) for c, b in zip(clips, boxes)])


def run_stablehlo(path, clips, boxes):
    return jax.export.deserialize(path.read_bytes()).call(clips, boxes)


def run_savedmodel(path, clips, boxes):
    import tensorflow as tf

    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    return signature(clips=tf.constant(clips), boxes=tf.constant(boxes))["scores"]


def run_onnx(path, clips, boxes):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    return session.run(["scores"], {"clips": clips, "boxes": boxes})[0]


def command(*arguments):
    return subprocess.run(
        [sys.executable, "scripts/export.py", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        check=False,
    )


@pytest.mark.parametrize(
    ("kind", "run"),
    [
        ("stablehlo", run_stablehlo),
        pytest.param("savedmodel", run_savedmodel, marks=pytest.mark.slow),
    ],
)
def test_any_number_of_clips(directory, tmp_path, clips, boxes, expected, kind, run):
    out = tmp_path / "model"
    done = command(directory, out, f"--format={kind}", "--size=64x80")
    # TensorFlow and XLA have nothing to say to the user.
    assert (done.returncode, done.stderr) == (0, "")
    for count in (3, 1):
        found = np.asarray(run(out, clips[:count], boxes[:count]))
        # Another size of batch: its sums have another order.
        np.testing.assert_allclose(found, expected[:count], rtol=0, atol=1e-6)
    notes = json.loads((tmp_path / "model.json").read_text())
    assert notes["inputs"]["clips"]["shape"] == [None, 4, *SIZE, 3]
    assert notes["outputs"]["scores"]["shape"] == [None, 3, 8]
    assert notes["classes"]["4"] == "stand" and notes["action_ids"]["4"] == 12
    assert {path.name for path in tmp_path.iterdir()} == {"model", "model.json"}


@pytest.mark.parametrize("kind", export.FORMATS)
def test_the_script_knows_every_format(kind):
    script = runpy.run_path(str(ROOT / "scripts/export.py"))
    arguments = script["parse_arguments"](["model", "out", f"--format={kind}"])
    assert arguments.format == kind


def test_onnx(directory, tmp_path, clips, boxes, expected):
    reason = "it asks for an older orbax-checkpoint than the tests install"
    pytest.importorskip("jax2onnx", reason=reason)
    out = tmp_path / "model.onnx"
    export.export_detector(directory, out, "onnx", size=SIZE, batch=3)
    found = run_onnx(out, clips, boxes)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_onnx_says_what_it_needs(directory, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(UserError, match="pip install -e . jax2onnx"):
        export.export_detector(directory, tmp_path / "a.onnx", "onnx", size=SIZE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("short_side", "has_data", "expected"),
    [
        # Its frames have 72 x 96 pixels.
        (96, True, ((96, 128), "as evaluation scores the frames of ")),
        (64, True, ((64, 85), "as evaluation scores the frames of ")),
        (96, False, ((96, 176), "short side 96 at 16:9")),
        (256, False, ((256, 456), "short side 256 at 16:9")),
    ],
)
def test_the_size_is_that_of_evaluation(
    tiny_root, tmp_path, short_side, has_data, expected
):
    data = mini_config.get_config().data
    data.test_short_side = short_side
    size, why = export.evaluation_size(data, tiny_root if has_data else tmp_path)
    assert size == expected[0] and expected[1] in why


def test_a_run_is_exported_in_its_size(directory, tiny_root, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(directory, run)
    (run / "data").symlink_to(tiny_root)
    done = command(run, tmp_path / "model", "--format=stablehlo")
    assert done.returncode == 0, done.stderr
    assert "clips of 64 x 85 pixels, as evaluation scores the fr" in done.stdout
    notes = json.loads((tmp_path / "model.json").read_text())
    assert notes["inputs"]["clips"]["shape"] == [None, 4, 64, 85, 3]


@pytest.mark.parametrize("option", ["--size=big", "--batch=0"])
def test_command_line_refuses(tmp_path, option):
    done = command(tmp_path, tmp_path / "out", "--format=stablehlo", option)
    assert done.returncode == 2
    assert option.partition("=")[0] in done.stderr and "Traceback" not in done.stderr
