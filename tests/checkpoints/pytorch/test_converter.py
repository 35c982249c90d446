"""State dicts of every family become variables, exactly, or are refused."""

import json

import checkpoint_data
import flax.traverse_util
import jax
import numpy as np
import pytest
import reference_data

from ava_jax.checkpoints.pytorch import families
from ava_jax.checkpoints.pytorch.converter import (
    broken_conventions,
    convert_like,
    convert_state_dict,
    to_state_dict,
)
from ava_jax.checkpoints.pytorch.reader import read_pytorch
from ava_jax.checkpoints.pytorch.writer import write_pytorch
from ava_jax.errors import UserError
from ava_jax.models import build_detector, vit
from configs import mini, pyslowfast, videomae

SLOWONLY = "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
SLOWFAST = "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
FAST_ENOUGH = (SLOWONLY, f"{SLOWFAST}_custom_classes")
HEAD = ("roi_head.bbox_head.fc_cls.bias", "roi_head.bbox_head.fc_cls.kernel")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[] if n in FAST_ENOUGH else pytest.mark.slow)
        for n in reference_data.CONFIGS
    ],
)
@pytest.mark.parametrize("layout", ["zip", "legacy"])
def test_mmaction2_round_trip_is_exact(tmp_path, name, layout):
    state = checkpoint_data.mmaction2_state(name)
    path = tmp_path / "model.pth"
    if layout == "zip":
        write_pytorch(path, state, {})
    else:
        checkpoint_data.write_legacy(path, state)
    config = reference_data.config(name).model

    variables, report = convert_state_dict(read_pytorch(path), config)
    back = to_state_dict(variables)

    assert not report.initialised
    assert set(report.used) | set(report.unused) == set(state)
    assert all(key.endswith("num_batches_tracked") for key in report.unused)
    assert set(back) == set(state)
    for key, value in state.items():
        assert back[key].dtype == value.dtype
        np.testing.assert_array_equal(back[key], value, key)


