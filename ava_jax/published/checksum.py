"""Whether a file is the one that was published."""

import os
import pathlib

from ava_jax import files


def mismatch(path: str | os.PathLike, sha256: str = "", size: int = 0) -> str:
    """What is wrong with a file: found and expected; '' if nothing.

    Args:
      path: of the file.
      sha256: its checksum in hexadecimal digits, or the first ones; '' if unknown.
      size: bytes; 0 if unknown.
    """
    bytes_found = pathlib.Path(path).stat().st_size
    if size and bytes_found != size:
        return f"found {bytes_found} bytes, expected {size}"
    found = files.sha256(path) if sha256 else ""
    if found.startswith(sha256.lower()):
        return ""
    some = "" if len(sha256) == 64 else "that it begins with "
    return f"found SHA-256 {found}, expected {some}{sha256} ({bytes_found} bytes)"
