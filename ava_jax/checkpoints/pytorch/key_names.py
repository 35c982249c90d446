"""Names of tensors in PyTorch checkpoints and in the detectors here.

The modules of `ava_jax.models` are named so that MMAction2's key is a
variable's path with dots for slashes. Only the last part and the layout differ:

| torch                    | here                       | layout                     |
| ------------------------ | -------------------------- | -------------------------- |
| `conv.weight`            | params `conv/kernel`       | (out, in, kT, kH, kW) ->   |
|                          |                            | (kT, kH, kW, in, out)      |
| `fc_cls.weight`          | params `fc_cls/kernel`     | (out, in) -> (in, out)     |
| `bn.weight`              | params `bn/scale`          |                            |
| `*.bias`                 | params `*/bias`            |                            |
| `norm.weight`            | params `norm/scale`        |                            |
| `pos_embed`              | batch_stats `pos_embed`    |                            |
| `bn.running_mean`        | batch_stats `bn/mean`      |                            |
| `bn.running_var`         | batch_stats `bn/var`       |                            |
| `bn.num_batches_tracked` | -                          |                            |

The checkpoints of other projects are renamed to MMAction2's keys first:
`ava_jax.checkpoints.pytorch.families`.
"""

import numpy as np

# Modules with a kernel, and those with a scale, by the last part of their names. The
# numbers are of MLPs: a transformer's, and that of the head.
_KERNELS = ("conv", "fc_cls", "projection", "qkv", "proj", "0", "1", "2")
_KERNELS += ("st_feat_conv", "lt_feat_conv")
_SCALES = ("bn", "norm1", "norm2", "norm", "ln")
# (module, torch name) -> (collection, name here).
LEAVES = {
    **{(module, "weight"): ("params", "kernel") for module in _KERNELS},
    **{(module, "weight"): ("params", "scale") for module in _SCALES},
    **{(module, "bias"): ("params", "bias") for module in (*_KERNELS, *_SCALES)},
    ("attn", "q_bias"): ("params", "q_bias"),
    ("attn", "v_bias"): ("params", "v_bias"),
    ("backbone", "pos_embed"): ("batch_stats", "pos_embed"),
    ("bn", "running_mean"): ("batch_stats", "mean"),
    ("bn", "running_var"): ("batch_stats", "var"),
}
TORCH_LEAVES = {
    (module, collection, name): torch_name
    for (module, torch_name), (collection, name) in LEAVES.items()
}


def to_path(key: str) -> tuple[str, ...] | None:
    """Path of MMAction2's `key`, collection first; None if it has none here.

    >>> to_path("backbone.conv1.bn.running_mean")
    ('batch_stats', 'backbone', 'conv1', 'bn', 'mean')
    """
    *modules, leaf = key.split(".")
    found = LEAVES.get((modules[-1] if modules else "", leaf))
    if found is None:
        return None
    collection, name = found
    return (collection, *modules, name)


def to_key(path: tuple[str, ...]) -> str:
    """MMAction2's key of the variable at `path`: the inverse of `to_path`."""
    collection, *modules, name = path
    return ".".join([*modules, TORCH_LEAVES[modules[-1], collection, name]])


def to_layout(value: np.ndarray) -> np.ndarray:
    """A torch tensor's array in the layout used here."""
    if value.ndim == 5:
        return value.transpose(2, 3, 4, 1, 0)
    return value.T if value.ndim == 2 else value


def to_torch_layout(value: np.ndarray) -> np.ndarray:
    """The inverse of `to_layout`."""
    if value.ndim == 5:
        return value.transpose(4, 3, 0, 1, 2)
    return value.T if value.ndim == 2 else value