@pytest.mark.parametrize(
    ("recogniser", "name"),
    [
        ("slowonly_r50_4x16x1", SLOWONLY),
        ("slowfast_r50_4x16x1", SLOWFAST),
        pytest.param(
            "slowfast_r50_8x8x1",
            "slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "slowonly_r101_8x8x1",
            "slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "slowonly_nl_r50_4x16x1",
            "slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "slowonly_nl_r50_8x8x1",
            "slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_kinetics_recognisers_fill_the_backbone(recogniser, name):
    state = checkpoint_data.pretrain_state(recogniser)
    config = reference_data.config(name).model
    variables, report = convert_state_dict(state, config)
    back = to_state_dict(variables)
    for key, value in state.items():
        if key.startswith("backbone."):
            np.testing.assert_array_equal(back[key], value, key)
    dropped = {key for key, why in report.unused.items() if "whole clips" in why}
    assert dropped == {"cls_head.fc_cls.weight", "cls_head.fc_cls.bias"}
    assert report.initialised == HEAD
    assert report.notes == (
        "The head that scores actions has no place in the checkpoint: it starts "
        "untrained.",
    )


@pytest.fixture(scope="module")
def vit_state():
    """MMAction2's state dict of a small VideoMAE detector, and its `config.model`."""
    config = mini.get_config("vit").model
    state = checkpoint_data.state_of(config)
    state["backbone.pos_embed"] = vit.position_table(64)
    return state, config


def videomae_recogniser(state):
    """The state dict of what was trained on Kinetics: another norm, another head."""
    state = {key: x for key, x in state.items() if key.startswith("backbone.")}
    for name in ("weight", "bias"):
        state[f"backbone.fc_norm.{name}"] = 2 * state.pop(f"backbone.norm.{name}")
    state["cls_head.fc_cls.weight"] = np.ones((400, 64), np.float32)
    state["cls_head.fc_cls.bias"] = np.ones(400, np.float32)
    return state


def test_videomae_round_trip_is_exact(tmp_path, vit_state):
    state, config = vit_state
    # One that no formula gives.
    state = state | {"backbone.pos_embed": 2 * state["backbone.pos_embed"]}
    write_pytorch(tmp_path / "model.pth", state, {})
    read = read_pytorch(tmp_path / "model.pth")
    variables, report = convert_state_dict(read, config)
    assert set(report.used) == set(state) and not (report.unused or report.initialised)
    back = to_state_dict(variables)
    assert set(back) == set(state)
    for key, value in state.items():
        np.testing.assert_array_equal(back[key], value, key)


def test_videomae_recognisers_fill_all_but_norm_and_head(vit_state):
    state, config = vit_state
    recogniser = videomae_recogniser(state)
    variables, report = convert_state_dict(recogniser, config)
    norm = ("backbone.norm.bias", "backbone.norm.scale")
    assert set(report.initialised) == {*norm, *HEAD}
    dropped = {key for key, why in report.unused.items() if "whole clips" in why}
    assert dropped == set(recogniser) - set(report.used)
    assert "normalises after its pooling" in report.notes[1]
    backbone = variables["params"]["backbone"]
    np.testing.assert_array_equal(backbone["norm"]["scale"], 1)
    np.testing.assert_array_equal(backbone["norm"]["bias"], 0)
    back = to_state_dict(variables)
    for key in report.used:
        np.testing.assert_array_equal(back[key], state[key], key)

    like = jax.tree.map(np.zeros_like, variables)
    trained_on, _ = convert_like(recogniser, like)
    # It keeps what a fresh model has.
    np.testing.assert_array_equal(trained_on["params"]["backbone"]["norm"]["scale"], 0)


@pytest.mark.parametrize(
    ("dropped", "fields", "message"),
    [
        ("backbone.norm.weight", {}, "1 are missing.*backbone.norm.weight"),
        ("backbone.pos_embed", {}, "1 are missing.*backbone.pos_embed"),
        ("", {"vit_size": "base"}, "vit_size is 'base', the checkpoint has 'mini'"),
        ("", {"backbone": "i3d"}, "holds ViT mini, the configuration has I3D"),
        ("", {"num_classes": 5}, "num_classes is 5, the checkpoint has 8"),
    ],
)
def test_another_transformer_is_refused(dropped, fields, message, vit_state):
    state, config = vit_state
    state = {key: value for key, value in state.items() if key != dropped}
    config = config.copy_and_resolve_references()
    config.update(fields)
    with pytest.raises(UserError, match=message):
        convert_state_dict(state, config)


@pytest.mark.parametrize("name", ["base", "large"])
def test_published_videomae_recognisers_are_known(name):
    path = reference_data.ROOT / "mmaction2_1x/specs/pretrain"
    spec = json.loads((path / f"vit-{name}-p16_videomae_k400.json").read_text())
    source = {key: np.broadcast_to(np.float32(0), shape) for key, shape, _ in spec}
    config = next(c for c in videomae.VARIANTS if c.startswith(f"vit-{name}"))
    _, report = convert_state_dict(source, videomae.get_config(config).model)
    unused = {key for key in source if key.startswith("cls_head.") or "fc_norm" in key}
    assert set(report.used) == set(source) - unused


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow if "R101" in n else [])
        for n in checkpoint_data.PYSLOWFAST
    ],
)
def test_pyslowfast_detectors_give_its_logits(name):
    with np.load(checkpoint_data.ROOT / "pyslowfast_logits.npz") as file:
        expected, boxes = file[f"{name}/logits"], file[f"{name}/proposals"]
        clips = reference_data.clips(json.loads(str(file[f"{name}/meta"])))
    config = pyslowfast.get_config(name).model
    state = checkpoint_data.pyslowfast_state(name)
    variables, report = convert_state_dict(state, config)
    assert not report.initialised
    assert all(key.endswith("num_batches_tracked") for key in report.unused)
    apply = jax.jit(build_detector(config).apply)
    with jax.default_matmul_precision("highest"):
        logits = apply(variables, clips, boxes[None])[0]
    # float32 sums in two orders, up to 101 layers deep; as for MMAction2's.
    np.testing.assert_allclose(logits[:, 1:], expected, rtol=0, atol=2e-5)
    # The reserved class, which PySlowFast does not have, says nothing.
    np.testing.assert_array_equal(logits[:, 0], 0)


