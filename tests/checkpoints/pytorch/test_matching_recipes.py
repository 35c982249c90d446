"""Which recipes a file fits, for tensors of every published shape."""

import pathlib
import re

import checkpoint_data
import numpy as np
import pytest
import reference_1x
import reference_data

from ava_jax import config as ava_config
from ava_jax.checkpoints.pytorch import architecture, convert_file, converter
from ava_jax.checkpoints.pytorch.families import FAMILIES
from ava_jax.checkpoints.pytorch.matching_recipes import find_recipe, fitting
from ava_jax.checkpoints.pytorch.source_state import rename
from ava_jax.checkpoints.pytorch.writer import write_pytorch
from ava_jax.errors import UserError
from ava_jax.models import detector
from ava_jax.predict import Detector
from ava_jax.published import all_files
from configs import pyslowfast, videomae

SLOWONLY = "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
CUSTOM = f"{SLOWONLY}_custom_classes"
SLOWONLY_OMNI = "slowonly_omnisource_pretrained_r50_4x16x1_20e_ava_rgb"
R101 = "slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb"
R101_OMNI = "slowonly_omnisource_pretrained_r101_8x8x1_20e_ava_rgb"
NONLOCAL_4X16 = "slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb"
NONLOCAL_8X8 = "slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb"
SLOWFAST = "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
CONTEXT = "slowfast_context_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
PYSLOWFAST = {
    "SLOW_8x8_R50": ("SLOW_8x8_R50", "SLOW_8x8_R50_SHORT"),
    "SLOWFAST_32x2_R50": ("SLOWFAST_32x2_R50", "SLOWFAST_32x2_R50_SHORT"),
    "SLOWFAST_32x2_R101_50_50": (
        "SLOWFAST_32x2_R101_50_50",
        "SLOWFAST_64x2_R101_50_50",
        "SLOWFAST_32x2_R101_50_50_v2.1",
    ),
}
# Without those that only write a feature bank.
ONE_X = {k: v for k, v in reference_1x.summary().items() if v["max_epochs"]}
# Detector of 0.x -> one of 1.x that is the same network, of the same clips.
_TWINS = {
    row["config_0_24_1"]: name
    for name, row in reference_1x.numbers("same_as_0_24_1")["rows"].items()
}
_TWINS |= {SLOWONLY_OMNI: _TWINS[SLOWONLY], R101_OMNI: _TWINS[R101]}
# Average and maximum have no parameters.
LFB = {
    f"lfb_{ours}_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb": (
        f"slowonly-lfb-{theirs}_kinetics400-pretrained-r50_8xb12-4x16x1-20e_ava21-rgb"
    )
    for ours, theirs in (("nl", "nl"), ("max", "max"), ("avg", "max"))
}
_TWINS |= LFB


def shapes_of(name):
    """Names of equal value have equal tensors."""
    if name in pyslowfast.VARIANTS or name.endswith("_custom_classes"):
        return name
    return ONE_X[_TWINS.get(name, name)]["spec"]


def clips_of(name):
    """Names of equal tensors and equal value score clips alike."""
    if name in pyslowfast.VARIANTS or name.endswith("_custom_classes"):
        return name
    stored = ONE_X[_TWINS.get(name, name)]
    pool = stored["roi_extractor"].get("temporal_pool_mode", "avg")
    operator = stored["shared_head"], "lfb_avg" in name
    return stored["clip_len"], stored["frame_interval"], pool, operator


NAMES = [*reference_data.CONFIGS, *ONE_X, *LFB, *checkpoint_data.PYSLOWFAST]
# The ResNets of MMAction2 whose backbone is a recogniser's.
RECOGNISERS = {
    "slowonly_r50_4x16x1": r"(slowonly_(?!nl)(?!.*r50-nl).*r50|slowonly-lfb|lfb_).*",
    "slowonly_r101_8x8x1": r"slowonly_.*r101.*",
    "slowonly_nl_r50_4x16x1": r"slowonly_(nl|kinetics400-pretrained-r50-nl)_.*",
    "slowonly_nl_r50_8x8x1": r"slowonly_(nl|kinetics400-pretrained-r50-nl)_.*",
    "slowfast_r50_4x16x1": r"slowfast_.*4x16x1.*",
    "slowfast_r50_8x8x1": r"slowfast[_-].*8x8x1.*",
}


