"""Writes an MP4 video, optionally with the audio of another video."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from absl import logging

from ava_jax import files
from ava_jax.errors import UserError
from ava_jax.video.reader import import_av

_TICKS = 90_000  # ticks a second, the clock of MPEG
# Good quality, small files, and faster than real time on two cores at 720p.
_OPTIONS = {"crf": "21", "preset": "veryfast"}
# FFmpeg's codes of the colour space and range of HD video.
_BT709 = 1
_LIMITED_RANGE = 1


class VideoWriter:
    """Writes an H.264 video into an MP4 file.

    Use it as a context manager. The video is written to a temporary file, which gets
    its name when it is complete. After an exception, such as a full disk, no file
    remains.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        size: tuple[int, int],
        fps: float,
        sound_of: str | os.PathLike | None = None,
    ):
        """Opens the file.

        Args:
          path: the file to write; an existing file is replaced at the end.
          size: width and height of the frames. H.264 needs even numbers, so the last
            column or row is repeated if necessary.
          fps: average frame rate.
          sound_of: a video whose audio is copied without encoding it again.

        Raises:
          UserError: the file cannot be written.
        """
        self._path = pathlib.Path(path)
        self._partial = files.partial_path(path)
        self._av = import_av()
        self._last = -1
        with self._disk_errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._container = self._av.open(
                str(self._partial),
                "w",
                "mp4",
                container_options={"movflags": "faststart"},
            )
        self._stream = self._add_stream(size, fps)
        self._sound = _Sound(self._av, sound_of, self._container) if sound_of else None

    def write(self, picture: np.ndarray, time: float) -> None:
        """Adds a frame.

        Args:
          picture: (H, W, 3) uint8 RGB.
          time: seconds from the start; later than that of the previous frame.

        Raises:
          UserError: the file cannot be written, for example because the disk is full.
        """
        odd = (picture.shape[0] % 2, picture.shape[1] % 2)
        if any(odd):
            sides = (0, odd[0], 0, odd[1])  # top, bottom, left, right
            picture = cv2.copyMakeBorder(picture, *sides, cv2.BORDER_REPLICATE)
        frame = self._av.VideoFrame.from_ndarray(picture, "rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=_BT709)
        # Two times may round to the same tick, but the encoder needs increasing ones.
        self._last = max(round(time * _TICKS), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
        with self._disk_errors():
            self._container.mux(self._stream.encode(frame))
            if self._sound:
                self._sound.copy(until=time)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._discard()
            return
        try:
            self._finish()
        except BaseException:
            self._discard()
            raise

    def _add_stream(self, size: tuple[int, int], fps: float) -> Any:
        rate = Fraction(fps).limit_denominator(1001)
        stream = self._container.add_stream("libx264", rate=rate, options=_OPTIONS)
        stream.width, stream.height = (side + side % 2 for side in size)
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, _TICKS)
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        return stream

    def _finish(self) -> None:
        with self._disk_errors():
            self._container.mux(self._stream.encode())
            if self._sound:
                self._sound.copy(until=self._last / _TICKS + self._length())
                self._sound.close()
            self._container.close()
            self._partial.replace(self._path)

    def _length(self) -> float:
        """Seconds for which the last frame is shown."""
        return float(1 / self._stream.average_rate)

    def _discard(self) -> None:
        # Closing writes buffered data, which fails again on a full disk.
        with contextlib.suppress(self._av.FFmpegError, OSError):
            self._container.close()
        if self._sound:
            self._sound.close()
        self._partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except (self._av.FFmpegError, OSError) as error:
            raise UserError(
                f"{self._path} cannot be written ({error.strerror}). Free some space, "
                "or choose another file: --out FILE.mp4"
            ) from error


class _Sound:
    """Copies the packets of the first audio stream of a video."""

    def __init__(self, av: Any, source: str | os.PathLike, out: Any):
        self._av = av
        self._in = av.open(os.fspath(source))
        self._out = out
        self._packets: Iterator[Any] = iter(())
        self._next = None
        streams = self._in.streams
        if not streams.audio:
            return
        stream = streams.audio[0]
        if stream.codec_context.name not in out.supported_codecs:
            logging.warning(
                "%s: the audio codec %s is not possible in an MP4 file. The audio is "
                "left out.",
                source,
                stream.codec_context.name,
            )
            return
        self._track = out.add_stream_from_template(stream)
        self._base = stream.time_base
        # The frames of the new video start at 0, those of the source may not.
        video = streams.video[0]
        start = (video.start_time or 0) * video.time_base
        self._shift = round(start / self._base)
        self._packets = self._in.demux(stream)
        self._next = self._read()

    def copy(self, until: float) -> None:
        """Copies the packets before the time `until`, in seconds."""
        while self._next is not None:
            packet, time = self._next, self._next.pts - self._shift
            if time * self._base >= until:
                return
            packet.pts = packet.dts = time  # equal, as audio has no reordering
            packet.stream = self._track
            self._out.mux(packet)
            self._next = self._read()

    def close(self) -> None:
        self._in.close()

    def _read(self) -> Any:
        """The next packet with a time; None at the end or at a damaged packet."""
        with contextlib.suppress(self._av.FFmpegError):
            for packet in self._packets:
                if packet.pts is not None:
                    return packet
        return None
