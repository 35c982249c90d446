"""Files that appear whole or not at all, and checksums of files."""

import contextlib
import hashlib
import os
import pathlib
from collections.abc import Iterator

from ava_jax.errors import UserError


@contextlib.contextmanager
def beside(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A path to write to, which gets the name `path` when the block has ended.

    If the block raises, what it has written is removed, so that a full disk does
    not stay full, and what was at `path` stays.

    Args:
      path: of the file.

    Raises:
      UserError: the file cannot be written: no such folder, no right to, or the disk
        is full.
    """
    path = pathlib.Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UserError(
                f"{path} cannot be written ({error.strerror}). Make room or a folder "
                "there, or give another place."
            ) from error
        raise


def replace(path: str | os.PathLike, content: str | bytes) -> None:
    """Writes a file of text or bytes.

    Raises:
      UserError: see `beside`.
    """
    data = content.encode() if isinstance(content, str) else content
    with beside(path) as partial:
        partial.write_bytes(data)


def sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
