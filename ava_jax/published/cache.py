"""The published files on this machine."""

import pathlib

from ava_jax import files
from ava_jax.errors import UserError
from ava_jax.published.checksum import mismatch
from ava_jax.published.mirror import mirrored
from ava_jax.published.table import PublishedFile, find


def cached_path(file: PublishedFile) -> pathlib.Path:
    """Where a published file is, or would be."""
    folder = files.cache_folder() / "published"
    # 'pretrain/NAME' is not NAME, though their files have the same name.
    return folder.joinpath(file.name).with_name(file.file_name)


def fetch(name: str | PublishedFile) -> pathlib.Path:
    """Path of a published file, which is downloaded if it is not in the cache.

    Every call compares the checksum, so that no changed or incomplete file is used.

    Args:
      name: see `table.get`.

    Raises:
      UserError: no such name; the file cannot be downloaded; or another file is in
        its place.
    """
    file = find(name) if isinstance(name, str) else name
    path = cached_path(file)
    if not path.is_file():
        # It imports much that is not needed for a file that is there.
        from ava_jax.published.download import download

        download(file.url, path, sha256=file.sha256, size=file.size, name=file.name)
    elif problem := damage(file):
        raise UserError(
            f"{path} is not {file.name}, which is published as {mirrored(file.url)}: "
            f"{problem}. Delete it, and the next start downloads it."
        )
    return path


def damage(file: PublishedFile) -> str:
    """What is wrong with the file in the cache: found and expected; '' if nothing."""
    return mismatch(cached_path(file), file.sha256, file.size)