@pytest.mark.parametrize(
    ("table", "network"),
    [
        ("caffe2", "SLOW_8x8_R50"),
        ("pytorchvideo", "SLOWFAST_32x2_R50"),
        pytest.param("caffe2", "SLOWFAST_32x2_R101_50_50", marks=pytest.mark.slow),
    ],
)
def test_other_names_of_a_pyslowfast_detector_are_the_same_variables(
    tmp_path, table, network
):
    config = pyslowfast.get_config(network).model
    state = checkpoint_data.pyslowfast_state(network)
    names = checkpoint_data.names()[table][network]
    other = {names[key]: value for key, value in state.items() if names[key]}
    if table == "caffe2":
        other |= {"model_iter": 7, "lr": np.array(0.1, np.float32)}
        other["conv1_w_momentum"] = np.zeros((2, 2), np.float32)
        path = tmp_path / "model.pkl"
        path.write_bytes(checkpoint_data.python2_pickle(other))
        other = read_pytorch(path)
    expected, _ = convert_state_dict(state, config)
    variables, report = convert_state_dict(other, config)
    assert not report.initialised
    assert not [key for key, why in report.unused.items() if "no such" in why]
    jax.tree.map(np.testing.assert_array_equal, variables, expected)


@pytest.mark.parametrize("depth", [18, 50])
def test_images_kernels_are_inflated(rng, depth):
    config = reference_data.config(SLOWONLY).model
    config.depth, config.width = depth, 8
    like = checkpoint_data.state_of(config)
    keys = [key for key in like if key.startswith("backbone.")]
    names = families.IMAGENET.from_mmaction2(keys)
    state = {}
    for key in keys:
        shape = like[key].shape
        shape = shape[:2] + shape[3:] if len(shape) == 5 else shape
        state[names[key]] = rng.standard_normal(shape).astype(np.float32)
    state["fc.weight"] = np.zeros((1000, 256), np.float32)

    variables, report = convert_state_dict(state, config)
    found = to_state_dict(variables)

    assert report.initialised == HEAD
    assert "whole clips or images" in report.unused["fc.weight"]
    assert found["backbone.layer4.0.conv1.conv.weight"].shape[2] == 3
    for key in keys:
        value = state[names[key]]
        if value.ndim == 4:
            # The sum over time is the 2D kernel: a still clip gives the same.
            assert (found[key] == found[key][:, :, :1]).all()
            # Thirds do not add up exactly.
            np.testing.assert_allclose(found[key].sum(2), value, rtol=2e-7)
        elif not key.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(found[key], value)


# ------------------------------------------------------------- tiny detectors
@pytest.fixture
def tiny():
    """A small detector's configuration, and MMAction2's state dict of it."""
    config = mini.get_config().model
    config.width, config.depth = 8, 14
    return config, checkpoint_data.state_of(config)


def _drop(key):
    return lambda state: state.pop(key)


def _add(key):
    return lambda state: state.update({key: np.zeros((1,) * 5, np.float32)})


def _crop(key):
    return lambda state: state.update({key: state[key][1:]})


def test_an_mlp_head_goes_both_ways(tiny):
    config, _ = tiny
    config.update({"mlp_head": True, "context": True, "backbone": "slowonly"})
    state = checkpoint_data.state_of(config)
    variables, report = convert_state_dict(state, config)
    assert not report.initialised
    back = to_state_dict(variables)
    assert back.keys() == state.keys()
    for key, value in state.items():
        np.testing.assert_array_equal(back[key], value, key)
    config.mlp_head = False
    with pytest.raises(UserError, match="mlp_head is False, the checkpoint has True"):
        convert_state_dict(state, config)


