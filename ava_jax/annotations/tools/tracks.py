"""Tracks of people: their boxes at key frames, and boxes of key frames as tracks."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

from ava_jax.annotations.tools.table import ToolBox

# Key frames so far apart, seconds, are not of one stay of a person in the picture.
_LARGEST_GAP = 1.0
# Of a frame, by which times may be written wrong.
_SLACK = 1e-6


def person_tracks(boxes: Sequence[ToolBox]) -> Iterator[list[ToolBox]]:
    """The boxes of a video, by person and time, with `ends` set.

    Who has no id, or an id that is there twice at a time, is a track of one box.

    Args:
      boxes: of one video, with `time`.
    """
    by_person: dict[str, dict[float, ToolBox]] = {}
    alone = []
    for box in boxes:
        track = by_person.setdefault(box.person, {}) if box.person else {}
        if not box.person or box.time in track:
            alone.append([dataclasses.replace(box, ends=True)])
        else:
            track[box.time] = box
    for track in by_person.values():
        shown = [track[time] for time in sorted(track)]
        following = [box.time for box in shown[1:]] + [math.inf]
        yield [
            dataclasses.replace(box, ends=time - box.time > _LARGEST_GAP + 1e-6)
            for box, time in zip(shown, following, strict=True)
        ]
    yield from alone


@dataclasses.dataclass(frozen=True)
class Sampled:
    """The boxes of tracks at key frames.

    Attributes:
      boxes: with `time`, by video and time.
      between: how many boxes of the file are at no key frame.
      interpolated: how many boxes are not in the file.
    """

    boxes: tuple[ToolBox, ...]
    between: int
    interpolated: int


def sample(boxes: Sequence[ToolBox], every: float, fps: dict[str, float]) -> Sampled:
    """The boxes of tracks at the seconds 0, `every`, 2 `every`, ...

    A box is taken from the frame nearest to the second. Where a track has no box at it,
    the boxes before and after it are interpolated; the actions are those of the former.

    Args:
      boxes: with `frame`, from 0, and `person`; those of a track in any order.
      every: seconds.
      fps: of each video.
    """
    tracks: dict[tuple[str, str], list[ToolBox]] = {}
    for number, box in enumerate(boxes):
        # Without an id, each is its own.
        key = box.video, box.person or f" {number}"
        tracks.setdefault(key, []).append(box)
    found, used = [], 0
    for (video, _), track in tracks.items():
        track.sort(key=lambda box: box.frame)
        one, exact = _sample_track(track, every, fps[video])
        found += one
        used += exact
    order = {video: i for i, video in enumerate(fps)}
    found.sort(key=lambda box: (order[box.video], box.time))
    return Sampled(tuple(found), len(boxes) - used, len(found) - used)


def _sample_track(
    track: list[ToolBox], every: float, fps: float
) -> tuple[list[ToolBox], int]:
    """Boxes at the seconds, and how many of them are in the file."""
    by_frame = {box.frame: box for box in track}
    found, exact = [], 0
    for box, after in itertools.zip_longest(track, track[1:]):
        if box.frame == (after and after.frame):
            continue  # given twice; the later one holds
        is_last = after is None or box.ends
        end = box.frame + 1 if is_last else after.frame
        first = math.ceil((box.frame - 0.5) / fps / every - _SLACK)
        for step in range(first, math.floor((end + 0.5) / fps / every + _SLACK) + 1):
            frame = nearest_frame(step * every, fps)
            if not box.frame <= frame < end:
                continue
            here = by_frame.get(frame)
            exact += here is not None
            shown = here or _between(box, after, frame)
            found.append(dataclasses.replace(shown, time=step * every, frame=frame))
    return found, exact


def nearest_frame(time: float, fps: float) -> int:
    """The frame, from 0, that is nearest to a time; the later one of two."""
    return math.floor(time * fps + 0.5)


def _between(box: ToolBox, after: ToolBox, frame: int) -> ToolBox:
    share = (frame - box.frame) / (after.frame - box.frame)
    corners = (one + share * (two - one) for one, two in zip(box.box, after.box))
    return dataclasses.replace(box, box=tuple(corners))
