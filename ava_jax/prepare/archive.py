"""Files of a zip archive, each written whole or not at all."""

import os
import pathlib
import shutil
import zipfile
import zlib
from typing import BinaryIO

from ava_jax import files
from ava_jax.errors import UserError

_PIECE = 1 << 20


def unpack(
    archive: pathlib.Path, folder: pathlib.Path, prefix: str
) -> dict[pathlib.Path, bool]:
    """Puts the files of an archive into one folder, without its own folders.

    Args:
      archive: a zip archive.
      folder: where the files go.
      prefix: of their names; other files are left out, such as a README, or what
        macOS adds.

    Returns:
      The files in the folder, and whether they are those of the archive. What was
      there before is kept, whatever it is.

    Raises:
      UserError: the archive is damaged, has two files of one name or paths that
        leave the folder, or the disk is full.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            members = _members(archive, content, prefix)
            result = {}
            for name, member in members.items():
                with content.open(member) as source:
                    result[folder / name] = place(source, folder / name)
            return result
    # RuntimeError: encrypted, or an unknown compression.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise UserError(
            f"{archive} cannot be unpacked: {error}. Expected a zip archive. Delete "
            "it, and the next start downloads it."
        ) from error


def place(source: BinaryIO, path: pathlib.Path) -> bool:
    """Copies a file, unless there is one; whether its content is that of the source.

    Raises:
      UserError: it cannot be written.
    """
    if path.exists():
        return _is_same(source, path)
    with files.beside(path) as partial, open(partial, "wb") as target:
        shutil.copyfileobj(source, target, _PIECE)
        target.flush()
        os.fsync(target.fileno())  # otherwise a power cut may leave holes
    return True


def _members(archive, content, prefix) -> dict[str, zipfile.ZipInfo]:
    """The files that are wanted, by their names without folders."""
    members = {}
    for member in content.infolist():
        path = pathlib.PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts:
            raise UserError(
                f"{archive} is not used: its path {member.filename!r} leaves the "
                "folder, which no published archive does. Delete it, and download "
                "it from another server."
            )
        if member.is_dir() or not path.name.startswith(prefix):
            continue
        if path.name in members:
            raise UserError(
                f"{archive} is not used: {members[path.name].filename!r} and "
                f"{member.filename!r} would both be {path.name}. Delete it, and "
                "download it from another server."
            )
        members[path.name] = member
    return members


def _is_same(source: BinaryIO, path: pathlib.Path) -> bool:
    with open(path, "rb") as other:
        while piece := source.read(_PIECE):
            if other.read(len(piece)) != piece:
                return False
        return not other.read(1)
