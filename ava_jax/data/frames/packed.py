"""Frame store written by `ava_builder`: each record has the JPEG files of a second."""

import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ava_jax.data.frames.store import FrameStore, decode_jpeg, decode_jpegs
from ava_jax.errors import BadFrame, UserError, join_first

# Records that `read` caches: a clip spans 3 or 4 seconds, and several threads read.
_KEPT = 32


@dataclasses.dataclass(frozen=True, eq=False)
class PackedFrames(FrameStore):
    """Movies in ArrayRecord files.

    Attributes:
      folder: folder of the TFDS data set.
      fps: frames in a record; the last record of a movie may have fewer.
      record: (V,) int64, index of the first record of each movie.
      source: the records of the data set, by index.
    """

    folder: pathlib.Path
    fps: int
    record: np.ndarray
    source: Any
    _kept: Any = dataclasses.field(init=False)

    def __post_init__(self):
        # The dataclass is frozen; a decorator on the method would share one cache among
        # all data sets and keep them alive.
        object.__setattr__(self, "_kept", functools.lru_cache(_KEPT)(self._second))

    def clip(self, video: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        """Reads (T, H, W, 3) uint8 RGB frames as TensorFlow operations."""
        # Every second of the clip is fetched once: `position` is the index of a frame's
        # second among the fetched ones.
        offset = indices - tf.constant(self.first)[video]
        seconds, position = tf.unique(offset // self.fps)
        records = tf.constant(self.record)[video] + seconds
        contents = tf.numpy_function(self._fetch, [records], tf.string)
        contents = tf.ensure_shape(contents, [None])
        frames = _parse(contents)
        # `values` has the frames of all fetched seconds in one row, and `row_starts`
        # the index of the first frame of each second.
        at = tf.gather(frames.row_starts(), position) + offset % self.fps
        return decode_jpegs(
            tf.ensure_shape(tf.gather(frames.values, at), indices.shape)
        )

    def _fetch(self, records: np.ndarray) -> np.ndarray:
        return np.array(self.source.__getitems__(records.tolist()), object)

    def read(self, video: int, index: int) -> np.ndarray:
        """Reads one (H, W, 3) uint8 RGB frame; raises `BadFrame`."""
        second, position = divmod(index - int(self.first[video]), self.fps)
        try:
            return decode_jpeg(self._kept(video, second)[position]).numpy()
        except (IndexError, RuntimeError, ValueError, tf.errors.OpError) as error:
            raise BadFrame(
                f"Frame {index} of movie {self.videos[video]} in {self.folder} cannot "
                f"be read ({error})"
            ) from None

    def _second(self, video: int, second: int) -> list[bytes]:
        record = self.source[int(self.record[video]) + second]
        return _parse(tf.constant([record])).values.numpy().tolist()


def _parse(contents: tf.Tensor) -> tf.RaggedTensor:
    """Parses serialized records into the JPEG files of each."""
    features = {"frames": tf.io.RaggedFeature(tf.string, row_splits_dtype=tf.int64)}
    return tf.io.parse_example(contents, features)["frames"]


def open_packed(
    root: str | os.PathLike, videos: Sequence[str], fps: int
) -> PackedFrames:
    """Opens a data set written by `ava_builder`.

    Args:
      root: the folder of the data set, or a parent folder.
      videos: names of the movies.
      fps: `config.data.fps`.

    Raises:
      UserError: there is no such data set, it lacks movies, or was packed at another
        frame rate.
    """
    folder = _find(pathlib.Path(root))
    facts = json.loads((folder / "metadata.json").read_text())
    if facts["fps"] != fps:
        raise UserError(
            f"{folder} was packed at {facts['fps']:g} frames a second; config.data.fps "
            f"is {fps:g}. --config.data.fps={facts['fps']:g} reads it."
        )
    movies = {movie["name"]: movie for movie in facts["movies"]}
    absent = [video for video in videos if video not in movies]
    if absent:
        raise UserError(
            f"{folder} lacks {len(absent)} of {len(videos)} movies: "
            f"{join_first(absent)}. Pack the frames again: "
            "ava-jax prepare pack --help"
        )
    rows = [movies[video] for video in videos]

    def column(name: str) -> np.ndarray:
        return np.array([row[name] for row in rows], np.int64)

    return PackedFrames(
        videos=tuple(videos),
        first=column("first"),
        last=column("last"),
        size=np.stack([column("height"), column("width")], 1).astype(np.int32),
        missing=np.zeros(len(rows), np.int64),
        folder=folder,
        fps=facts["fps"],
        record=column("record"),
        source=_records(folder),
    )


def _find(root: pathlib.Path) -> pathlib.Path:
    """Finds the only data set in a folder or at most three levels below it."""
    # TFDS writes into a folder named incomplete.*, and renames it at the end.
    found = [
        path.parent
        for pattern in (".", "*/*", "*/*/*", "*/*/*/*")
        for path in sorted(root.glob(f"{pattern}/dataset_info.json"))
        if not path.parent.name.startswith("incomplete.")
    ]
    if len(found) != 1:
        what = "no packed data set" if not found else f"{len(found)} packed data sets"
        raise UserError(
            f"{root} (config.data.root and config.data.frames) has {what}; expected "
            "one. Write it: ava-jax prepare pack --help"
        )
    return found[0]


def _records(folder: pathlib.Path):
    import tensorflow_datasets as tfds

    try:
        from array_record.python import array_record_data_source
    except ImportError as error:
        raise UserError(
            "Reading a packed data set needs array_record, which exists for Linux "
            "only. Use frame folders: --config.data.frame_store=folder"
        ) from error
    split = tfds.builder_from_directory(folder).info.splits["frames"]
    return array_record_data_source.ArrayRecordDataSource(split.file_instructions)
