"""Files and folders that appear whole or not at all, JSON, checksums, the cache."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator
from typing import Any

from ava_jax.errors import UserError


@contextlib.contextmanager
def beside(path: str | os.PathLike, *, unique: bool = False) -> Iterator[pathlib.Path]:
    """A path to write to, which gets the name `path` when the block has ended.

    If the block raises, what it has written is removed, so that a full disk does
    not stay full, and what was at `path` stays.

    Args:
      path: of the file or folder. A folder does not replace anything: the block has
        to remove what is at `path`, as its last step.
      unique: several processes may write `path` at the same time; the last one wins.

    Raises:
      UserError: it cannot be written: no such folder, no right to, or the disk is
        full.
    """
    path = pathlib.Path(path)
    partial = partial_path(path)
    if unique:
        partial = partial.with_name(f"{partial.name}-{uuid.uuid4().hex}")
    try:
        remove(partial)  # of a process that was killed
        yield partial
        partial.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            remove(partial)
        if isinstance(error, OSError):
            raise UserError(
                f"{path} cannot be written ({error.strerror}). Make room or a folder "
                "there, or give another place."
            ) from error
        raise


def partial_path(path: str | os.PathLike) -> pathlib.Path:
    """Where a file or folder is written until it is whole and gets its name."""
    path = pathlib.Path(path)
    return path.with_name(path.name + ".partial")


def remove(path: pathlib.Path) -> None:
    """Removes a file, or a folder and what is in it, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def replace(
    path: str | os.PathLike, content: str | bytes, *, unique: bool = False
) -> None:
    """Writes a file of text or bytes.

    Args:
      path: of the file.
      content: text is encoded as UTF-8.
      unique: see `beside`.

    Raises:
      UserError: see `beside`.
    """
    data = content.encode() if isinstance(content, str) else content
    with beside(path, unique=unique) as partial:
        partial.write_bytes(data)


def read_json(path: str | os.PathLike) -> Any:
    """The value of a JSON file.

    Raises:
      UserError: it cannot be read, or is not JSON.
    """
    try:
        return json.loads(pathlib.Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from error


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes a JSON file, whole or not at all.

    Raises:
      UserError: see `beside`.
    """
    replace(path, json.dumps(value, indent=2) + "\n")


def cache_folder() -> pathlib.Path:
    """The folder of what can be made or downloaded again; it need not exist.

    It is `$AVA_JAX_CACHE`, else `$XDG_CACHE_HOME/ava_jax`, else `~/.cache/ava_jax`.
    """
    if own := os.environ.get("AVA_JAX_CACHE"):
        return pathlib.Path(own).expanduser().absolute()
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(home, "ava_jax")


def sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
