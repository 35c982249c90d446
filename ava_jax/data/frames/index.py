"""An index of the frames of every movie, stored on disk between runs.

Listing 27,000 frames of each movie takes minutes on network storage. Checking whether
a movie has changed takes a stat of its folder and one frame.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Sequence
from concurrent import futures

from ava_jax import files
from ava_jax.errors import UserError

# Number of threads; far above the number of cores, because they wait for storage.
_PARALLEL = 16

Facts = list[int]


def look_at(
    root: pathlib.Path,
    videos: Sequence[str],
    look: Callable[[str], Facts],
    unchanged: Callable[[str, Facts], bool],
    kind: str,
) -> list[Facts]:
    """Gets the facts of every movie: from the index if the movie has not changed.

    Args:
      root: the folder of the movies. The index is stored next to it, or in the user's
        cache folder if that is not writable.
      videos: names of the movies.
      look: inspects a movie and returns its facts, with modification times among them.
      unchanged: whether a movie has not changed since its facts were stored.
      kind: key of the facts in the index, such as the store and its settings.

    Returns:
      The facts in the order of `videos`.
    """
    path = _beside(root)
    index = _read(path) or _read(_in_cache(root))
    known = index.setdefault(kind, {})

    def facts(video: str) -> Facts:
        found = known.get(video)
        return found if found and unchanged(video, found) else look(video)

    with futures.ThreadPoolExecutor(_PARALLEL) as pool:
        found = dict(zip(videos, pool.map(facts, videos), strict=True))
    # An index that is up to date is not written: many processes may start at once.
    if any(known.get(video) != entry for video, entry in found.items()):
        known.update(found)
        if not _write(path, index):
            _write(_in_cache(root), index)
    return list(found.values())


def _beside(root: pathlib.Path) -> pathlib.Path:
    return root.parent / f".{root.name}_index.json"


def _in_cache(root: pathlib.Path) -> pathlib.Path:
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return files.cache_folder() / "frames" / f"{name}.json"


def _read(path: pathlib.Path) -> dict[str, dict[str, list]]:
    """Reads the index, which is only a cache: an unreadable one counts as empty."""
    try:
        index = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return index if isinstance(index, dict) else {}


def _write(path: pathlib.Path, index: dict) -> bool:
    """Writes the index atomically; returns whether that was possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Other processes may index the same movies.
        files.replace(path, json.dumps(index), unique=True)
    except (OSError, UserError):
        return False
    return True
