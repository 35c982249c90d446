"""Cuts clips around the key frames of a video stream."""

import collections
import dataclasses
import time
from collections.abc import Iterable, Iterator

import numpy as np

from ava_jax.video.clip_sampling import ClipSampling
from ava_jax.video.reader import VideoFrame
from ava_jax.video.resample import at_rate
from ava_jax.video.resize import resize_frame


@dataclasses.dataclass(frozen=True, eq=False)
class SampledClip:
    """A key frame and its clip.

    Attributes:
      time: seconds after the video's first frame.
      frame: (H, W, 3) uint8 RGB, the key frame in the video's size.
      clip: (T, h, w, 3) uint8 RGB in the model's size.
      decoded_at: when the key frame was decoded, by `time.monotonic`.
    """

    time: float
    frame: np.ndarray
    clip: np.ndarray
    decoded_at: float


@dataclasses.dataclass(frozen=True)
class VideoSampling:
    """The key frames of a video and their clips.

    The key frame at time t is number round(t fps) of the video at the model's rate.
    Frames that a clip needs beyond the video's ends repeat its first or last one.

    Attributes:
      clip: which frames make a clip.
      short_side: of the clip's frames, in pixels.
      every: seconds from one key frame to the next; the first is at 0.
    """

    clip: ClipSampling
    short_side: int
    every: float

    def centre(self, number: int) -> int:
        """Where key frame `number` is in the video at the model's rate."""
        return int(number * self.every * self.clip.fps + 0.5)

    def indices(self, number: int) -> np.ndarray:
        """(T,) int64, the frames of its clip in the video at the model's rate."""
        return np.maximum(self.centre(number) + self.clip.offsets(), 0)


def sample_clips(
    frames: Iterable[VideoFrame],
    sampling: VideoSampling,
    first: int = 0,
    skipped: int = 0,
) -> Iterator[SampledClip]:
    """Yields each key frame as soon as the last frame of its clip has been decoded.

    Memory holds the key frames of incomplete clips and the resized frames of these
    clips, whatever the length of the video.

    Args:
      frames: of the video, in their order.
      sampling: of the clips.
      first: number of the key frame to begin with.
      skipped: frames of the video before the given ones; see `at_rate`.
    """
    waiting: collections.deque[_OpenClip] = collections.deque()
    coming = _OpenClip(first, sampling)
    shown = small = None
    for index, frame in at_rate(frames, sampling.clip.fps, coming.first, skipped):
        while coming.first <= index:
            waiting.append(coming)
            coming = _OpenClip(coming.number + 1, sampling)
        if frame is not shown:
            shown, small = frame, None
        for clip in waiting:
            if clip.wants(index):
                if small is None:
                    small = resize_frame(frame.rgb, sampling.short_side)
                clip.add(index, frame, small)
        while waiting and waiting[0].is_complete:
            yield waiting.popleft().sampled()
    for clip in waiting:
        if clip.has_key_frame:
            clip.fill_up(resize_frame(shown.rgb, sampling.short_side))
            yield clip.sampled()


class _OpenClip:
    """A clip that still waits for frames."""

    def __init__(self, number: int, sampling: VideoSampling):
        self.number = number
        self._time = number * sampling.every
        self._centre = sampling.centre(number)
        self._indices = sampling.indices(number)
        self._frames: list[np.ndarray] = []
        self._key_frame: np.ndarray | None = None
        self._decoded_at = 0.0

    @property
    def first(self) -> int:
        """Number of its first frame."""
        return int(self._indices[0])

    @property
    def is_complete(self) -> bool:
        return len(self._frames) == len(self._indices)

    @property
    def has_key_frame(self) -> bool:
        return self._key_frame is not None

    def wants(self, index: int) -> bool:
        return index in self._indices

    def add(self, index: int, frame: VideoFrame, small: np.ndarray) -> None:
        self._frames += [small] * np.count_nonzero(self._indices == index)
        if index == self._centre:
            self._key_frame = frame.rgb
            self._decoded_at = time.monotonic()

    def fill_up(self, last: np.ndarray) -> None:
        """Repeats the last frame of the video up to the length of the clip."""
        self._frames += [last] * (len(self._indices) - len(self._frames))

    def sampled(self) -> SampledClip:
        return SampledClip(
            self._time, self._key_frame, np.stack(self._frames), self._decoded_at
        )
