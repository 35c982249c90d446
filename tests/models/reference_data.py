"""The stored outputs of MMAction2 and the weights they were made with."""

import functools
import json
import pathlib
import zlib

import numpy as np

from configs import slowfast, slowonly

ROOT = pathlib.Path(__file__).parents[1] / "data/reference"

# Configs that are the same network as another one: only that one is stored.
SAME_NETWORK = {
    "slowonly_omnisource_pretrained_r50_4x16x1_20e_ava_rgb": (
        "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
    ),
    "slowonly_omnisource_pretrained_r101_8x8x1_20e_ava_rgb": (
        "slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb"
    ),
    "slowfast_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb": (
        "slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb"
    ),
    "slowfast_temporal_max_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb": (
        "slowfast_temporal_max_focal_alpha3_gamma1_kinetics_pretrained_r50_8x8x1"
        "_cosine_10e_ava22_rgb"
    ),
}
# The same, for keys and shapes of the parameters.
SAME_SHAPES = SAME_NETWORK | {
    SAME_NETWORK[
        "slowfast_temporal_max_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb"
    ]: "slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb",
    "slowfast_temporal_max_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb": (
        "slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb"
    ),
    "slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb": (
        "slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb"
    ),
}
# Of 0.x: the names of 1.x have dashes.
CONFIGS = sorted(n for n in (*slowonly.VARIANTS, *slowfast.VARIANTS) if "-" not in n)


def config(name):
    """The configuration of an MMAction2 config name."""
    module = slowfast if name in slowfast.VARIANTS else slowonly
    return module.get_config(name)


def summary():
    return json.loads((ROOT / "specs/summary.json").read_text())


def golden(name, folder="goldens"):
    """Arrays of a golden file, and its `meta`."""
    with np.load(ROOT / folder / f"{name}.npz") as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("meta")))


def training_golden(name):
    """Arrays and numbers of one training step."""
    with np.load(ROOT / f"goldens/train_{name}.npz") as file:
        arrays = dict(file)
    return arrays, json.loads((ROOT / f"goldens/train_{name}.json").read_text())


def state_dict(name, folder="specs", weight=None):
    """The weights of a spec: a function of key and shape (see the README)."""
    weight = weight or mmaction2_weight
    return {key: weight(key, tuple(shape)) for key, shape, _ in spec(name, folder)}


def spec(name, folder="specs"):
    """Keys, shapes and types of a state dict."""
    return json.loads((ROOT / folder / f"{name}.json").read_text())


def mmaction2_state_dict(name):
    return state_dict(SAME_SHAPES.get(name, name))


def _made_once(weight):
    """Many networks have the same keys: the numbers of each are drawn once."""

    @functools.cache
    def made(key, shape):
        value = np.asarray(weight(key, shape))
        value = value if value.dtype == np.int64 else value.astype(np.float32)
        value.flags.writeable = False
        return value

    return made


@_made_once
def mmaction2_weight(key, shape):
    value = _plain_weight(key, shape)
    if len(shape) == 1 and key.endswith(".weight"):
        return 0.2 * value if "conv3.bn." in key or "conv_out.bn." in key else value
    if key.endswith("fc_cls.weight"):
        return 0.003 * value
    if len(shape) == 5:
        value = value * np.sqrt(2 / np.prod(shape[1:]))
        return 0.75 * value if ".theta." in key or ".phi." in key else value
    return value


@_made_once
def pyslowfast_weight(key, shape):
    value = _plain_weight(key, shape)
    if len(shape) == 1 and key.endswith(".weight"):
        last = ".c_bn." in key or ("_nonlocal" in key and ".bn." in key)
        return 0.2 * value if last else value
    if key.endswith("projection.weight"):
        return 0.003 * value
    if len(shape) == 5:
        value = value * np.sqrt(2 / np.prod(shape[1:]))
        small = ".conv_theta." in key or ".conv_phi." in key
        return 0.015 * value if small else value
    return value


def _plain_weight(key, shape):
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if key.endswith((".running_mean", ".bias")):
        return 0.1 * rng.standard_normal(shape)
    if key.endswith(".running_var") or len(shape) == 1:
        return rng.uniform(0.5, 1.5, shape)
    return rng.standard_normal(shape)


def clips(meta):
    """The input of a golden file, channels last."""
    rng = np.random.default_rng(meta.get("input_seed", meta.get("seed")))
    clip = rng.standard_normal(meta["input_shape"]).astype(np.float32)
    return np.moveaxis(clip, 1, -1)
