"""A video's frames at another rate."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

# Times are given in ticks of a container's clock; below this they are equal.
TOLERANCE = 1e-6


class Timed(Protocol):
    """Anything that has a time."""

    time: float


Frame = TypeVar("Frame", bound=Timed)


def middle(first: Timed, second: Timed) -> float:
    """The last time to which the first of two neighbours is the nearest."""
    return (first.time + second.time) / 2 + TOLERANCE


def at_rate(frames: Iterable[Frame], fps: float) -> Iterator[tuple[int, Frame]]:
    """The frames of a video as they are at a constant rate.

    Number i belongs to the time i / fps and is the frame whose own time is nearest,
    the earlier one of two: frames are left out or repeated, never mixed. The last
    frame is shown for as long as frames are on average. These are the frames that
    `ffmpeg -r FPS` writes, but that it rounds other ties otherwise.

    Args:
      frames: in the order of their times, which begin at 0.
      fps: numbers a second.

    Yields:
      (0, frame), (1, frame) and so on, as soon as it is certain which frame it is.
    """
    index, count, last = 0, 0, None
    for frame in frames:
        while last and index / fps <= middle(last, frame):
            yield index, last
            index += 1
        last, count = frame, count + 1
    if last is None:
        return
    length = last.time * count / (count - 1) if count > 1 else 1 / fps
    while index == 0 or (index + 0.5) / fps <= length + TOLERANCE:
        yield index, last
        index += 1
