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
    _check("on_bad_frame", data.on_bad_frame, _POLICIES)
    whole = data.on_bad_frame == "error"
    store = open_store(data, videos, whole=whole)
    return store if whole else _mended(store)


def open_store(
    data: ml_collections.ConfigDict, videos: Sequence[str], *, whole: bool = True
) -> FrameStore:
    """`open_frames` without a stand-in for frames that are bad.

    Args:
      data: see `open_frames`.
      videos: see `open_frames`.
      whole: refuse folders that lack a frame.

    Raises:
      UserError: see `open_frames`.
    """
    _check("frame_store", data.frame_store, _STORES)
    root = pathlib.Path(data.root, data.frames)
    if data.frame_store == "folder":
        from ava_jax.data.frames.folders import open_folders

        return open_folders(root, videos, data.frame_name, whole=whole)
    if data.frame_store == "packed":
        from ava_jax.data.frames.packed import open_packed

        return open_packed(root, videos)
    from ava_jax.data.frames.video_files import open_videos

    start = data.timestamp_start - data.video_start
    return open_videos(root, videos, data.fps, start)


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
