"""Names of published files wherever a path of weights is expected."""

import dataclasses
import os
import pathlib
import runpy
import shutil

import jax
import numpy as np
import pytest
from made_up import made_up_variables
from published_files import publish, serving, use_table

from ava_jax import published
from ava_jax.checkpoints import by_name, load, read_pytorch, store
from ava_jax.checkpoints.pytorch.converter import to_state_dict
from ava_jax.checkpoints.pytorch.writer import write_pytorch
from ava_jax.errors import UserError
from ava_jax.people import HogDetector, open_detector
from configs import mini as mini_config
from configs import own, pyslowfast, slowfast, slowonly

ROOT = pathlib.Path(__file__).parents[2]
RECIPE = """
from configs import mini

def get_config():
    config = mini.get_config()
    config.model.backbone, config.model.width = "slowonly", 8
    config.data.class_ids = (12, 14)
    config.model.num_classes = 3
    return config
"""
TINY = published.PublishedFile(
    "tiny", "detector", "https://example.com/zoo/tiny.pth", "AVA", "somebody"
)
START = dataclasses.replace(
    TINY, name="start", kind="pretrained", url="https://example.com/start.pth"
)
OTHER = dataclasses.replace(
    TINY, name="other", url="https://example.com/other.pth", unsupported="it is odd"
)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "tiny.py"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def variables(recipe):
    return made_up_variables(runpy.run_path(str(recipe))["get_config"]().model)


@pytest.fixture(scope="module")
def contents(variables, tmp_path_factory):
    """Of the detector, and of a recogniser with the same backbone."""
    folder = tmp_path_factory.mktemp("contents")
    state = to_state_dict(variables)
    write_pytorch(folder / "tiny.pth", state, {})
    backbone = {key: x for key, x in state.items() if key.startswith("backbone.")}
    head = {"cls_head.fc_cls.weight": np.zeros((400, 512), np.float32)}
    write_pytorch(folder / "start.pth", backbone | head, {})
    return {name: (folder / f"{name}.pth").read_bytes() for name in ("tiny", "start")}


@pytest.fixture
def server(monkeypatch, tmp_path, contents, recipe):
    """Serves a detector and a recogniser, and knows no other names."""
    with serving(monkeypatch, tmp_path / "cache") as server:
        tiny = dataclasses.replace(TINY, config=str(recipe))
        files = [
            publish(server, tiny, contents["tiny"]),
            publish(server, START, contents["start"]),
            OTHER,
        ]
        use_table(monkeypatch, files)
        yield server


def assert_same(found, expected):
    found, expected = to_state_dict(found), to_state_dict(expected)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value)


def test_a_detector_by_name(server, variables):
    config, found, names = load.read_detector("tiny")
    assert_same(found, variables)
    # The recipe of the name: with its actions.
    assert names == {12: "stand", 14: "walk"} and config.model.width == 8


def test_the_second_start_uses_what_was_converted(server, variables, monkeypatch):
    load.read_detector("tiny")
    path = by_name.converted(published.find("tiny"))
    served = server.files["/zoo/tiny.pth"]
    assert len(served.told) == 1
    # Neither the network nor the file is needed any more.
    monkeypatch.setenv("AVA_JAX_OFFLINE", "1")
    published.cached_path(published.find("tiny")).unlink()
    assert_same(load.read_detector("tiny")[1], variables)
    # Another version of this package may convert otherwise.
    monkeypatch.setattr("ava_jax.__version__", "9")
    with pytest.raises(UserError, match="not in the cache"):
        load.read_detector("tiny")
    assert path.parent.name != "9"


def test_another_file_of_the_name_is_converted_again(
    server, variables, contents, monkeypatch
):
    before = by_name.converted(published.find("tiny"))
    file = publish(server, published.find("tiny"), contents["tiny"] + b" ")
    use_table(monkeypatch, [file])
    published.cached_path(file).unlink()
    assert by_name.converted(file) != before


def test_a_half_converted_directory_is_not_taken(server, monkeypatch, variables):
    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store, "save_variables", fail)
        load.read_detector("tiny")
    # What a process leaves that is killed.
    path = by_name.converted(published.find("tiny"))
    shutil.move(path, f"{path}.partial")
    assert_same(load.read_detector("tiny")[1], variables)
    assert not os.path.exists(f"{path}.partial")


def test_a_configuration_of_ones_own(server, variables, recipe):
    config, found, names = load.read_detector("tiny", str(recipe), {12: "a", 14: "b"})
    assert_same(found, variables)
    assert names == {12: "a", 14: "b"}


def test_a_local_path_comes_first(server, tmp_path, monkeypatch, variables):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(by_name.converted(published.find("tiny")), tmp_path / "start")
    assert by_name.published_file("start") is None
    assert_same(load.read_detector("start")[1], variables)
    assert str(by_name.weights("start")) == "start"
    assert server.files["/start.pth"].told == []


MISTAKES = [
    ("start", "start is a recogniser of AVA: .*--config.init_from=start"),
    ("other", "other is published .* but not supported: it is odd"),
    ("tyni", "no checkpoint tyni.*The nearest are tiny"),
]


