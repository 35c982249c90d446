"""Frame store: one video file for each movie, decoded only around a clip."""

import collections
import dataclasses
import os
import pathlib
import threading
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ava_jax.data.frames.index import Facts, look_at
from ava_jax.data.frames.spelling import spelling_hint
from ava_jax.data.frames.store import FrameStore
from ava_jax.errors import UserError, join_first
from ava_jax.video.reader import SUFFIXES
from ava_jax.video.seekable import SeekableVideo

# Open files of each thread. Opening a file takes milliseconds, and a clip uses one.
_OPEN = 8


@dataclasses.dataclass(frozen=True, eq=False)
class VideoFrames(FrameStore):
    """A video file for each movie.

    Attributes:
      files: the file of each movie.
      fps: frame rate of the store; files of another rate are resampled.
      offset: (V,) int64, number that `SeekableVideo` gives to the frame with index 0.
    """

    files: tuple[pathlib.Path, ...]
    fps: int
    offset: np.ndarray
    _local: threading.local = dataclasses.field(default_factory=threading.local)

    def clip(self, video: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        """Reads (T, H, W, 3) uint8 RGB frames as TensorFlow operations."""

        def read(video: np.ndarray, indices: np.ndarray) -> np.ndarray:
            numbers = indices + self.offset[video]
            return np.stack(self._reader(int(video)).read(numbers))

        frames = tf.numpy_function(read, [video, indices], tf.uint8)
        return tf.ensure_shape(frames, [indices.shape[0], None, None, 3])

    def read(self, video: int, index: int) -> np.ndarray:
        """Reads one (H, W, 3) uint8 RGB frame; raises `BadFrame`."""
        return self._reader(video).read([index + self.offset[video]])[0]

    def _reader(self, video: int) -> SeekableVideo:
        """The reader of a movie for this thread.

        Threads cannot share a decoder, because it has one position in the file.
        """
        readers = self._local.__dict__.setdefault("readers", collections.OrderedDict())
        if video not in readers:
            readers[video] = SeekableVideo(self.files[video], self.fps)
        readers.move_to_end(video)
        if len(readers) > _OPEN:
            readers.popitem(last=False)[1].close()
        return readers[video]


def open_videos(
    root: str | os.PathLike,
    videos: Sequence[str],
    fps: int,
    start: float | np.ndarray = 0,
) -> VideoFrames:
    """Inspects the video file of every movie.

    Args:
      root: the folder of the files, each with the name of its movie.
      videos: names of the movies.
      fps: frame rate of the data set.
      start: time of frame 1 in the files, in seconds; of all, or (V,) of each.

    Raises:
      UserError: movies are missing, or are not videos.
    """
    root = pathlib.Path(root)
    files = dict(zip(videos, _find(root, videos), strict=True))

    def look(video: str) -> Facts:
        return [*_stamp(files[video]), *_look(files[video], fps)]

    def unchanged(video: str, facts: Facts) -> bool:
        return _stamp(files[video]) == facts[:2]

    facts = look_at(root, videos, look, unchanged, f"video {fps} fps")
    _, _, last, height, width = np.array(facts, np.int64).reshape(-1, 5).T
    # Frame indices start at 1 and the numbers of `SeekableVideo` at 0. If `start` is
    # negative, the file begins after frame 1: its first frame has the index -offset.
    offset = np.rint(np.broadcast_to(start, len(videos)) * fps).astype(np.int64) - 1
    return VideoFrames(
        videos=tuple(videos),
        first=np.maximum(1, -offset),
        last=last - offset,
        size=np.stack([height, width], axis=1).astype(np.int32),
        missing=np.zeros(len(videos), np.int64),
        files=tuple(files.values()),
        fps=fps,
        offset=offset,
    )


def _find(root: pathlib.Path, videos: Sequence[str]) -> list[pathlib.Path]:
    by_name = collections.defaultdict(list)
    # A name may have folders in it.
    for folder in sorted({(root / video).parent for video in videos}):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix.lower() in SUFFIXES:
                name = path.relative_to(root).with_suffix("").as_posix()
                by_name[name].append(path)
    wrong = [video for video in videos if len(by_name[video]) != 1]
    if wrong:
        there = [path.name for path in by_name[wrong[0]]] or "none"
        raise UserError(
            f"{len(wrong)} of {len(videos)} movies do not have exactly one video file "
            f"in {root}: {join_first(wrong)}. Expected one file for each, such as "
            f"{root / wrong[0]}.mp4; found for this movie: {there}."
            f"{spelling_hint(wrong, root)}"
        )
    return [by_name[video][0] for video in videos]


def _stamp(path: pathlib.Path) -> list[int]:
    """Modification time and size of a file, to detect changes."""
    status = os.stat(path)
    return [status.st_mtime_ns, status.st_size]


def _look(path: pathlib.Path, fps: float) -> Facts:
    """[number of the last frame, height, width] of one video."""
    video = SeekableVideo(path, fps)
    try:
        return [video.last(), video.height, video.width]
    finally:
        video.close()
