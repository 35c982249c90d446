"""Checksums of a checkpoint's files, so that damage is noticed before it is used.

Orbax gives a checkpoint its name only when it is whole, but it does not notice a
file that is lost or changed afterwards: by a copy that was cut short, say.
"""

import json
import pathlib

from ava_jax import files
from ava_jax.errors import UserError

FILE = "checksums.json"


def write(checkpoint: pathlib.Path) -> None:
    """Writes the size and SHA-256 of every file of the items into `checksums.json`."""
    checksums = {
        path.relative_to(checkpoint).as_posix(): _describe(path)
        for path in sorted(checkpoint.glob("*/**/*"))
        if path.is_file()
    }
    files.write_json(checkpoint / FILE, checksums)


def damage(checkpoint: pathlib.Path, item: str = "") -> str | None:
    """What is wrong with a checkpoint; None if it is as it was written.

    Args:
      checkpoint: its directory.
      item: look only at this part of it.
    """
    try:
        checksums = json.loads((checkpoint / FILE).read_text())
    except (OSError, ValueError) as error:
        return f"{FILE} cannot be read: {error}"
    for name, expected in checksums.items():
        if not name.startswith(item):
            continue
        try:
            found = _describe(checkpoint / name)
        except OSError as error:
            return f"{name}: {error.strerror}"
        if found["bytes"] != expected["bytes"]:
            return f"{name} has {found['bytes']} bytes, not {expected['bytes']}"
        if found != expected:
            return f"{name} was changed since it was written"
    return None


def newest_whole(
    folder: pathlib.Path, item: str = ""
) -> tuple[pathlib.Path | None, dict[pathlib.Path, str]]:
    """The newest checkpoint that is whole, and what is wrong with newer ones.

    Args:
      folder: of the checkpoints, which are named by their steps.
      item: look only at this part of them.

    Returns:
      None if there is no checkpoint at all.

    Raises:
      UserError: there are some, and all are damaged.
    """
    damaged = {}
    for path in _newest_first(folder):
        reason = damage(path, item)
        if reason is None:
            return path, damaged
        damaged[path] = reason
    if damaged:
        reasons = "\n  ".join(f"{path.name}: {why}" for path, why in damaged.items())
        raise UserError(
            f"No checkpoint in {folder} is whole:\n  {reasons}\nBring them back from a "
            "copy, or start again in another --workdir."
        )
    return None, {}


def _newest_first(folder: pathlib.Path) -> list[pathlib.Path]:
    if not folder.is_dir():
        return []
    steps = [path for path in folder.iterdir() if path.name.isdigit()]
    return sorted(steps, key=lambda path: int(path.name), reverse=True)


def _describe(path: pathlib.Path) -> dict[str, int | str]:
    return {"bytes": path.stat().st_size, "sha256": files.sha256(path)}
