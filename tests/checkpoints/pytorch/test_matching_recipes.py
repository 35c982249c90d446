"""Which recipes a file fits, for tensors of every published shape."""

import pathlib

import checkpoint_data
import numpy as np
import pytest
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
SLOWONLY_OMNI = "slowonly_omnisource_pretrained_r50_4x16x1_20e_ava_rgb"
R101 = "slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb"
R101_OMNI = "slowonly_omnisource_pretrained_r101_8x8x1_20e_ava_rgb"
NONLOCAL_4X16 = "slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb"
NONLOCAL_8X8 = "slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb"
SLOWFAST = "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
CONTEXT = "slowfast_context_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
SLOWFAST_8X8 = (
    "slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb",
    "slowfast_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb",
    "slowfast_temporal_max_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb",
    "slowfast_temporal_max_focal_alpha3_gamma1_kinetics_pretrained_r50_8x8x1_cosine_"
    "10e_ava22_rgb",
)
PYSLOWFAST = {
    "SLOW_8x8_R50": ("SLOW_8x8_R50", "SLOW_8x8_R50_SHORT"),
    "SLOWFAST_32x2_R50": ("SLOWFAST_32x2_R50", "SLOWFAST_32x2_R50_SHORT"),
    "SLOWFAST_32x2_R101_50_50": (
        "SLOWFAST_32x2_R101_50_50",
        "SLOWFAST_64x2_R101_50_50",
        "SLOWFAST_32x2_R101_50_50_v2.1",
    ),
}
# Detector -> all that its shapes may be, and whether these score clips alike.
BY_SHAPE = {
    SLOWONLY: ((SLOWONLY, SLOWONLY_OMNI), True),
    SLOWONLY_OMNI: ((SLOWONLY, SLOWONLY_OMNI), True),
    f"{SLOWONLY}_custom_classes": ((f"{SLOWONLY}_custom_classes",), True),
    R101: ((R101, R101_OMNI), True),
    R101_OMNI: ((R101, R101_OMNI), True),
    NONLOCAL_4X16: ((NONLOCAL_4X16, NONLOCAL_8X8), False),
    NONLOCAL_8X8: ((NONLOCAL_4X16, NONLOCAL_8X8), False),
    SLOWFAST: ((SLOWFAST,), True),
    f"{SLOWFAST}_custom_classes": ((f"{SLOWFAST}_custom_classes",), True),
    CONTEXT: ((CONTEXT,), True),
    **dict.fromkeys(SLOWFAST_8X8, (SLOWFAST_8X8, False)),
    **{name: ((name,), True) for name in videomae.VARIANTS},
    **{
        name: (PYSLOWFAST[same], False)
        for name, same in checkpoint_data.PYSLOWFAST.items()
    },
}
RECOGNISERS = {
    "slowonly_r50_4x16x1": (SLOWONLY, SLOWONLY_OMNI, f"{SLOWONLY}_custom_classes"),
    "slowonly_r101_8x8x1": (R101, R101_OMNI),
    "slowonly_nl_r50_4x16x1": (NONLOCAL_4X16, NONLOCAL_8X8),
    "slowonly_nl_r50_8x8x1": (NONLOCAL_4X16, NONLOCAL_8X8),
    "slowfast_r50_4x16x1": (SLOWFAST, CONTEXT, f"{SLOWFAST}_custom_classes"),
    "slowfast_r50_8x8x1": SLOWFAST_8X8,
}


CONFIGURED = ("SLOWFAST_32x2_R101_50_50", SLOWONLY, NONLOCAL_8X8)


def zeros(spec):
    """Tensors of a spec that need no memory."""
    return {key: np.broadcast_to(np.float32(0), shape) for key, shape, *_ in spec}


def source(name):
    """The tensors of a detector, by its name."""
    if name in videomae.VARIANTS:
        return rename(zeros(reference_data.spec(name, "mmaction2_1x/specs")))
    if name in pyslowfast.VARIANTS:
        return rename(
            zeros(checkpoint_data.names()["specs"][checkpoint_data.PYSLOWFAST[name]])
        )
    same = reference_data.SAME_SHAPES.get(name, name)
    return rename(zeros(reference_data.spec(same)))


def recipe_of(name):
    kind = "pyslowfast" if name in pyslowfast.VARIANTS else name.partition("_")[0]
    kind = "videomae" if name in videomae.VARIANTS else kind
    return f"configs/{kind}.py:{name}"


def test_the_table_has_all_detectors():
    detectors = {*reference_data.CONFIGS, *checkpoint_data.PYSLOWFAST}
    assert detectors | set(videomae.VARIANTS) == set(BY_SHAPE)


