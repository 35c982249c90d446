"""Converted directories: from the command line, to training, and back to torch."""

import hashlib
import json
import pathlib
import subprocess
import sys

import checkpoint_data
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ava_jax import published
from ava_jax.annotations.label_map import class_names
from ava_jax.checkpoints import load, store
from ava_jax.checkpoints.pytorch import convert_file
from ava_jax.checkpoints.pytorch.converter import to_state_dict
from ava_jax.checkpoints.pytorch.export import export_file
from ava_jax.checkpoints.pytorch.reader import read_file, read_pytorch
from ava_jax.checkpoints.pytorch.writer import write_pytorch
from ava_jax.errors import UserError
from ava_jax.models import detector
from configs import mini

REPO = pathlib.Path(__file__).parents[3]
FIELDS = {"width": 8, "depth": 14}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """(path of a checkpoint file of a small detector, its configuration)."""
    config = mini.get_config()
    config.model.update(FIELDS)
    path = tmp_path_factory.mktemp("source") / "tiny.pth"
    state = checkpoint_data.state_of(config.model)
    write_pytorch(path, state, {"config": "x"})
    return path, config


@pytest.fixture(scope="module")
def directory(source, tmp_path_factory):
    path, config = source
    out = tmp_path_factory.mktemp("converted") / "out"
    convert_file.convert_file(path, out, config)
    return out


