"""`labels.json` of a checkpoint: its actions, and the data that it learned from.

{"dataset": "AVA v2.1", "domain": "films", "actions": {"1": "bend/bow (at the waist)"}}

Actions are in the order of classes 1, 2, ... A file without the first two members, or
of the actions alone, is of an older version, and is read too (`read_labels`).
"""

import os
from collections.abc import Mapping

from ava_jax import files

MINIATURE = "the built-in miniature"
STREET = "OpenCV's vtest.avi"
# What is seen in a data set, by the beginning of its name.
_DOMAINS = {
    "AVA": "films",
    "MultiSports": "sports",
    MINIATURE: "drawn figures",
    STREET: "one street, from above",
}


def write(path: str | os.PathLike, actions: Mapping[str, str], dataset: str) -> None:
    """Writes the file.

    Args:
      path: of the file.
      actions: action id -> name, in the order of the classes.
      dataset: its name; '' if it is not known.
    """
    members = {"dataset": dataset, "domain": _domain(dataset), "actions": dict(actions)}
    files.write_json(path, members)


def read_dataset(path: str | os.PathLike) -> str:
    """The name of the data set; '' if it is not known."""
    return files.read_json(path).get("dataset", "")


def describe(dataset: str) -> str:
    """Data set and domain, such as 'AVA v2.1 (films)'."""
    domain = _domain(dataset)
    return f"{dataset} ({domain})" if domain else dataset


def _domain(dataset: str) -> str:
    found = (domain for name, domain in _DOMAINS.items() if dataset.startswith(name))
    return next(found, "")