@pytest.mark.parametrize(("name", "message"), MISTAKES)
def test_what_is_no_detector(server, name, message):
    with pytest.raises(UserError, match=message):
        load.read_detector(name)
    assert all(served.told == [] for served in server.files.values())


@pytest.mark.parametrize("init_from", ["", "scratch"])
def test_random_weights_when_asked(server, init_from, tmp_path):
    assert by_name.initial_weights(init_from) is None
    assert "scratch" in by_name.describe(init_from)
    assert by_name.weights_to_evaluate(init_from, tmp_path) == tmp_path


def test_training_starts_from_a_recogniser(server, variables):
    source = "https://example.com/start.pth"
    assert by_name.describe("start") == f"start (AVA), to be downloaded from {source}"
    path = by_name.initial_weights("start")
    assert by_name.describe("start") == f"start (AVA), {path}"
    config = mini_config.get_config()
    config.model.backbone, config.model.width = "slowonly", 8
    fresh = jax.device_put(made_up_variables(config.model))
    found = store.load_variables(path, config.model, fresh)
    found, fresh, there = map(to_state_dict, (found, fresh, variables))
    for key, value in found.items():
        expected = there if key.startswith("backbone.") else fresh
        np.testing.assert_array_equal(value, expected[key])


def test_without_it_training_ends_with_what_to_do(server, monkeypatch):
    monkeypatch.setenv("AVA_JAX_OFFLINE", "1")
    path = published.cached_path(published.find("start"))
    with pytest.raises(UserError) as error:
        by_name.initial_weights("start")
    text = str(error.value)
    for part in (f"{server.url}/start.pth", f"put it at {path}", "init_from=scratch"):
        assert part in text
    with pytest.raises(UserError, match="no checkpoint runs/none"):
        by_name.initial_weights("runs/none")


def test_what_was_trained_is_evaluated(server, tmp_path):
    with pytest.raises(UserError, match="start is a recogniser"):
        by_name.weights_to_evaluate("start", tmp_path)
    path = by_name.weights_to_evaluate("tiny", tmp_path)
    assert path == published.cached_path(published.find("tiny"))
    (tmp_path / "checkpoints/7").mkdir(parents=True)
    for init_from in ("start", "tiny", "scratch"):
        assert by_name.weights_to_evaluate(init_from, tmp_path) == tmp_path


@pytest.mark.parametrize(
    ("name", "config"),
    [
        (name, module.get_config(name))
        for module in (slowfast, slowonly, pyslowfast)
        for name in module.VARIANTS
    ]
    + [("own", own.get_config())],
)
def test_a_recipe_starts_where_the_original_starts(name, config):
    start = published.find(config.init_from)
    file = published.get(name)
    if file is None:  # PySlowFast has published only some of its detectors
        assert start.kind == ("detector" if name == "own" else "pretrained")
    else:
        assert config.init_from == file.init_from
        assert start.kind == "pretrained"


def test_small_data_sets_train_from_scratch():
    for variant in mini_config.VARIANTS:
        assert mini_config.get_config(variant).init_from == ""


def test_recipes_are_found_from_everywhere(tmp_path, monkeypatch):
    from ava_jax import config

    monkeypatch.chdir(tmp_path)
    assert config.load("configs/slowonly.py").model.backbone == "slowonly"


def test_a_person_detector_by_name(server, monkeypatch, tmp_path):
    from ava_jax.people import detectors

    file = dataclasses.replace(
        TINY, name="finder", kind="person_detector", url="https://example.com/f.onnx"
    )
    use_table(monkeypatch, [publish(server, file, b"network"), START])
    monkeypatch.setattr(detectors, "OnnxDetector", lambda *given: given)
    path = published.cached_path(file)
    assert open_detector("finder", threshold=0.2) == (path, 0.2)
    assert isinstance(open_detector("hog"), HogDetector)
    with pytest.raises(UserError, match="no person detector 'start'"):
        open_detector("start")


@pytest.mark.parametrize("source", ["name", "directory"])
def test_scripts_take_names(server, tmp_path, monkeypatch, capsys, source):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")  # set by the scripts, for good

    def script(name, *arguments):
        program = runpy.run_path(str(ROOT / f"scripts/{name}.py"))
        program["main"](list(map(str, arguments)))

    out = tmp_path / "out"
    script("convert_checkpoint", "tiny", out, "--verify")
    assert "equal to the source, bit by bit" in capsys.readouterr().out
    checkpoint = "tiny" if source == "name" else out
    script("export_pytorch", checkpoint, tmp_path / "back.pth")
    served = read_pytorch(published.fetch("tiny"))
    back = read_pytorch(tmp_path / "back.pth")
    assert back.keys() == served.keys()
    for key, value in served.items():
        np.testing.assert_array_equal(back[key], value)


def test_a_conversion_needs_a_configuration(server, tmp_path):
    program = runpy.run_path(str(ROOT / "scripts/convert_checkpoint.py"))
    message = "start.pth holds SlowOnly R10 with no head.*No configuration in configs/"
    with pytest.raises(UserError, match=message):
        program["main"](["start", str(tmp_path / "out")])
