"""Frames of a video file by their number, in any order."""

import collections
import itertools
import math
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from ava_jax.errors import BadFrame
from ava_jax.video.reader import VideoFrame, import_av, video_stream
from ava_jax.video.resample import TOLERANCE, middle

# Seconds that are tried, one after the other, to find a place before a frame.
_STEPS_BACK = (0, 1, 4, 16, 64, 256, 1024, math.inf)
_NO_TIMES = (
    "does not say when its frames are shown. Extract them: "
    "ava-jax prepare extract --help"
)


class SeekableVideo:
    """An open video whose frames are found by their time.

    They are numbered at a constant rate, as by `video.resample.at_rate`: number i
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
        self._start = 0.0
        try:
            self._container = av.open(str(path))
            self._stream = video_stream(self._container)
            if self._stream is None:
                raise BadFrame(f"{path} cannot be read as a video (no video stream)")
            # Clips are read in parallel; more threads would only take turns.
            self._stream.codec_context.thread_count = 1
            first = next(self._decode(), None)
        except self._errors as error:
            raise BadFrame(f"{path} cannot be read as a video ({error})") from None
        if first is None:
            raise BadFrame(f"{path} cannot be read as a video (no frame)")
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
                while last and wanted[0] / self._fps <= middle(last, frame):
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
        stream = self._stream
        # Not from the very end: of frames that are stored out of order, the last one
        # may come before another.
        for back in _STEPS_BACK[1:]:
            self._seek(duration - back)
            times = [packet.pts for packet in self._container.demux(stream)]
            end = max((time for time in times if time is not None), default=None)
            if end is not None:
                break
        if end is None or not stream.average_rate:
            raise BadFrame(f"{self._path} {_NO_TIMES}")
        length = float(end * stream.time_base + 1 / stream.average_rate) - self._start
        return max(math.floor(length * self._fps - 0.5 + TOLERANCE), 0)

    def _frames_from(self, time: float) -> Iterator[VideoFrame]:
        """Frames in order, from one that is not after `time` (or from the first)."""
        for back in _STEPS_BACK:
            self._seek(time - back)
            frames = self._decode()
            first = next(frames, None)
            # Some formats (MPEG-TS) find a place after the one that was asked for, even
            # where that is the beginning.
            if first and first.time <= time + TOLERANCE:
                break
        return itertools.chain([first] if first else [], frames)

    def _seek(self, time: float) -> None:
        """Seeks to a time after the first frame; -inf: to the beginning."""
        beginning = min(self._start, 0.0)
        time = max(self._start + time, beginning)
        offset = int(time / self._stream.time_base)
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
