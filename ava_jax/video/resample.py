"""Resamples the frames of a video to a constant frame rate."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

# Seconds; smaller differences are rounding errors of floats. A tick of a container's
# clock is far longer (1/90000 s in MPEG).
TOLERANCE = 1e-6


class Timed(Protocol):
    """Anything with a time in seconds."""

    time: float


Frame = TypeVar("Frame", bound=Timed)


def middle(first: Timed, second: Timed) -> float:
    """The last time at which the first of two consecutive frames is the nearest one."""
    return (first.time + second.time) / 2 + TOLERANCE


def at_rate(
    frames: Iterable[Frame], fps: float, first: int = 0, skipped: int = 0
) -> Iterator[tuple[int, Frame]]:
    """Resamples frames to a constant rate by the nearest time.

    Output frame i is the input frame whose time is nearest to i / fps; of two at the
    same distance, the earlier one. So frames are dropped or repeated, never blended.
    The last frame lasts as long as the average frame. The result is that of
    `ffmpeg -r FPS`, except for some ties.

    Args:
      frames: frames by ascending time; the first time is 0, or in the middle of a
        video not after first / fps.
      fps: output frame rate.
      first: output frame to begin with.
      skipped: frames of the video before the given ones.

    Yields:
      (first, frame), (first + 1, frame) and so on, each as soon as its frame is
      certain.
    """
    index, count, last = first, skipped, None
    for frame in frames:
        while last and index / fps <= middle(last, frame):
            yield index, last
            index += 1
        last, count = frame, count + 1
    if last is None:
        return
    # `count` frames have count - 1 intervals between them; the last frame adds one.
    length = last.time * count / (count - 1) if count > 1 else 1 / fps
    # Output frame i covers the times around i / fps, so it needs half an interval more.
    while index == 0 or (index + 0.5) / fps <= length + TOLERANCE:
        yield index, last
        index += 1
