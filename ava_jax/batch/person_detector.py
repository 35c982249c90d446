"""A person detector that is the same on every worker."""

import os
import pathlib
import re

from ava_jax import files
from ava_jax.errors import UserError
from ava_jax.people.auto import auto_detector
from ava_jax.people.detectors import FILES, open_detector
from ava_jax.people.hog import HogDetector

_TILES = re.compile(r"(\d+x\d+:)?(.*)")


def on_all_workers(name: str, threshold: float = 0.5) -> tuple[str, str]:
    """Opens a person detector once, to check it.

    Args:
      name: for `people.open_detector`.
      threshold: least score of a person.

    Returns:
      The name for all workers: with absolute paths, and what 'auto' is here; and a
      digest of it, with the content of its file.

    Raises:
      UserError: there is no such detector or file.
    """
    name = _checked(name, threshold)
    file = _file_of(name)
    content = files.sha256(file) if file else ""
    return name, f"{name} {threshold} {content}"


def _checked(name: str, threshold: float) -> str:
    if name == "auto":
        return "hog" if isinstance(auto_detector(threshold), HogDetector) else "yolox"
    if name.endswith(FILES):
        if not os.path.exists(name):
            raise UserError(f"There is no file of boxes {name}; check the path.")
        return os.path.abspath(name)
    open_detector(name, threshold=threshold)
    file = _file_of(name)
    return name.replace(file, os.path.abspath(file)) if file else name


def _file_of(name: str) -> str:
    """The file in the name of a person detector; '' for a detector without one."""
    file = _TILES.fullmatch(name)[2]
    if file.startswith("onnx:"):
        file = file.rpartition(":")[2]
    return file if pathlib.Path(file).is_file() else ""
