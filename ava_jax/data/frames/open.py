"""Opens the frame store of a data set."""

import dataclasses
import pathlib
from collections.abc import Sequence

import ml_collections
import numpy as np
from absl import logging

from ava_jax import config as ava_config
from ava_jax.annotations import clip_names
from ava_jax.data.frames.store import FrameStore
from ava_jax.video.clip_sampling import first_frame_time


def open_frames(data: ml_collections.ConfigDict, videos: Sequence[str]) -> FrameStore:
    """Opens the frames of some movies, without reading all of them.

    Args:
      data: `config.data`; `frame_store` is the kind of store in the folder `frames`,
        `on_bad_frame` selects what happens with missing or damaged frames.
      videos: names of the movies.

    Raises:
      UserError: movies are missing or damaged, or the configuration is wrong.
    """
    whole = data.on_bad_frame == "error"
    store = open_store(data, videos, whole=whole)
    return store if whole else _replace_bad_frames(store)


def open_store(
    data: ml_collections.ConfigDict, videos: Sequence[str], *, whole: bool = True
) -> FrameStore:
    """Opens the frames of some movies; a bad frame is an error when it is read.

    Args:
      data: `config.data`.
      videos: names of the movies.
      whole: refuse frame folders with missing frames.

    Raises:
      UserError: movies are missing or damaged, or the configuration is wrong.
    """
    ava_config.check(data, "data")
    store = _open(data, videos, whole)
    return dataclasses.replace(store, late=late_frames(data, videos))


def late_frames(data: ml_collections.ConfigDict, videos: Sequence[str]) -> np.ndarray:
    """`FrameStore.late` of some movies.

    Args:
      data: `config.data`; `clip_names` says whether names have a start.
      videos: names of the movies.
    """
    if not data.clip_names:
        return np.zeros(len(videos), np.int64)
    begin = clip_names.starts(videos, otherwise=data.timestamp_start)
    return np.rint((begin - data.timestamp_start) * data.fps).astype(np.int64)


def _open(data, videos, whole) -> FrameStore:
    root = pathlib.Path(data.root, data.frames)
    # Imported here, so that a store does not need the libraries of the others.
    if data.frame_store == "folder":
        from ava_jax.data.frames.folders import open_folders

        return open_folders(root, videos, data.frame_name, whole=whole)
    if data.frame_store == "packed":
        from ava_jax.data.frames.packed import open_packed

        return open_packed(root, videos, data.fps)
    from ava_jax.data.frames.video_files import open_videos

    before = np.full(len(videos), first_frame_time(data), float)
    if data.clip_names:
        # Files of clips begin with the clip.
        before[[clip_names.parse(video) is not None for video in videos]] = 0
    return open_videos(root, videos, data.fps, before)


def _replace_bad_frames(store: FrameStore) -> FrameStore:
    from ava_jax.data.frames.nearest import NearestFrames

    if store.missing.any():
        logging.warning(
            "%d frames of %d movies are missing; the nearest frames are used instead.",
            store.missing.sum(),
            (store.missing > 0).sum(),
        )
    return NearestFrames.of(store)
