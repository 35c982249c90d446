"""Movies as video files, read where a clip lies."""

import collections
import dataclasses
import itertools
import math
import os
import pathlib
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from ava_jax.data.frames.index import Facts, look_at
from ava_jax.data.frames.store import BadFrame, FrameStore
from ava_jax.errors import UserError, join_first
from ava_jax.video.reader import SUFFIXES, VideoFrame, import_av

# Open files of each thread: a clip is of one movie, and opening takes milliseconds.
_OPEN = 8
# As in `at_rate`: times are given in ticks of a container's clock.
_TOLERANCE = 1e-6
_NO_TIMES = (
    "does not say when its frames are shown. Extract them: "
    "python scripts/prepare_ava.py extract --help"
)


class SeekableVideo:
    """An open video whose frames are found by their time.

    They are numbered at a constant rate, as by `video.frame_rate.at_rate`: number i
    is the frame whose time is nearest to i / fps, the earlier one of two. What is
    read here is what extraction writes.
    """

    def __init__(self, path: pathlib.Path, fps: float):
        """Opens the file and decodes its first frame.

        Raises:
          UserError: PyAV is not installed.
          BadFrame: the file is no video.
        """
        av = import_av()
        self._path = path
        self._fps = fps
        self._errors = (av.FFmpegError, OSError)
        cover = av.stream.Disposition.attached_pic
        try:
            self._container = av.open(str(path))
            streams = self._container.streams.video
            self._stream = next(s for s in streams if not s.disposition & cover)
            # Clips are read in parallel; more threads would only take turns.
            self._stream.codec_context.thread_count = 1
            self._start = 0.0
            first = next(self._decode())
        except (*self._errors, StopIteration) as error:
            raise BadFrame(f"{path} cannot be read as a video ({error})") from None
        self._start = first.time
        self.height, self.width = first.rgb.shape[:2]

    def close(self) -> None:
        """Closes the file."""
        self._container.close()

    def read(self, numbers: Sequence[int]) -> list[np.ndarray]:
        """Frames, each (H, W, 3) uint8 RGB; the last one for numbers beyond it.

        Raises:
          BadFrame: the video is damaged there.
        """
        wanted = collections.deque(sorted(set(numbers)))
        found, last = {}, None
        try:
            for frame in self._frames_from(wanted[0] / self._fps):
                while last and wanted[0] / self._fps <= _middle(last, frame):
                    found[wanted.popleft()] = last
                    if not wanted:
                        return [found[number].rgb for number in numbers]
                last = frame
        except self._errors as error:
            raise BadFrame(f"{self._path} is damaged ({error})") from None
        if not last:
            raise BadFrame(f"{self._path} has no frame {wanted[0]}")
        found |= dict.fromkeys(wanted, last)
        return [found[number].rgb for number in numbers]

    def last(self) -> int:
        """The number of the last frame, which is shown as long as others."""
        duration = (self._container.duration or 0) / 1e6
        self._seek(duration)
        stream = self._stream
        times = [packet.pts for packet in self._container.demux(stream)]
        end = max((time for time in times if time is not None), default=None)
        if end is None or not stream.average_rate:
            raise BadFrame(f"{self._path} {_NO_TIMES}")
        length = float(end * stream.time_base + 1 / stream.average_rate) - self._start
        return max(math.floor(length * self._fps - 0.5 + _TOLERANCE), 0)

    def _frames_from(self, time: float) -> Iterator[VideoFrame]:
        """Frames in order, from one that is not after `time` (or from the first)."""
        for back in (0, 1, 4, 16, 64, 256, 1024, math.inf):
            before = max(time - back, 0)
            self._seek(before)
            frames = self._decode()
            first = next(frames, None)
            # Some formats find a place behind the one that was asked for.
            if not before or (first and first.time <= time + _TOLERANCE):
                break
        return itertools.chain([first] if first else [], frames)

    def _seek(self, time: float) -> None:
        offset = int((self._start + time) / self._stream.time_base)
        self._container.seek(offset, stream=self._stream)

    def _decode(self) -> Iterator[VideoFrame]:
        last = -math.inf
        for frame in self._container.decode(self._stream):
            if frame.time is None:
                raise BadFrame(f"{self._path} {_NO_TIMES}")
            if frame.time > last:
                last = frame.time
                size = frame.width, frame.height
                yield VideoFrame(frame, frame.time - self._start, size)


def _middle(a: VideoFrame, b: VideoFrame) -> float:
    return (a.time + b.time) / 2 + _TOLERANCE


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