CONFIGURED = ("SLOWFAST_32x2_R101_50_50", SLOWONLY, NONLOCAL_8X8)


def zeros(spec):
    """Tensors of a spec that need no memory."""
    return {key: np.broadcast_to(np.float32(0), shape) for key, shape, *_ in spec}


def source(name):
    """The tensors of a detector, by its name."""
    twin = LFB.get(name, name)
    if twin in ONE_X:
        return rename(zeros(reference_1x.spec(ONE_X[twin]["spec"])))
    if name in pyslowfast.VARIANTS:
        return rename(
            zeros(checkpoint_data.names()["specs"][checkpoint_data.PYSLOWFAST[name]])
        )
    same = reference_data.SAME_SHAPES.get(name, name)
    return rename(zeros(reference_data.spec(same)))


RECIPES = {
    path.partition(":")[2]: path
    for file in ava_config.DETECTORS
    for path in ava_config.variants(f"configs/{file}.py")
}


@pytest.mark.parametrize("name", NAMES)
def test_by_shapes(name):
    if name in pyslowfast.VARIANTS:
        fits = PYSLOWFAST[checkpoint_data.PYSLOWFAST[name]]
    else:
        fits = [other for other in NAMES if shapes_of(other) == shapes_of(name)]
    recipes = [RECIPES[other] for other in fits]
    assert sorted(fitting(source(name))) == sorted(recipes)
    if len(set(map(clips_of, fits))) == 1:
        found = find_recipe("my.pth", source(name))
        assert found.name in recipes
        assert all(recipe in found.reason for recipe in recipes)
    else:
        with pytest.raises(
            UserError, match=r"my.pth holds Slow.* with \d+ cl"
        ) as error:
            find_recipe("my.pth", source(name))
        for recipe in recipes:
            assert f"\n  --config {recipe}" in str(error.value)


@pytest.mark.parametrize(
    "file", [f for f in all_files() if f.config], ids=lambda file: file.name
)
@pytest.mark.parametrize("renamed", ["{0.file_name}", "{0.name}.pth"])
def test_by_the_name_of_a_published_file(file, renamed):
    path = pathlib.Path("weights", renamed.format(file))
    variant = file.config.partition(":")[2]
    # Of the same shapes.
    variant = variant.removesuffix("_v2.1")
    found = find_recipe(path, source(variant))
    assert found.name == file.config
    assert "by its file name" in found.reason


def test_tensors_of_another_network_than_the_name_says():
    path = "slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb.pth"
    assert find_recipe(path, source(SLOWFAST)).name == RECIPES[SLOWFAST]


@pytest.mark.parametrize("name", RECOGNISERS)
def test_recognisers(name):
    state = rename(zeros(checkpoint_data.names()["pretrain"][name]))
    names = [n for n in NAMES if re.fullmatch(RECOGNISERS[name], n)]
    assert sorted(fitting(state)) == sorted(RECIPES[n] for n in names)


def test_a_published_recogniser_has_the_recipes_that_start_from_it():
    state = rename(zeros(checkpoint_data.names()["pretrain"]["slowonly_r101_8x8x1"]))
    path = "slowonly_r101_omni_8x8x1_kinetics400_rgb_20200926-b5dbb701.pth"
    found = find_recipe(path, state)
    assert found.name == RECIPES[R101_OMNI] and "equal" not in found.reason


def test_it_is_said_how_recipes_differ():
    state = rename(zeros(reference_data.spec(SLOWFAST.replace("4x16", "8x8"))))
    with pytest.raises(UserError) as error:
        find_recipe("epoch_20.pth", state)
    last = str(error.value).splitlines()[-1]
    expected = "config.model.temporal_pool is 'avg' or 'max'."
    assert last == f"They score clips differently: {expected}"


