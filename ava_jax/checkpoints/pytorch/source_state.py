"""A state dict of any known project, brought into MMAction2's form."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from ava_jax.checkpoints.pytorch import families, key_names

# What DataParallel puts in front of every key.
_WRAPPER = "module."


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
        return f"{families.HEAD}.weight" in self.tensors


def rename(state_dict: Mapping[str, np.ndarray]) -> SourceState:
    """Finds the family of a state dict and gives its tensors MMAction2's names.

    Where class 0 is an action, a reserved class 0 with zero weights is put before
    it. A bias in front of a batch normalisation becomes part of its mean.

    Raises:
      UserError: the names are of no known family.
    """
    bare = _without_wrapper(state_dict)
    family = families.find_family(bare)
    source = SourceState(family, {}, {}, {})
    for key, renamed in family.to_mmaction2(bare).items():
        if renamed is None or key_names.to_path(renamed) is None:
            source.unused[key] = family.why_unused(key)
        elif renamed in source.tensors:
            source.unused[key] = f"the same as {source.keys[renamed][0]}"
        else:
            source.tensors[renamed] = np.asarray(bare[key])
            source.keys[renamed] = (key,)
    if not family.reserved_class:
        _reserve_class(source.tensors)
    _fold_biases(source)
    return source


def _without_wrapper(state_dict):
    if all(key.startswith(_WRAPPER) for key in state_dict):
        return {key.removeprefix(_WRAPPER): v for key, v in state_dict.items()}
    return state_dict


def _reserve_class(tensors):
    for key in (f"{families.HEAD}.weight", f"{families.HEAD}.bias"):
        if key in tensors:
            actions = tensors[key]
            tensors[key] = np.concatenate([np.zeros_like(actions[:1]), actions])


def _fold_biases(source):
    """BN((Wx + b) - mean) is BN(Wx - (mean - b)); kernels here have no such bias."""
    for bias in [key for key in source.tensors if key.endswith(".conv.bias")]:
        mean = bias.replace(".conv.bias", ".bn.running_mean")
        if mean in source.tensors:
            source.tensors[mean] = source.tensors[mean] - source.tensors.pop(bias)
            source.keys[mean] += source.keys.pop(bias)
