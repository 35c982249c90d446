"""Heads of MMAction2 without an output for the reserved class 0.

With `background_class=False`, as in MMAction2's models of MultiSports, output k is
action k + 1 of a label map from 1, and the first output is an action. Here class 0 is
always reserved.
"""

import os
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

from ava_jax.checkpoints.pytorch import families, reader

WITHOUT = "background_class=False"
# More text than this has no configuration; it is not searched.
_LONGEST = 1 << 20


def read_tensors(
    path: str | os.PathLike, background_class: bool | None = None
) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint file, whose head has a class 0.

    Args:
      path: of the file.
      background_class: whether the head has an output for class 0; None: unless the
        configuration that MMAction2 stores in the file says that it has none.

    Raises:
      UserError: see `reader.read_file`.
    """
    file = reader.read_file(path)
    return with_background_class(file.tensors, file.metadata, background_class)


def with_background_class(
    tensors: dict[str, np.ndarray],
    metadata: Mapping[str, Any],
    background_class: bool | None = None,
) -> dict[str, np.ndarray]:
    """Tensors whose head has a class 0 with zero weights, if it had none.

    Args:
      tensors: of a checkpoint file.
      metadata: see `reader.PytorchFile`.
      background_class: see `read_tensors`.
    """
    if background_class is None:
        background_class = not _says_without(metadata)
    if background_class:
        return tensors
    return {
        key: add_class(value) if _is_head(key) else value
        for key, value in tensors.items()
    }


def for_model(
    tensors: dict[str, np.ndarray], model: ml_collections.ConfigDict
) -> dict[str, np.ndarray]:
    """Tensors with a class 0, if the files of a configured model have none.

    Args:
      tensors: of a checkpoint file; a head that has a class 0 already stays.
      model: `config.model`.
    """
    if model.background_class:
        return tensors
    without = model.num_classes - 1
    return {
        key: add_class(value) if _is_head(key) and len(value) == without else value
        for key, value in tensors.items()
    }


def without_class(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of adding a class 0."""
    return {key: x[1:] if _is_head(key) else x for key, x in tensors.items()}


def add_class(value: np.ndarray) -> np.ndarray:
    """(classes, ...) to (1 + classes, ...), whose first row is zero."""
    return np.concatenate([np.zeros_like(value[:1]), value])


def _is_head(key: str) -> bool:
    return key.rpartition(".")[0].endswith(families.SCORING)


def _says_without(metadata: Mapping[str, Any]) -> bool:
    meta = metadata.get("meta")
    if not isinstance(meta, Mapping):
        return False
    # MMCV has the configuration as `config`, MMEngine as `cfg`.
    texts = (meta.get(name) for name in ("config", "cfg"))
    return any(
        isinstance(text, str)
        and len(text) <= _LONGEST
        and WITHOUT in text.replace(" ", "")
        for text in texts
    )
