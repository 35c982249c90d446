"""Reads the frames of a video file, a camera or a network stream with PyAV."""

import functools
import itertools
import math
import os
import pathlib
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
from absl import logging

from ava_jax.errors import UserError

SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ogv", ".ts", ".webm")
Source = str | os.PathLike | int
# Addresses of streams without an end.
_LIVE = re.compile(r"(rtsps?|rtmps?|rtp|srt|udp)://", re.IGNORECASE)
_ADDRESS = re.compile(r"\w+://")
_WEB = re.compile(r"https?://", re.IGNORECASE)
# FFmpeg's names of formats of pictures.
_PICTURES = re.compile(r"image2|\w+_pipe")
_EXPECTED = "Expected a file that FFmpeg reads, the number of a camera, or an address."
_PAGE = (
    "Expected the address of a video file or a stream. If it is that of a page that "
    "shows a video, download the video first (yt-dlp is a program for this), and give "
    "the file."
)
# FFmpeg's camera interface and its name of camera i, by platform.
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}:none")}
# FFmpeg's demuxers for files from outside: they hold all that they show.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg"
# Seconds without data after which an address counts as unreachable.
_PATIENCE = 10.0


def is_live(name: str) -> bool:
    """Whether it is the number of a camera or the address of an endless stream."""
    return name.isdigit() or bool(_LIVE.match(name))


class VideoFrame:
    """A decoded frame, converted to RGB only when `rgb` is used.

    Attributes:
      time: seconds after the video's first frame.
    """

    def __init__(self, frame: Any, time: float, size: tuple[int, int]):
        """Converts nothing yet.

        Args:
          frame: the frame of PyAV.
          time: seconds after the video's first frame.
          size: (width, height) to convert to, before the rotation.
        """
        self.time = time
        self._frame = frame
        self._size = size

    @functools.cached_property
    def rgb(self) -> np.ndarray:
        """(H, W, 3) uint8, upright."""
        width, height = self._size
        image = self._frame.to_ndarray(format="rgb24", width=width, height=height)
        return np.ascontiguousarray(np.rot90(image, _quarter_turns(self._frame)))