@pytest.mark.parametrize("context", [False, True])
def test_acrn_goes_both_ways(tiny, context):
    config, plain = tiny
    config.update({"shared_head": "acrn", "context": context})
    state = checkpoint_data.state_of(config)
    back = to_state_dict(convert_state_dict(state, config)[0])
    assert back.keys() == state.keys()
    for key, value in state.items():
        np.testing.assert_array_equal(back[key], value, key)
    with pytest.raises(UserError, match="shared_head is 'acrn', the checkpoint has ''"):
        convert_state_dict(plain, config)
    variables, _ = convert_state_dict(plain, config, strict=False)
    head = jax.tree.map(np.std, variables["params"]["roi_head"]["shared_head"])
    # Kaiming, of the outputs of a 3 x 3 kernel.
    deviation = (2 / (9 * len(state["roi_head.shared_head.conv2.bn.bias"]))) ** 0.5
    np.testing.assert_allclose(head["conv2"]["conv"]["kernel"], deviation, rtol=0.05)
    statistics = variables["batch_stats"]["roi_head"]["shared_head"]["conv1"]["bn"]
    assert not statistics["mean"].any() and (statistics["var"] == 1).all()
    # ACRN's scores are of features as wide as the map's, too.
    config.shared_head = ""
    with pytest.raises(UserError, match="shared_head is '', the checkpoint has 'acrn'"):
        convert_state_dict(state, config)
    config.context = False
    _, report = convert_state_dict(state, config, strict=False)
    assert any("conv1" in key for key in report.unused)


@pytest.mark.parametrize("mlp_head", [True, False])
def test_a_fresh_head_of_mmaction2_1x(tiny, mlp_head):
    config, state = tiny
    config.update({"mlp_head": mlp_head, "head_init": "xavier", "num_classes": 5})
    variables, _ = convert_state_dict(state, config, strict=False)
    head = variables["params"]["roi_head"]["bbox_head"]["fc_cls"]
    for layer in (head["0"], head["2"]) if mlp_head else (head,):
        np.testing.assert_array_equal(layer["bias"], 0)
        deviation = (2 / sum(layer["kernel"].shape)) ** 0.5
        np.testing.assert_allclose(layer["kernel"].std(), deviation, rtol=0.1)


@pytest.mark.parametrize(
    ("change", "fields", "message"),
    [
        (None, {"depth": 26}, "SlowFast R14, the configuration has SlowFast R26"),
        (None, {"backbone": "slowonly"}, "SlowFast R14, the configuration has SlowO"),
        (None, {"backbone": "i3d"}, "SlowFast R14, the configuration has I3D"),
        (None, {"width": 16}, "config.model.width is 16, the checkpoint has 8"),
        (None, {"lateral_kernel": 7}, "config.model.lateral_kernel is 7"),
        (None, {"lateral_norm": True}, "config.model.lateral_norm is True"),
        (None, {"nonlocal_blocks": ((), (0,), (), ())}, "config.model.nonlocal_blocks"),
        (None, {"num_classes": 4}, "config.model.num_classes is 4, the checkpoint"),
        (None, {"context": True}, "config.model.context is True"),
        (_drop("backbone.slow_path.layer2.0.conv2.bn.bias"), {}, "1 are missing"),
        (_add("backbone.slow_path.layer2.0.attention.conv.weight"), {}, "no place"),
        (_crop("backbone.fast_path.layer1.0.conv2.bn.bias"), {}, "other shapes"),
    ],
)
def test_another_network_is_refused(tiny, change, fields, message):
    config, state = tiny
    config.update(fields)
    if change:
        change(state)
    with pytest.raises(UserError, match=message):
        convert_state_dict(state, config)


def test_pyslowfast_weights_need_its_conventions():
    name = "SLOW_8x8_R50"
    config = pyslowfast.get_config(name).model
    config.res5_dilation = 1
    state = checkpoint_data.pyslowfast_state(name)
    message = "config.model.res5_dilation is 1, the checkpoint has 2.*--no-strict"
    with pytest.raises(UserError, match=message):
        convert_state_dict(state, config)
    _, report = convert_state_dict(state, config, strict=False)
    assert "res5_dilation" in report.notes[0]


