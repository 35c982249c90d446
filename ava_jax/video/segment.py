"""Reads a part of a video file as if the whole file had been read.

A part is safe to read alone if the file says when each of its frames is shown, and if
decoding that begins at a key frame gives the frames that were announced. What is not
so raises `NotSeekable`, and the video must be read from its beginning.
"""

import contextlib
import dataclasses
import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from ava_jax.video.reader import VideoFrame, VideoReader, import_av, video_stream
from ava_jax.video.resample import TOLERANCE

# Seconds before the beginning of a part that are tried as the place to seek to.
_STEPS_BACK = (0, 1, 4, 16, 64, 256, 1024, math.inf)


class NotSeekable(Exception):
    """The frames of a part would not surely be those of the whole video."""


@dataclasses.dataclass(frozen=True)
class Timeline:
    """When the frames of a video are shown.

    Attributes:
      times: (F,) float64, seconds after the first frame, rising.
      origin: time of the first frame in the file, seconds.
      size: (width, height) of the first frame, before its rotation.
    """

    times: np.ndarray
    origin: float
    size: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Segment:
    """Consecutive frames of a video.

    Attributes:
      start: time of its first frame, seconds after that of the video.
      end: time of the first frame after it; None: there is none.
      skipped: frames of the video before it.
      frames: how many it has.
      origin: see `Timeline`.
      size: see `Timeline`.
    """

    start: float
    end: float | None
    skipped: int
    frames: int
    origin: float
    size: tuple[int, int]


def read_timeline(path: str | os.PathLike) -> Timeline:
    """Reads when frames are shown, without decoding more than the first.

    Raises:
      UserError: the file is not a video.
      NotSeekable: it does not say so for each frame, or is damaged.
    """
    with VideoReader(path) as video:
        origin, size = video.first_time, video.coded_size
        is_truncated = video.is_truncated
    if origin is None:
        raise NotSeekable("its frames have no times")
    with _opened(path) as (container, stream):
        stamps = [packet.pts for packet in container.demux(stream) if packet.size]
        if None in stamps:
            raise NotSeekable("some of its frames have no times")
        times = np.array([float(pts * stream.time_base) for pts in sorted(stamps)])
    times = np.unique(times - origin)
    times = times[times > -TOLERANCE]
    if not len(times) or is_truncated(times[-1]):
        raise NotSeekable("it is truncated")
    return Timeline(times, origin, size)


def read_segment(path: str | os.PathLike, segment: Segment) -> Iterator[VideoFrame]:
    """Yields the frames of a segment and those after it.

    Args:
      path: of the video.
      segment: which the `Timeline` of this video gave.

    Raises:
      NotSeekable: they are not those that were announced, or the video is damaged.
    """
    count, ended = 0, False
    for frame in _frames_from(path, segment):
        if count == 0 and abs(frame.time - segment.start) > TOLERANCE:
            raise NotSeekable(f"no frame at {segment.start:.3f} s")
        if segment.end is not None and frame.time >= segment.end - TOLERANCE:
            ended = ended or _check_count(count, segment)
        count += 1
        yield frame
    if segment.end is None:
        ended = _check_count(count, segment)
    if not ended:
        raise NotSeekable(f"it ends before {segment.end:.3f} s")


def _check_count(count: int, segment: Segment) -> bool:
    if count != segment.frames:
        raise NotSeekable(
            f"{count} frames instead of {segment.frames} from {segment.start:.3f} s on"
        )
    return True


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[tuple[Any, Any]]:
    """Container and video stream; what FFmpeg says is wrong becomes `NotSeekable`."""
    av = import_av()
    try:
        with av.open(os.fspath(path)) as container:
            stream = video_stream(container)
            stream.thread_type = "AUTO"
            yield container, stream
    except (av.FFmpegError, OSError) as error:
        raise NotSeekable(f"it is damaged ({error})") from error


def _frames_from(path: str | os.PathLike, segment: Segment) -> Iterator[VideoFrame]:
    """Frames from the start of the segment to the end of the video, in order."""
    with _opened(path) as (container, stream):
        last = segment.start - 2 * TOLERANCE
        for packet in _packets_before(container, stream, segment):
            for frame in packet.decode():
                if frame.time is None:
                    raise NotSeekable("some of its frames have no times")
                time = frame.time - segment.origin
                if time > last + TOLERANCE:
                    last = time
                    yield VideoFrame(frame, time, segment.size)


def _packets_before(container: Any, stream: Any, segment: Segment) -> Iterator[Any]:
    """Packets from a key frame on that is shown at or before the segment's start."""
    start = segment.origin + segment.start
    for back in _STEPS_BACK:
        _seek(container, stream, start - back, segment.origin)
        packets = container.demux(stream)
        first = next(packets, None)
        if first is None or first.pts is None or not first.is_keyframe:
            continue
        # Pictures that are stored after a key frame and shown before it may need
        # others that were not read; those from the key frame on do not.
        if float(first.pts * stream.time_base) <= start + TOLERANCE:
            yield first
            yield from packets
            return
    raise NotSeekable(f"no key frame at or before {segment.start:.3f} s is found")


def _seek(container: Any, stream: Any, time: float, origin: float) -> None:
    """Seeks to a time of the file; -inf: to the beginning."""
    time = max(time, min(origin, 0.0))
    container.seek(int(time / stream.time_base), stream=stream)
