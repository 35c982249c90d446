"""What I3D sees in clips, and the command that prints it."""

import pickle
import runpy

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ava_jax.checkpoints.i3d_recognizer import read_i3d_recognizer
from ava_jax.errors import UserError
from ava_jax.inference import recognition
from ava_jax.models.i3d import I3dRecognizer


class Frame:
    def __init__(self, time, grey):
        self.time = time
        self.rgb = np.full((32, 32, 3), grey, np.uint8)


def test_clips_of_a_video(monkeypatch):
    """25 frames a second, 224 pixels, [-1, 1]; the last clip is filled."""

    class Recognizer:
        def apply(self, variables, clips):
            assert clips.shape == (1, 16, 224, 224, 3)
            return jnp.stack([clips[:, 0, 0, 0, 0], clips[:, -1, 0, 0, 0]], -1)

    monkeypatch.setattr(recognition, "I3dRecognizer", Recognizer)
    # 50 frames a second: every second one is taken.
    frames = [Frame(i / 50, i) for i in range(48)]
    found = list(recognition.recognize({}, frames, 16))
    assert [start for start, _ in found] == [0, 16 / 25]
    for (_, probabilities), ends in zip(found, [(0, 30), (32, 46)], strict=True):
        expected = jax.nn.softmax(np.array(ends) / 127.5 - 1)
        np.testing.assert_allclose(probabilities, expected, rtol=1e-5)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file like i3d-kinetics-400.ckpt that always sees action 3."""
    shapes = jax.eval_shape(
        I3dRecognizer().init, jax.random.key(0), jnp.zeros((1, 16, 32, 32, 3))
    )
    theirs = {}
    flat = flax.traverse_util.flatten_dict(shapes)
    for (collection, *modules, name), leaf in flat.items():
        if modules == ["Logits"]:
            modules = ["Logits/Conv3d_0c_1x1", "conv"]
        else:
            modules = modules[1:]
        kind = {"conv": "Conv_0", "bn": "BatchNorm_0"}[modules.pop()]
        theirs[collection, *modules, kind, name] = np.zeros(leaf.shape, np.float32)
    theirs["params", "Logits/Conv3d_0c_1x1", "Conv_0", "bias"][3] = 9
    path = tmp_path_factory.mktemp("weights") / "i3d.ckpt"
    path.write_bytes(pickle.dumps(flax.traverse_util.unflatten_dict(theirs)))
    return path


def test_command(weights, tmp_path, monkeypatch, capsys):
    from ava_jax.video.writer import VideoWriter

    with VideoWriter(tmp_path / "video.mp4", (48, 48), 25) as writer:
        for i in range(10):
            writer.write(np.full((48, 48, 3), 20 * i, np.uint8), i / 25)
    arguments = [str(tmp_path / "video.mp4"), "--weights", str(weights)]
    arguments += ["--frames", "9", "--top", "1"]
    script = runpy.run_path("scripts/recognize_video.py")
    script["main"](arguments)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["   0.0 s  applauding 0.95", "   0.4 s  applauding 0.95"]


def test_another_file_is_refused(weights, tmp_path):
    content = pickle.loads(weights.read_bytes())
    del content["params"]["Mixed_4b"]
    path = tmp_path / "i3d.ckpt"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match="does not hold the 230 tensors"):
        read_i3d_recognizer(path)
    with pytest.raises(UserError, match="There is no file"):
        read_i3d_recognizer(tmp_path / "none")