@pytest.mark.parametrize("name", BY_SHAPE)
def test_by_shapes(name):
    names, alike = BY_SHAPE[name]
    recipes = list(map(recipe_of, names))
    assert sorted(fitting(source(name))) == sorted(recipes)
    if alike:
        found = find_recipe("my.pth", source(name))
        assert found.name == recipes[0] and found.config.name == names[0]
        assert all(recipe in found.reason for recipe in recipes)
    else:
        with pytest.raises(UserError, match="my.pth holds Slow.* with 81 cl") as error:
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
    path = f"{SLOWFAST_8X8[0]}.pth"
    assert find_recipe(path, source(SLOWFAST)).name == recipe_of(SLOWFAST)


@pytest.mark.parametrize("name", RECOGNISERS)
def test_recognisers(name):
    state = rename(zeros(checkpoint_data.names()["pretrain"][name]))
    assert sorted(fitting(state)) == sorted(map(recipe_of, RECOGNISERS[name]))


def test_a_published_recogniser_has_the_recipes_that_start_from_it():
    state = rename(zeros(checkpoint_data.names()["pretrain"]["slowonly_r101_8x8x1"]))
    path = "slowonly_r101_omni_8x8x1_kinetics400_rgb_20200926-b5dbb701.pth"
    found = find_recipe(path, state)
    assert found.name == recipe_of(R101_OMNI) and "equal" not in found.reason


@pytest.mark.parametrize("name", videomae.VARIANTS)
def test_recognisers_of_videomae(name):
    file = f"pretrain/{name.partition('_')[0]}_videomae_k400"
    state = rename(zeros(reference_data.spec(file, "mmaction2_1x/specs")))
    assert list(fitting(state)) == [recipe_of(name)]


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
    assert flags == f"  --config {recipe_of(SLOWFAST)} --config.model.num_classes=5"


def test_a_network_of_no_recipe():
    state = zeros([("backbone.conv1.conv.weight", (8, 3, 1, 7, 7))])
    with pytest.raises(UserError, match="No configuration in configs/ has its net"):
        find_recipe("my.pth", rename(state))


def test_a_file_that_is_not_supported():
    path = "slowfast_acrn_kinetics_pretrained_r50_8x8x1_cosine_10e_ava_rgb.pth"
    with pytest.raises(UserError, match="the ACRN head is not implemented"):
        find_recipe(path, source(SLOWFAST))


@pytest.mark.parametrize("name", [*CONFIGURED, *videomae.VARIANTS])
def test_a_configured_architecture_is_that_of_its_tensors(name):
    model = ava_config.load(recipe_of(name)).model
    shapes = converter.to_state_dict(
        # Shapes are enough.
        {
            kind: _broadcast(tree)
            for kind, tree in detector.variable_shapes(model).items()
        }
    )
    shapes = {key: value.shape for key, value in shapes.items()}
    expected = architecture.read_architecture(shapes)
    assert architecture.configured_architecture(model) == expected


def _broadcast(tree):
    if isinstance(tree, dict):
        return {name: _broadcast(value) for name, value in tree.items()}
    return np.broadcast_to(np.float32(0), tree.shape)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_recipes_of_a_family_exist(family):
    assert all(ava_config.variants(file) for file in family.configs)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Weights of SlowOnly, in a file without a name."""
    path = tmp_path_factory.mktemp("file") / "my.pth"
    write_pytorch(path, checkpoint_data.mmaction2_state(SLOWONLY), {})
    return path


def test_files_are_converted_by_their_recipe(file, tmp_path):
    report = convert_file.convert_file(file, tmp_path / "out")
    assert f"configuration is {recipe_of(SLOWONLY)}, by" in report.notes[0]
    config, _ = convert_file.read_variables(tmp_path / "out")
    assert config.name == SLOWONLY


def test_files_are_loaded_by_their_recipe(file, caplog):
    loaded = Detector.from_checkpoint(file)
    assert loaded.config.name == SLOWONLY
    assert f"my.pth: Its configuration is {recipe_of(SLOWONLY)}" in caplog.text


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("configs/slowfast.py", "holds SlowOnly R50, the configuration has SlowFast"),
        (f"{recipe_of(SLOWONLY)}_custom_classes", "num_classes is 17, the check"),
        ("configs/pyslowfast.py:SLOW_8x8_R50", "res5_dilation is 2, the checkpoint"),
    ],
)
def test_a_configuration_that_does_not_fit(file, config, message):
    with pytest.raises(UserError, match=message) as error:
        Detector.from_checkpoint(file, config=config)
    assert f"\n  --config {recipe_of(SLOWONLY)}" in str(error.value)
