"""Names of movies that differ from those on disk in spelling alone."""

import pathlib
from collections.abc import Sequence

from ava_jax.annotations.tools.names import other_spelling


def spelling_hint(absent: Sequence[str], root: pathlib.Path) -> str:
    """A sentence about files or folders that movies may mean, after a space, or ''.

    Args:
      absent: movies that are not in the folder, or not as they are written.
      root: the folder.
    """
    there = [path.stem if path.is_file() else path.name for path in root.glob("*")]
    for video in absent:
        if found := other_spelling(video, dict.fromkeys(there)):
            return (
                f" There is {found!r}, which may be {video!r}: write the names as they "
                "are there (ava-jax prepare import does, of a CSV, too)."
            )
    return ""