class VideoReader:
    """Iterates once over the frames of a video.

    A damaged file yields its frames up to the damage, and logs a warning. Frames whose
    time is not later than that of the previous frame are dropped. Use the reader as a
    context manager, or call `close`.

    Attributes:
      name: path, address or camera number.
      live: whether it is a camera or a live stream, which cannot be paused.
      width: width of the upright frames in pixels.
      height: height of the upright frames in pixels.
      fps: average frame rate; None if the video does not declare it.
      duration: length in seconds; None if the video does not declare it.
      first_time: time of the first frame in the file, in seconds; None if the file
        has no times.
      coded_size: width and height of the first frame before its rotation.
    """

    def __init__(
        self, source: Source, *, trusted: bool = True, max_pixels: float = math.inf
    ):
        """Opens it and decodes the first frame.

        Args:
          source: a path, an address like 'rtsp://...', or the number of a camera.
          trusted: False for a file from outside: it must be one of the usual
            containers, and what it refers to is not opened, as a playlist does.
          max_pixels: of a frame; larger ones are not decoded.

        Raises:
          UserError: the file does not exist, is not a video, or has no frame; its
            frames are too large.
        """
        self._trusted, self._max_pixels = trusted, max_pixels
        self.name = os.fspath(source) if not isinstance(source, int) else str(source)
        self.live = is_live(self.name)
        self._av = import_av()
        self._container = self._open()
        self._damage = ""
        self.first_time: float | None = None
        self.coded_size = (0, 0)
        try:
            self._stream = self._video_stream()
            self._frames = self._decode()
            self._first = next(self._frames, None)
            if self._first is None:
                raise UserError(
                    f"{self.name} has no frame that can be decoded"
                    f"{self._damage and f' ({self._damage})'}. Is the file complete?"
                )
            self._check_movement()
        except BaseException:
            # Nobody else can close it: the caller gets no object.
            self.close()
            raise
        # The first frame gives the size, because it is rotated as the video declares.
        self.height, self.width = self._first.rgb.shape[:2]
        self.fps = float(self._stream.average_rate or 0) or None
        self.duration = self._declared_duration()

    def __repr__(self) -> str:
        rate = f", {self.fps:g} fps" if self.fps else ""
        length = f", {self.duration:.1f} s" if self.duration else ""
        return f"VideoReader({self.name!r}, {self.width} x {self.height}{rate}{length})"

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def damage(self) -> str:
        """What is wrong with the end, once the frames have ended; '' for nothing."""
        return self._damage

    def is_truncated(self, last: float) -> bool:
        """Whether frames are missing after the one at `last` seconds."""
        # Half a second of tolerance: declared durations are often rounded.
        length = last + 1 / (self.fps or 1) + 0.5
        return bool(self.duration) and length < self.duration

    def __iter__(self) -> Iterator[VideoFrame]:
        first, self._first = self._first, None
        if first is not None:
            yield first
        last = 0.0
        for frame in self._frames:
            last = frame.time
            yield frame
        self._warn_of_the_end(last)

    def close(self) -> None:
        """Closes the file or connection."""
        self._container.close()

    def _warn_of_the_end(self, last: float) -> None:
        """Logs a warning if frames are missing after the one at `last` seconds."""
        if self._damage and self.live:
            logging.warning("%s ended after %.1f s: %s", self.name, last, self._damage)
        elif self._damage:
            logging.warning(
                "%s is damaged after %.1f s (%s). The rest is left out.",
                self.name,
                last,
                self._damage,
            )
        elif self.is_truncated(last):
            self._damage = f"it ends at {last:.1f} s of {self.duration:.1f} s"
            logging.warning(
                "%s should be %.1f s long, but its last frame is at %.1f s. It may be "
                "truncated.",
                self.name,
                self.duration,
                last,
            )

    def _open(self):
        file, options = self.name, {}
        if self.name.isdigit():
            file, options["format"] = self._camera()
        elif _ADDRESS.match(self.name):
            options["timeout"] = _PATIENCE
        else:
            self._check_path()
        if self.name.startswith("rtsp"):
            # Packets that are lost over UDP would corrupt the frames.
            options["options"] = {"rtsp_transport": "tcp"}
        if not self._trusted:
            options["options"] = {
                "format_whitelist": _CONTAINERS,
                "protocol_whitelist": "file",
            }
        try:
            return self._av.open(file, **options)
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise UserError(
                f"{file} cannot be opened as a video "
                f"({getattr(error, 'strerror', None) or error}). "
                f"{_PAGE if _WEB.match(self.name) else _EXPECTED}"
            ) from error

    def _check_path(self) -> None:
        path = pathlib.Path(self.name)
        if not path.exists():
            raise UserError(f"There is no video file {path}; check the path.")
        if path.is_dir():
            raise UserError(
                f"{path} is a folder; give a video in it. (ava-jax predict takes "
                "a folder of videos.)"
            )

    def _camera(self):
        if sys.platform not in _CAMERAS:
            raise UserError(
                f"Camera {self.name}: cameras are read on Linux and macOS only. Give "
                "a file, or an address like rtsp://..."
            )
        interface, name = _CAMERAS[sys.platform]
        return name.format(self.name), interface

    def _video_stream(self):
        stream = video_stream(self._container)
        if stream is None:
            kinds = sorted({stream.type for stream in self._container.streams})
            raise UserError(
                f"{self.name} has no video stream, only: "
                f"{', '.join(kinds) or 'nothing'}."
            )
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > self._max_pixels:
            raise UserError(
                f"{self.name} has frames of {width} x {height} pixels; expected at "
                f"most {self._max_pixels:,.0f} pixels"
            )
        if not self.live:
            # Decodes several frames in parallel, which would delay live frames.
            stream.thread_type = "AUTO"
        return stream

    def _check_movement(self) -> None:
        """Refuses a still picture; some cameras send a stream of them."""
        if not _PICTURES.fullmatch(self._container.format.name):
            return
        second = next(self._frames, None)
        if second is None:
            raise UserError(
                f"{self.name} is a still picture, and actions are seen in several "
                "frames: give a video. If it is one of many frames: ffmpeg -framerate "
                "25 -i FOLDER/img_%05d.jpg video.mp4"
            )
        self._frames = itertools.chain([second], self._frames)

    def _decode(self) -> Iterator[VideoFrame]:
        start = last = size = None
        step = 1 / float(self._stream.average_rate or 25)
        try:
            for frame in self._container.decode(self._stream):
                time = frame.time
                if time is None:
                    # Raw streams have no timestamps.
                    time = 0.0 if last is None else last + step
                # A stream may change its size; all frames get that of the first.
                if last is None:
                    start, size = time, (frame.width, frame.height)
                    self.first_time, self.coded_size = frame.time, size
                elif time <= last:
                    continue
                last = time
                yield VideoFrame(frame, time - start, size)
        except (self._av.FFmpegError, OSError) as error:
            self._damage = error.strerror or str(error)

    def _declared_duration(self):
        stream = self._stream
        if stream.duration is not None:
            return float(stream.duration * stream.time_base)
        # The duration of the container is that of its longest stream, so with sound it
        # may not be that of the video.
        if self._container.duration is None or self._container.streams.audio:
            return None
        end = self._container.duration / self._av.time_base
        if "matroska" not in self._container.format.name:
            return end
        # Matroska has the time of the end, whatever the time of the first frame is.
        start = (self._container.start_time or 0) / self._av.time_base
        return end - start if start < end else end


def video_stream(container: Any) -> Any | None:
    """The first video stream that is not the cover picture of an audio file."""
    cover = import_av().stream.Disposition.attached_pic
    streams = container.streams.video
    return next((one for one in streams if not one.disposition & cover), None)


def import_av() -> ModuleType:
    """Imports PyAV, which is an optional dependency.

    Raises:
      UserError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise UserError("Reading a video needs PyAV: pip install av") from error
    return av


def _quarter_turns(frame) -> int:
    """Number of counterclockwise quarter turns that make the frame upright."""
    return round(frame.rotation / 90) % 4
