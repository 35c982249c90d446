"""Opens the frames of a data set, in whichever of three stores they are."""

import pathlib
from collections.abc import Sequence

import ml_collections
from absl import logging

from ava_jax.data.frames.store import FrameStore
from ava_jax.errors import UserError

_STORES = ("folder", "packed", "video")
_POLICIES = ("error", "nearest")


def open_frames(data: ml_collections.ConfigDict, videos: Sequence[str]) -> FrameStore:
    """Looks at the frames of some movies, without reading them.

    Args:
      data: `config.data`; `frame_store` says what is in the folder `frames`,
        `on_bad_frame` what to do about frames that are bad.
      videos: names of the movies.

    Raises:
      UserError: movies are missing or damaged, or the configuration is wrong.
    """
    _check("frame_store", data.frame_store, _STORES)
    _check("on_bad_frame", data.on_bad_frame, _POLICIES)
    root = pathlib.Path(data.root, data.frames)
    whole = data.on_bad_frame == "error"
    if data.frame_store == "folder":
        from ava_jax.data.frames.folders import open_folders

        store = open_folders(root, videos, data.frame_name, whole=whole)
    elif data.frame_store == "packed":
        from ava_jax.data.frames.packed import open_packed

        store = open_packed(root, videos)
    else:
        from ava_jax.data.frames.video_files import open_videos

        start = data.timestamp_start - data.video_start
        store = open_videos(root, videos, data.fps, start)
    return store if whole else _mended(store)


def _check(field: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        names = ", ".join(map(repr, known))
        raise UserError(f"config.data.{field} is {value!r}; it must be one of {names}.")


def _mended(store: FrameStore) -> FrameStore:
    from ava_jax.data.frames.nearest import MendedFrames

    if store.missing.any():
        logging.warning(
            "%d frames of %d movies are missing: their neighbours are shown.",
            *(store.missing.sum(), (store.missing > 0).sum()),
        )
    return MendedFrames.of(store)