def test_mmaction2_weights_need_its_conventions(tiny):
    config, state = tiny
    config.roi_aligned = False
    message = "roi_aligned is False, the checkpoint has True.*configs/slowfast.py"
    with pytest.raises(UserError, match=message):
        convert_state_dict(state, config)
    _, report = convert_state_dict(state, config, strict=False)
    assert "roi_aligned" in report.notes[0]
    assert broken_conventions(state, config) == report.notes[0]


def test_a_head_without_background_class_is_hinted_at(tiny):
    config, state = tiny
    config.num_classes += 1
    with pytest.raises(UserError, match="background_class=False.*--no-background"):
        convert_state_dict(state, config)


def test_another_head_starts_untrained_if_asked(tiny):
    config, state = tiny
    config.num_classes = 4
    variables, report = convert_state_dict(state, config, strict=False)
    assert report.initialised == HEAD
    assert len(report.notes) == 1
    kernel = variables["params"]["roi_head"]["bbox_head"]["fc_cls"]["kernel"]
    assert kernel.shape[1] == 4
    assert np.ptp(kernel) > 0


def test_training_on_keeps_its_own_head_where_none_fits(tiny):
    config, state = tiny
    config.num_classes = 4
    like, _ = convert_state_dict(checkpoint_data.state_of(config), config)
    variables, report = convert_like(state, like)
    assert report.initialised == HEAD
    found = flax.traverse_util.flatten_dict(variables["params"])
    expected = flax.traverse_util.flatten_dict(like["params"])
    back = to_state_dict(variables)
    for path, value in expected.items():
        if path[0] == "roi_head":
            np.testing.assert_array_equal(found[path], value)
    key = "backbone.fast_path.layer3.0.conv2.conv.weight"
    np.testing.assert_array_equal(back[key], state[key])


@pytest.mark.parametrize(
    "rename",
    [
        lambda key: f"module.{key}",
        lambda key: f"module._orig_mod.{key}",
        lambda key: key.removeprefix("backbone."),
    ],
    ids=["DataParallel", "compiled", "backbone alone"],
)
def test_prefixes_do_not_matter(tiny, rename):
    config, state = tiny
    expected, _ = convert_state_dict(state, config)
    renamed = {rename(key): value for key, value in state.items()}
    variables, _ = convert_state_dict(renamed, config)
    jax.tree.map(np.testing.assert_array_equal, variables, expected)


@pytest.mark.parametrize("wrapper", ["module.", "module.module."])
@pytest.mark.parametrize("counter", ["n_averaged", "steps"])
def test_averaged_models_are_read_like_others(tiny, wrapper, counter):
    config, state = tiny
    expected, _ = convert_state_dict(state, config)
    averaged = {f"{wrapper}{key}": value for key, value in state.items()}
    averaged = {counter: np.array(7), **averaged}
    variables, report = convert_state_dict(averaged, config)
    jax.tree.map(np.testing.assert_array_equal, variables, expected)
    assert report.unused[counter] == "a counter of averaged steps"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tiny, value):
    config, state = tiny
    key = "backbone.slow_path.layer2.0.conv2.bn.bias"
    state[key] = np.append(state[key][:-1], np.float32(value))
    message = "1 of .* NaN or infinity .*slow_path.layer2.0.conv2.bn.bias"
    with pytest.raises(UserError, match=message):
        convert_state_dict(state, config)


def test_half_precision_becomes_float32(tiny):
    config, state = tiny
    half = {
        key: value if value.dtype == np.int64 else value.astype(np.float16)
        for key, value in state.items()
    }
    variables, _ = convert_state_dict(half, config)
    back = to_state_dict(variables)
    for key, value in half.items():
        if value.dtype != np.int64:
            assert back[key].dtype == np.float32
            np.testing.assert_array_equal(back[key], value)


def test_foreign_tensors_are_listed(tiny):
    config, state = tiny
    state["neck.conv.weight"] = np.zeros((1, 1, 1, 1, 1), np.float32)
    state["anything"] = np.zeros(1, np.float32)
    _, report = convert_state_dict(state, config)
    reason = "the detector has no such tensor"
    assert report.unused["neck.conv.weight"] == reason
    assert report.unused["anything"] == reason
