"""What is known of every movie's frames, kept beside them between runs.

Listing 27,000 frames a movie takes minutes on network storage; asking whether a
movie has changed since takes one look at its folder.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Sequence
from concurrent import futures

from ava_jax import files
from ava_jax.errors import UserError

# How many movies are looked at together: on network storage it is all waiting.
_PARALLEL = 16

Facts = list[int]


def look_at(
    root: pathlib.Path,
    videos: Sequence[str],
    look: Callable[[str], Facts],
    unchanged: Callable[[str, Facts], bool],
    kind: str,
) -> list[Facts]:
    """The facts of every movie, from the index where they have not changed.

    Args:
      root: folder that the movies lie in; the index goes beside it, or to the
        user's cache folder if nothing can be written there.
      videos: names of the movies.
      look: finds the facts by looking at a movie; times of modification are among
        them.
      unchanged: whether a movie is as it was when its facts were found.
      kind: facts of another kind are kept apart.

    Returns:
      Facts in the order of `videos`.
    """
    path = _beside(root)
    index = _read(path) or _read(_in_cache(root))
    known = index.setdefault(kind, {})

    def facts(video: str) -> Facts:
        found = known.get(video)
        return found if found and unchanged(video, found) else look(video)

    with futures.ThreadPoolExecutor(_PARALLEL) as pool:
        found = dict(zip(videos, pool.map(facts, videos), strict=True))
    if any(known.get(video) != entry for video, entry in found.items()):
        known.update(found)
        if not _write(path, index):
            _write(_in_cache(root), index)
    return list(found.values())


def _beside(root: pathlib.Path) -> pathlib.Path:
    return root.parent / f".{root.name}_index.json"


def _in_cache(root: pathlib.Path) -> pathlib.Path:
    folder = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return pathlib.Path(folder, "ava_jax", "frames", f"{name}.json")


def _read(path: pathlib.Path) -> dict[str, dict[str, list]]:
    """The index, empty if there is none: it is only a memory."""
    try:
        index = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return index if isinstance(index, dict) else {}


def _write(path: pathlib.Path, index: dict) -> bool:
    """Whether the index could be written; whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Other processes may index the same movies.
        files.replace(path, json.dumps(index), unique=True)
    except (OSError, UserError):
        return False
    return True
