"""The videos that a command line means."""

import collections
import dataclasses
import glob
import os
import re
from collections.abc import Iterable, Sequence

from ava_jax.batch import storage
from ava_jax.errors import UserError

_MISSING = -1  # bytes
_PATTERN = re.compile(r"[*?\[]")


@dataclasses.dataclass(frozen=True)
class Video:
    """A video to be scored.

    Attributes:
      index: its place among all videos, from 0.
      path: absolute, or an address.
      name: in the results: of the file without its ending, or the path, if several
        have the same name.
      size: bytes; -1 if there is no such file.
      changed: when it was, in seconds.
    """

    index: int
    path: str
    name: str
    size: int
    changed: float

    @property
    def is_there(self) -> bool:
        """Whether there is such a file."""
        return self.size >= 0


def find_videos(given: Sequence[str]) -> list[Video]:
    """Looks videos up.

    Args:
      given: paths, addresses such as gs://bucket/a.mp4, patterns with * ? [], and
        lists: files that end in .txt and have one of these in a line.

    Returns:
      Each once, in the given order; those of a pattern by name. A path without a file
      is one of them.

    Raises:
      UserError: a list cannot be read, a pattern has no file, or there is none at all.
    """
    found: dict[str, tuple[int, float]] = {}
    for path in _lines(given):
        for one, size, changed in _look_up(path):
            found.setdefault(one, (size, changed))
    if not found:
        raise UserError("There is no video in the list; expected a path in each line.")
    stems = collections.Counter(map(_stem, found))
    return [
        Video(i, path, _stem(path) if stems[_stem(path)] == 1 else path, *what)
        for i, (path, what) in enumerate(found.items())
    ]


def _lines(given: Sequence[str]) -> Iterable[str]:
    for path in given:
        if not path.endswith(".txt"):
            yield path
            continue
        try:
            text = storage.read(path).decode()
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read as a list: {error}") from error
        yield from filter(None, map(str.strip, text.splitlines()))


def _look_up(path: str) -> Iterable[tuple[str, int, float]]:
    if not storage.is_remote(path):
        path = os.path.abspath(path)
    # A name may have brackets of its own.
    if not storage.is_remote(path) and os.path.exists(path):
        path = glob.escape(path)
    found = storage.match(path)
    if not found and _PATTERN.search(path):
        raise UserError(f"{path}: no file has such a name; check the pattern.")
    if not found:
        return [(path, _MISSING, 0.0)]
    return [(f.path, f.size_in_bytes, f.last_updated_in_seconds) for f in found]


def _stem(path: str) -> str:
    return os.path.splitext(path.rpartition("/")[2])[0]