def test_directory_says_what_it_is(source, directory):
    path, config = source
    notes = json.loads((directory / "source.json").read_text())
    assert notes["file"] == "tiny.pth"
    assert notes["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert notes["family"] == "MMAction2"
    assert set(notes["used"]) | set(notes["unused"]) == set(read_pytorch(path))
    recorded = json.loads((directory / "labels.json").read_text())
    labels = recorded["actions"]
    assert list(labels) == [str(i) for i in config.data.class_ids]
    assert labels["12"] == "stand"
    found, _ = convert_file.read_variables(directory)
    assert found.model.width == FIELDS["width"]


def test_verify_compares_all_tensors(source, directory):
    path, _ = source
    tensors = read_pytorch(path)
    counters = [key for key in tensors if key.endswith("num_batches_tracked")]
    assert convert_file.verify(path, directory) == len(tensors) - len(counters)


def test_verify_notices_a_difference(source, directory, tmp_path):
    path, _ = source
    state = dict(read_pytorch(path))
    key = "backbone.slow_path.conv1.bn.bias"
    state[key] = state[key] + np.float32(1)
    write_pytorch(tmp_path / "other.pth", state, {})
    with pytest.raises(UserError, match=key):
        convert_file.verify(tmp_path / "other.pth", directory)


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_training_starts_from_it(source, directory, kind):
    path, config = source
    like = jax.tree.map(
        lambda x: jnp.zeros(x.shape, x.dtype), detector.variable_shapes(config.model)
    )
    start = directory if kind == "directory" else path
    variables = store.load_variables(start, config.model, like)
    back = to_state_dict(variables)
    for key, value in read_pytorch(path).items():
        np.testing.assert_array_equal(back[key], value, key)
    leaves = jax.tree.leaves(variables)
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_another_head_is_kept_for_training_and_refused_otherwise(
    source, directory, kind, caplog
):
    path, config = source
    config = config.copy_and_resolve_references()
    config.model.num_classes = 3
    shapes = detector.variable_shapes(config.model)
    like = jax.tree.map(lambda x: jnp.full(x.shape, 0.5, x.dtype), shapes)
    start = directory if kind == "directory" else path
    variables = store.load_variables(start, config.model, like)
    assert np.all(variables["params"]["roi_head"]["bbox_head"]["fc_cls"]["bias"] == 0.5)
    back, source_state = to_state_dict(variables), read_pytorch(path)
    kept = [key for key in source_state if key.startswith("backbone.")]
    for key in kept:
        np.testing.assert_array_equal(back[key], source_state[key], key)
    assert "untrained" in caplog.text
    with pytest.raises(UserError, match="has no trained head"):
        store.load_variables(start, config.model, shapes)


def test_a_directory_of_another_depth_is_refused_by_name(source, directory):
    _, config = source
    config = config.copy_and_resolve_references()
    config.model.depth = 50
    like = detector.variable_shapes(config.model)
    with pytest.raises(UserError, match="config.model.depth is 50"):
        store.load_variables(directory, config.model, like)


def test_a_file_is_not_scored_with_other_conventions(source):
    path, config = source
    config = config.copy_and_resolve_references()
    config.model.roi_aligned = False
    like = detector.variable_shapes(config.model)
    with pytest.raises(UserError, match="roi_aligned is False"):
        store.load_variables(path, config.model, like)


def test_exported_file_has_mmaction2s_keys_and_the_same_bits(
    source, directory, tmp_path
):
    path, config = source
    assert export_file(directory, tmp_path / "out.pth") == []
    file = read_file(tmp_path / "out.pth")
    expected = read_pytorch(path)
    assert set(file.tensors) == set(expected)
    for key, value in expected.items():
        assert file.tensors[key].dtype == value.dtype
        np.testing.assert_array_equal(file.tensors[key], value, key)
    assert file.metadata["meta"]["config_name"] == config.name


def test_a_name_with_another_hash_is_noted(source, tmp_path):
    path, config = source
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for name, noted in ((digest[:8], False), ("0" * 8, True)):
        copy = tmp_path / f"model-{name}.pth"
        copy.write_bytes(path.read_bytes())
        report = convert_file.convert_file(copy, tmp_path / name, config)
        assert any("SHA-256" in note for note in report.notes) == noted


def test_an_earlier_checkpoint_is_not_overwritten(source, directory):
    path, config = source
    with pytest.raises(UserError, match="holds a checkpoint already"):
        convert_file.convert_file(path, directory, config)


@pytest.mark.parametrize(
    ("class_ids", "classes", "labels", "expected"),
    [
        ((), 3, None, {"1": "bend/bow (at the waist)", "2": "crawl"}),
        ((14, 12), 3, None, {"14": "walk", "12": "stand"}),
        ((), 3, {1: "a", 2: "b"}, {"1": "a", "2": "b"}),
        ((), 4, {1: "a", 3: "b"}, {"1": "a", "2": "2", "3": "b"}),
    ],
)
def test_class_names(class_ids, classes, labels, expected):
    found = class_names(class_ids, classes, labels)
    assert list(found.items()) == list(expected.items())


@pytest.mark.parametrize(
    ("class_ids", "classes", "labels", "message"),
    [
        ((), 7, {i: f"a{i}" for i in range(1, 8)}, "up to 7.*1 to 6.*num_classes=8"),
        ((), 3, {1: "a"}, "up to 1, but the model scores 1 to 2"),
        ((2, 9), 3, {1: "a", 2: "b"}, r"no name for the actions \[9\]"),
    ],
)
def test_names_of_other_classes_are_refused(class_ids, classes, labels, message):
    with pytest.raises(UserError, match=message):
        class_names(class_ids, classes, labels)


@pytest.fixture
def without_background(source, tmp_path):
    """Path and configuration of a head of two actions, without class 0."""
    path, config = source
    config = config.copy_and_resolve_references()
    config.data.class_ids, config.model.num_classes = (), 3
    state = dict(read_pytorch(path))
    for name in ("weight", "bias"):
        key = f"roi_head.bbox_head.fc_cls.{name}"
        state[key] = state[key][:2]

    def write(meta):
        write_pytorch(tmp_path / "sports.pth", state, meta)
        return tmp_path / "sports.pth"

    return write, state, config


# As MMEngine writes it: a string.
_SPORTS = "model = dict(\n    roi_head=dict(\n background_class=False,\n))\n"


@pytest.mark.parametrize(
    ("meta", "flag"), [({"cfg": _SPORTS}, None), ({}, False)], ids=["file", "flag"]
)
def test_heads_without_background_class(without_background, tmp_path, meta, flag):
    write, state, config = without_background
    path, out = write(meta), tmp_path / "out"
    labels = {1: "serve", 2: "block"}
    convert_file.convert_file(path, out, config, labels=labels, background_class=flag)
    recorded = json.loads((out / "labels.json").read_text())
    assert recorded["actions"] == {"1": "serve", "2": "block"}
    assert recorded["dataset"] == ""  # it is not a published file
    _, variables = convert_file.read_variables(out)
    weight = to_state_dict(variables)["roi_head.bbox_head.fc_cls.weight"]
    np.testing.assert_array_equal(weight[0], 0)
    np.testing.assert_array_equal(weight[1:], state["roi_head.bbox_head.fc_cls.weight"])
    counters = sum(key.endswith("num_batches_tracked") for key in state)
    assert convert_file.verify(path, out, flag) == len(state) - counters
    if flag is None:
        _, found, names = load.read_detector(path, config, labels)
        jax.tree.map(np.testing.assert_array_equal, found, variables)
        assert names == labels


def test_models_without_background_class_go_both_ways(without_background, tmp_path):
    """Of MultiSports, say; nothing in the file says that class 0 is missing."""
    write, state, config = without_background
    config.model.background_class = False
    path, labels = write({}), {1: "serve", 2: "block"}
    convert_file.convert_file(path, tmp_path / "out", config, labels=labels)
    convert_file.verify(path, tmp_path / "out")
    assert export_file(tmp_path / "out", tmp_path / "back.pth") == []
    back = read_pytorch(tmp_path / "back.pth")
    assert back.keys() == state.keys()
    for key, value in state.items():
        np.testing.assert_array_equal(back[key], value, err_msg=key)
    # What is written says it.
    convert_file.convert_file(
        tmp_path / "back.pth", tmp_path / "again", config, labels=labels
    )


def test_names_are_not_assumed_in_silence(source, tmp_path, caplog):
    path, config = source
    report = convert_file.convert_file(path, tmp_path / "out", config)
    note = "No label map was given: the 7 actions have AVA's names"
    assert sum(note in text for text in report.notes) == 1
    load.read_detector(path, config)
    assert caplog.text.count(note) == 1
    labels = {i: f"own {i}" for i in config.data.class_ids}
    load.read_detector(path, config, labels)
    assert caplog.text.count(note) == 1
    # What a published file of AVA names needs no note.
    file = published.get("slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb")
    ava = tmp_path / file.url.rpartition("/")[2]
    ava.write_bytes(path.read_bytes())
    report = convert_file.convert_file(ava, tmp_path / "ava", config)
    assert not any("label map" in text for text in report.notes)


def _run(*arguments):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=REPO,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(REPO), "PATH": "/usr/bin:/bin"},
        check=False,
    )


def test_command_lines(source, tmp_path):
    path, _ = source
    out = tmp_path / "out"
    fields = [f"--config.model.{name}={value}" for name, value in FIELDS.items()]
    command = ["scripts/convert_checkpoint.py", path, out, "--config=configs/mini.py"]
    done = _run(*command, *fields, "--verify")
    assert done.returncode == 0, done.stderr
    assert "used" in done.stdout
    assert "equal to the source, bit by bit" in done.stdout

    done = _run("scripts/export_pytorch.py", out, tmp_path / "back.pth")
    assert done.returncode == 0, done.stderr
    assert set(read_pytorch(tmp_path / "back.pth")) == set(read_pytorch(path))

    other = tmp_path / "other"
    command[2] = other
    fields.append("--config.model.num_classes=3")
    done = _run(*command, *fields)
    assert done.returncode == 1
    assert "--no-strict" in done.stderr
    assert "Traceback" not in done.stderr
    done = _run(*command, *fields, "--no-strict", "--config.data.class_ids=(1,2)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("untrained") == 1
