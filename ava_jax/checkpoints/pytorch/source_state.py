"""A state dict of any known project, brought into MMAction2's form."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from ava_jax.checkpoints.pytorch import background_class, families, key_names
from ava_jax.models import vit

# What DataParallel, models that average others, and torch.compile put in front of
# every key, perhaps one in the other.
_WRAPPERS = ("module.", "_orig_mod.")
# Numbers of averaged steps, which stand beside the wrapped keys: of torch's
# `swa_utils.AveragedModel` and of MMEngine's `BaseAveragedModel`.
_COUNTERS = ("n_averaged", "steps")
# What `attn.qkv` is made of, in this order, where they are apart.
_PROJECTIONS = ("query", "key", "value")


@dataclasses.dataclass(frozen=True)
class SourceState:
    """A state dict under MMAction2's names.

    Attributes:
      family: the project it is of.
      keys: MMAction2's key -> keys there that the tensor is made of.
      tensors: MMAction2's key -> array, in torch's layout.
      unused: key there -> why it has no place.
    """

    family: families.Family
    keys: dict[str, tuple[str, ...]]
    tensors: dict[str, np.ndarray]
    unused: dict[str, str]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """MMAction2's key -> shape."""
        return {key: value.shape for key, value in self.tensors.items()}

    @property
    def has_head(self) -> bool:
        """Whether it scores boxes: a detector, not a recogniser."""
        return any(f"{name}.weight" in self.tensors for name in families.SCORING)


def rename(state_dict: Mapping[str, np.ndarray]) -> SourceState:
    """Finds the family of a state dict and gives its tensors MMAction2's names.

    Where class 0 is an action, a reserved class 0 with zero weights is put before
    it. A bias in front of a batch normalisation becomes part of its mean. A
    transformer of another project than MMAction2 gets VideoMAE's table of positions.

    Raises:
      UserError: the names are of no known family.
    """
    bare = _without_wrappers(state_dict)
    family = families.find_family(bare)
    source = SourceState(family, {}, {}, {})
    for key in state_dict:
        if key in _COUNTERS and key not in bare:
            source.unused[key] = "a counter of averaged steps"
    for key, renamed in family.to_mmaction2(bare).items():
        if renamed is None or not _has_place(renamed):
            source.unused[key] = family.why_unused(key)
        elif renamed in source.tensors:
            source.unused[key] = f"the same as {source.keys[renamed][0]}"
        else:
            source.tensors[renamed] = np.asarray(bare[key])
            source.keys[renamed] = (key,)
    if not family.reserved_class:
        _reserve_class(source.tensors)
    _fold_biases(source)
    _join_projections(source)
    if family is not families.MMACTION2:
        _add_positions(source)
    return source


def _has_place(key):
    is_part = key.endswith(tuple(f".attn.{part}.weight" for part in _PROJECTIONS))
    return is_part or key_names.to_path(key) is not None


def _without_wrappers(state_dict):
    keys = [key for key in state_dict if key not in _COUNTERS]
    for wrapper in _WRAPPERS:
        if keys and all(key.startswith(wrapper) for key in keys):
            inner = {key.removeprefix(wrapper): state_dict[key] for key in keys}
            return _without_wrappers(inner)
    return state_dict


def _reserve_class(tensors):
    for key in (f"{families.HEAD}.weight", f"{families.HEAD}.bias"):
        if key in tensors:
            tensors[key] = background_class.add_class(tensors[key])


def _fold_biases(source):
    """BN((Wx + b) - mean) is BN(Wx - (mean - b)); kernels here have no such bias."""
    for bias in [key for key in source.tensors if key.endswith(".conv.bias")]:
        mean = bias.replace(".conv.bias", ".bn.running_mean")
        if mean in source.tensors:
            source.tensors[mean] = source.tensors[mean] - source.tensors.pop(bias)
            source.keys[mean] += source.keys.pop(bias)


def _join_projections(source):
    """Hugging Face's query, key and value, one below the other."""
    last = f"{_PROJECTIONS[-1]}.weight"
    for value in [key for key in source.tensors if key.endswith(f".attn.{last}")]:
        attention = value.removesuffix(last)
        parts = [f"{attention}{part}.weight" for part in _PROJECTIONS]
        if not all(part in source.tensors for part in parts):
            continue
        joined = f"{attention}qkv.weight"
        source.tensors[joined] = np.concatenate([source.tensors.pop(p) for p in parts])
        source.keys[joined] = sum((source.keys.pop(p) for p in parts), ())


def _add_positions(source):
    """The table of positions: never trained, and only in MMAction2's files."""
    patches = source.tensors.get("backbone.patch_embed.projection.weight")
    if patches is not None and "backbone.pos_embed" not in source.tensors:
        source.tensors["backbone.pos_embed"] = vit.position_table(len(patches))
        source.keys["backbone.pos_embed"] = ()