@pytest.mark.parametrize("size", ["base", "large"])
def test_recognisers_of_videomae(size):
    file = f"pretrain/vit-{size}-p16_videomae_k400"
    state = rename(zeros(reference_data.spec(file, "mmaction2_1x/specs")))
    names = [videomae.DEFAULT.replace("base", size)]
    names.append(f"videomae_vit_{size}_k400_pretrain+finetune")
    assert list(fitting(state)) == [RECIPES[name] for name in names]


def test_i3d():
    layers = ("Conv3d_1a_7x7", "Mixed_3b.Branch_0.Conv3d_0a_1x1")
    state = rename(zeros([(f"{x}.Conv_0.kernel", (1,) * 5) for x in layers]))
    names = ("i3d_kinetics_pretrained_ava_rgb", "vtest")
    assert list(fitting(state)) == [f"configs/i3d.py:{name}" for name in names]


def test_other_classes_are_listed_with_their_number():
    state = dict(zeros(reference_data.spec(SLOWFAST)))
    head = "roi_head.bbox_head.fc_cls"
    state[f"{head}.weight"] = np.zeros((5, 2304), np.float32)
    state[f"{head}.bias"] = np.zeros(5, np.float32)
    with pytest.raises(UserError) as error:
        find_recipe("my.pth", rename(state))
    flags = str(error.value).splitlines()[1]
    assert flags == f"  --config {RECIPES[SLOWFAST]} --config.model.num_classes=5"


def test_a_network_of_no_recipe():
    state = zeros([("backbone.conv1.conv.weight", (8, 3, 1, 7, 7))])
    with pytest.raises(UserError, match="No configuration in configs/ has its net"):
        find_recipe("my.pth", rename(state))


@pytest.mark.parametrize("name", [*CONFIGURED, *videomae.VARIANTS])
def test_a_configured_architecture_is_that_of_its_tensors(name):
    model = ava_config.load(RECIPES[name]).model
    shapes = {key: value.shape for key, value in _state(model).items()}
    expected = architecture.read_architecture(shapes)
    assert architecture.configured_architecture(model) == expected


def test_an_export_of_the_miniature_finds_its_recipe():
    state = _state(ava_config.load("configs/mini.py").model)
    assert find_recipe("mini.pth", rename(state)).name == "configs/mini.py:mini"


def _state(model):
    """An exported model; shapes are enough."""
    shapes = detector.variable_shapes(model)
    return converter.to_state_dict(
        {kind: _broadcast(tree) for kind, tree in shapes.items()}
    )


def _broadcast(tree):
    if isinstance(tree, dict):
        return {name: _broadcast(value) for name, value in tree.items()}
    return np.broadcast_to(np.float32(0), tree.shape)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_recipes_of_a_family_exist(family):
    assert all(ava_config.variants(file) for file in family.configs)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Weights of SlowOnly with classes of its own, in a file without a name."""
    path = tmp_path_factory.mktemp("file") / "my.pth"
    write_pytorch(path, checkpoint_data.mmaction2_state(CUSTOM), {})
    return path


def test_files_are_converted_by_their_recipe(file, tmp_path):
    report = convert_file.convert_file(file, tmp_path / "out")
    assert f"configuration is {RECIPES[CUSTOM]}, by" in report.notes[0]
    config, _ = convert_file.read_variables(tmp_path / "out")
    assert config.name == CUSTOM


def test_files_are_loaded_by_their_recipe(file, caplog):
    loaded = Detector.from_checkpoint(file)
    assert loaded.config.name == CUSTOM
    assert f"my.pth: Its configuration is {RECIPES[CUSTOM]}" in caplog.text


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("configs/slowfast.py", "holds SlowOnly R50, the configuration has SlowFast"),
        (RECIPES[SLOWONLY], "num_classes is 81, the check"),
        ("configs/pyslowfast.py:SLOW_8x8_R50", "res5_dilation is 2, the checkpoint"),
    ],
)
def test_a_configuration_that_does_not_fit(file, config, message):
    with pytest.raises(UserError, match=message) as error:
        Detector.from_checkpoint(file, config=config)
    assert f"\n  --config {RECIPES[CUSTOM]}" in str(error.value)
