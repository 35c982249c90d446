"""The stored outputs of MMAction2 1.x, and the weights that they were made with."""

import json
import zlib

import numpy as np
import reference_data

from ava_jax import config
from ava_jax.models import vit

ROOT = reference_data.ROOT / "mmaction2_1x"


def golden(name):
    """Arrays of a golden file, and its `meta`."""
    return reference_data.golden(name, "mmaction2_1x/goldens")


def training_golden(name):
    """Arrays and numbers of training steps."""
    with np.load(ROOT / f"goldens/train_{name}.npz") as file:
        arrays = dict(file)
    return arrays, json.loads((ROOT / f"goldens/train_{name}.json").read_text())


def numbers(name):
    """A golden file of numbers alone."""
    return json.loads((ROOT / f"goldens/{name}.json").read_text())


def summary():
    return json.loads((ROOT / "specs/summary.json").read_text())


def spec(name):
    """Keys, shapes and types of a state dict."""
    return json.loads((ROOT / f"specs/{name}.json").read_text())


def state_dict(name):
    """The weights of a spec: a function of key and shape."""
    return {key: weight(key, tuple(shape)) for key, shape, _ in spec(name)}


def weight(key, shape):
    value = np.asarray(_weight(key, shape))
    return value if value.dtype == np.int64 else value.astype(np.float32)


def _weight(key, shape):
    """The rule, in its order."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if key.endswith("pos_embed"):
        return vit.position_table(shape[-1])
    if key.endswith(".running_mean"):
        return 0.1 * rng.standard_normal(shape)
    if key.endswith(".running_var"):
        return rng.uniform(0.5, 1.5, shape)
    if key.endswith((".bias", ".q_bias", ".v_bias")):
        return 0.1 * rng.standard_normal(shape)
    if len(shape) == 1 or key.endswith(".ln.weight"):
        value = rng.uniform(0.5, 1.5, shape)
        return 0.2 * value if "conv3.bn." in key or "conv_out.bn." in key else value
    value = rng.standard_normal(shape)
    if key.endswith(("fc_cls.weight", "fc_cls.2.weight")):
        value = (0.05 if shape[1] <= 1024 else 0.003) * value
        if shape[1] == 2560:
            value[:, 2048:] *= 10
        return value
    value = value * np.sqrt(2 / np.prod(shape[1:]))
    if ".theta." in key or ".phi." in key:
        value = 0.75 * value
    if key.endswith(("fbo.st_feat_conv.weight", "fbo.lt_feat_conv.weight")):
        value = 0.12 * value
    return value


def model_config(name):
    """`config.model` of a config of MMAction2 1.x, from its settings there."""
    stored = summary()[name]
    model = config.default().model
    model.backbone = "slowfast" if "slowfast" in name else "slowonly"
    if "8x8x1" in name and model.backbone == "slowfast":
        model.slow_stride, model.lateral_kernel = 4, 7
    roi, head = stored["roi_extractor"], stored["bbox_head"]
    model.context = roi.get("with_global", False)
    model.temporal_pool = roi.get("temporal_pool_mode", "avg")
    model.mlp_head = head.get("mlp_head", False)
    model.focal_alpha = head.get("focal_alpha", 1.0)
    model.focal_gamma = head.get("focal_gamma", 0.0)
    model.shared_head = {"ACRNHead": "acrn"}.get(stored["shared_head"], "")
    if stored["shared_head"] == "FBOHead":
        model.shared_head = "fbo_max" if "lfb-max" in name else "fbo_non_local"
    model.dropout = head["dropout_ratio"]
    model.multilabel = head["multilabel"]
    model.background_class = head["background_class"]
    model.num_classes = head["num_classes"] + (not model.background_class)
    model.head_init = "xavier"
    return model


def step_golden(name, i=0):
    """Arrays of step i, without its prefix, and the numbers of the whole training."""
    arrays, numbers = training_golden(name)
    prefix = f"step{i}/"
    arrays = {
        key.removeprefix(prefix): value
        for key, value in arrays.items()
        if key.startswith((prefix, "k/"))
    }
    return arrays, numbers
