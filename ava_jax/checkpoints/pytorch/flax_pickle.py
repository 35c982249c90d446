"""Pickled variables of Flax modules as a state dict in torch's layouts.

Flax has no file format of its own, and some projects publish `pickle.dump(variables)`:
dictionaries in dictionaries, with NumPy arrays at the ends.
"""

from typing import Any

import numpy as np

from ava_jax.checkpoints.pytorch.key_names import to_torch_layout
from ava_jax.unpickling.interpreter import RefusedError, describe

_COLLECTIONS = ("params", "batch_stats")
# A dictionary can be in another many times, so a short file could list any number.
_MOST_ENTRIES = 2**14
_MOST_LEVELS = 10
_LONGEST_NAME = 100


def is_variables(value: Any) -> bool:
    """Whether an unpickled value looks like the variables of a Flax module."""
    return isinstance(value, dict) and isinstance(value.get("params"), dict)


def flatten(variables: dict[str, Any]) -> dict[str, Any]:
    """Key -> entry of the collections `params` and `batch_stats`.

    Keys have dots between the names of modules, also where a name has slashes.

    Raises:
      RefusedError: it is nested as no variables are.
    """
    entries: dict[str, Any] = {}
    levels = [("", variables[name]) for name in _COLLECTIONS if name in variables]
    for _ in range(_MOST_LEVELS):
        deeper = []
        for prefix, value in levels:
            if not isinstance(value, dict):
                if prefix in entries:
                    raise RefusedError(f"it has two arrays {prefix[:60]}")
                entries[prefix] = value
                continue
            if len(value) + len(deeper) + len(entries) > _MOST_ENTRIES:
                raise RefusedError(f"it has more than {_MOST_ENTRIES:,} entries")
            for name, entry in value.items():
                if type(name) is not str or len(name) > _LONGEST_NAME:
                    raise RefusedError(f"a module is named {describe(name)}")
                key = name.replace("/", ".")
                deeper.append((f"{prefix}.{key}".removeprefix("."), entry))
        levels = deeper
        if not levels:
            return entries
    raise RefusedError(f"its dictionaries are nested more than {_MOST_LEVELS} deep")


def to_torch(value: np.ndarray) -> np.ndarray:
    """A kernel in torch's layout; (1, 1, 1, 1, C), as old Flax has statistics, as (C,).

    A view, which takes no memory.
    """
    if value.ndim > 1 and value.size == value.shape[-1] > 0:
        return value.reshape(-1)
    return to_torch_layout(value)
