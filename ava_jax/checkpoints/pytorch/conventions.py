"""What a project's networks compute, where no tensor's shape shows it."""

from typing import Any

import ml_collections

from ava_jax.checkpoints.pytorch import architecture
from ava_jax.checkpoints.pytorch.source_state import SourceState


def differing(
    source: SourceState, model: ml_collections.ConfigDict
) -> dict[str, tuple[Any, Any]]:
    """Conventions of a detector's project that a configuration does not have.

    Args:
      source: the detector; a recogniser has no conventions.
      model: `config.model`.

    Returns:
      Field of `config.model` -> (value of the project, value of `model`).
    """
    if not source.has_head:
        return {}
    fields = architecture.read_architecture(source.shapes)
    ignored = set()
    if fields["backbone"] != "slowfast":
        ignored.add("slow_sampling")
    if fields["backbone"] in ("i3d", "vit"):
        ignored |= {"res5_stride", "res5_dilation"}
    if not any(fields.get("nonlocal_blocks", ())):
        ignored |= {"nonlocal_mode", "nonlocal_pool"}
    return {
        field: (value, model[field])
        for field, value in source.family.conventions.items()
        if field not in ignored and _plain(model[field]) != value
    }


def _plain(value):
    # JSON makes lists of tuples.
    return tuple(value) if isinstance(value, list) else value
