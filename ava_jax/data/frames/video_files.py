"""Movies as video files, read where a clip lies."""

import collections
import dataclasses
import os
import pathlib
import threading
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ava_jax.data.frames.index import Facts, look_at
from ava_jax.data.frames.store import FrameStore
from ava_jax.errors import UserError, join_first
from ava_jax.video.reader import SUFFIXES
from ava_jax.video.seekable import SeekableVideo

# Open files of each thread: a clip is of one movie, and opening takes milliseconds.
_OPEN = 8


@dataclasses.dataclass(frozen=True, eq=False)
class VideoFrames(FrameStore):
    """Movies as video files.

    Attributes:
      files: one a movie.
      fps: frames a second, whatever the files' own rates are.
      offset: number (see `SeekableVideo`) of frame 0.
    """

    files: tuple[pathlib.Path, ...]
    fps: int
    offset: int
    _local: threading.local = dataclasses.field(default_factory=threading.local)

    def place(self, video: int, index: int) -> str:
        """See `FrameStore`."""
        return f"{self.files[video]}, frame {index}"

    def clip(self, video: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        """See `FrameStore`."""

        def read(video: np.ndarray, indices: np.ndarray) -> np.ndarray:
            return np.stack(self._reader(int(video)).read(indices + self.offset))

        frames = tf.numpy_function(read, [video, indices], tf.uint8)
        return tf.ensure_shape(frames, [indices.shape[0], None, None, 3])

    def read(self, video: int, index: int) -> np.ndarray:
        """See `FrameStore`."""
        return self._reader(video).read([index + self.offset])[0]

    def _reader(self, video: int) -> SeekableVideo:
        """This thread's reader of a movie: a decoder is at one place at a time."""
        readers = self._local.__dict__.setdefault("readers", collections.OrderedDict())
        if video not in readers:
            readers[video] = SeekableVideo(self.files[video], self.fps)
        readers.move_to_end(video)
        if len(readers) > _OPEN:
            readers.popitem(last=False)[1].close()
        return readers[video]


def open_videos(
    root: str | os.PathLike, videos: Sequence[str], fps: int, start: float = 0
) -> VideoFrames:
    """Looks at the video file of every movie.

    Args:
      root: the folder that holds the files, called like the movies.
      videos: names of the movies.
      fps: frames a second of the data set.
      start: seconds from the start of the files to frame 1.

    Raises:
      UserError: movies are missing, or are no videos.
    """
    root = pathlib.Path(root)
    files = dict(zip(videos, _find(root, videos), strict=True))

    def look(video: str) -> Facts:
        return [*_stamp(files[video]), *_look(files[video], fps)]

    def unchanged(video: str, facts: Facts) -> bool:
        return _stamp(files[video]) == facts[:2]

    facts = look_at(root, videos, look, unchanged, f"video {fps} fps")
    _, _, last, height, width = np.array(facts, np.int64).reshape(-1, 5).T
    offset = round(start * fps) - 1
    return VideoFrames(
        videos=tuple(videos),
        first=np.full(len(videos), max(1, -offset), np.int64),
        last=last - offset,
        size=np.stack([height, width], axis=1).astype(np.int32),
        missing=np.zeros(len(videos), np.int64),
        files=tuple(files.values()),
        fps=fps,
        offset=offset,
    )


def _find(root: pathlib.Path, videos: Sequence[str]) -> list[pathlib.Path]:
    by_name = collections.defaultdict(list)
    for path in sorted(root.iterdir()):
        if path.suffix.lower() in SUFFIXES:
            by_name[path.stem].append(path)
    wrong = [video for video in videos if len(by_name[video]) != 1]
    if wrong:
        there = [path.name for path in by_name[wrong[0]]] or "none"
        raise UserError(
            f"{len(wrong)} of {len(videos)} movies don't have one video file under "
            f"{root}: {join_first(wrong)}. Expected one file for each, such as "
            f"{root / wrong[0]}.mp4; found for it: {there}."
        )
    return [by_name[video][0] for video in videos]


def _stamp(path: pathlib.Path) -> list[int]:
    status = os.stat(path)
    return [status.st_mtime_ns, status.st_size]


def _look(path: pathlib.Path, fps: float) -> Facts:
    """[number of the last frame, height, width] of one video."""
    video = SeekableVideo(path, fps)
    try:
        return [video.last(), video.height, video.width]
    finally:
        video.close()
