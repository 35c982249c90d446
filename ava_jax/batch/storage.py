"""Files of this machine and of object stores, by Beam's file systems."""

import contextlib
import glob
import os
import pathlib
import re
import tempfile
import uuid
from collections.abc import Iterator

from apache_beam.io import filesystem
from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata
from apache_beam.io.filesystems import FileSystems

from ava_jax import files
from ava_jax.errors import UserError

_REMOTE = re.compile(r"\w+://")
_BLOCK = 1 << 22  # bytes that are copied at a time


def is_remote(path: str) -> bool:
    """Whether it is an address, such as gs://bucket/a.mp4, and no local path."""
    return bool(_REMOTE.match(path))


def join(folder: str, *names: str) -> str:
    """The path of a file in a folder."""
    return (
        FileSystems.join(folder, *names)
        if is_remote(folder)
        else os.path.join(folder, *names)
    )


def match(pattern: str) -> list[FileMetadata]:
    """The files that a path or a pattern with * ? [] means, by name.

    Raises:
      UserError: the file system cannot be reached, or its package is missing.
    """
    if not is_remote(pattern):
        # Beam's own would walk through all folders below.
        return [_local(path) for path in sorted(glob.glob(pattern, recursive=True))]
    try:
        found = FileSystems.match([pattern])[0].metadata_list
    except (BeamIOError, ValueError, ImportError) as error:
        raise UserError(f"{pattern} cannot be looked up: {error}") from error
    return sorted(found, key=lambda one: one.path)


def _local(path: str) -> FileMetadata:
    state = os.stat(path)
    return FileMetadata(path, state.st_size, state.st_mtime)


def exists(path: str) -> bool:
    """Whether there is a file."""
    return FileSystems.exists(path)


def read(path: str) -> bytes:
    """The content of a file."""
    with _open(path) as file:
        return file.read()


def delete(paths: list[str]) -> None:
    """Removes files."""
    if paths:
        FileSystems.delete(paths)


def _open(path: str) -> filesystem.CompressedFile:
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


@contextlib.contextmanager
def local_copy(path: str) -> Iterator[str]:
    """A local path of a file: itself, or a copy of the same name that is removed.

    Raises:
      UserError: there is no such file, or it cannot be read.
      NoRoom: the folder of temporary files is full.
    """
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="ava_jax_") as folder:
        copy = pathlib.Path(folder, path.rpartition("/")[2])
        try:
            source = _open(path)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}") from error
        with source, files_of(copy) as target:
            while block := _read_block(source, path):
                target.write(block)
        yield str(copy)


def _read_block(source, path: str) -> bytes:
    try:
        return source.read(_BLOCK)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error


class NoRoom(Exception):
    """A file of this machine cannot be written: not the fault of a video."""


@contextlib.contextmanager
def files_of(path: pathlib.Path):
    """An open local file; what the disk does wrong is `NoRoom`."""
    try:
        with open(path, "wb") as file:
            yield file
    except OSError as error:
        raise NoRoom(f"{path} cannot be written ({error.strerror}).") from error


@contextlib.contextmanager
def written(path: str) -> Iterator[pathlib.Path]:
    """A local path to write to; at the end the file is at `path`, whole.

    Several processes may write the same file at a time: the last one wins.

    Raises:
      UserError: it cannot be written; the message names it.
    """
    if not is_remote(path):
        _make_folder(os.path.dirname(path))
        with files.beside(path, unique=True) as partial:
            yield partial
        return
    with tempfile.TemporaryDirectory(prefix="ava_jax_") as folder:
        copy = pathlib.Path(folder, "file")
        yield copy
        _upload(copy, path)


def _make_folder(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{path} cannot be made ({error.strerror}). Give another place."
        ) from error


def _upload(copy: pathlib.Path, path: str) -> None:
    partial = f"{path}.partial-{uuid.uuid4().hex}"
    try:
        with (
            open(copy, "rb") as source,
            FileSystems.create(
                partial, compression_type=CompressionTypes.UNCOMPRESSED
            ) as target,
        ):
            while block := source.read(_BLOCK):
                target.write(block)
        FileSystems.rename([partial], [path])
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error}") from error
