"""Divides a video into pieces that can be scored anywhere."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from absl import logging

from ava_jax.inference.clip_sampler import VideoSampling
from ava_jax.video.resample import TOLERANCE, at_rate
from ava_jax.video.segment import NotSeekable, Segment, Timeline, read_timeline


@dataclasses.dataclass(frozen=True)
class Piece:
    """Consecutive key frames of a video, and the frames that their clips need.

    Attributes:
      number: of the piece, from 0.
      first: number of its first key frame.
      stop: number of the first key frame after it.
      begin: time of its first key frame, seconds.
      end: time of the first key frame after it, seconds.
      segment: from the first frame of its first clip to that of the next piece's.
    """

    number: int
    first: int
    stop: int
    begin: float
    end: float
    segment: Segment


# The pieces of a video. One None: the whole video, read from its beginning.
Pieces = Sequence[Piece | None]


def plan_pieces(path: str, sampling: VideoSampling, seconds: float) -> Pieces:
    """Divides a video.

    Args:
      path: of the video.
      sampling: of the clips.
      seconds: length of a piece. It has at least one key frame.

    Raises:
      UserError: the file is not a video.
    """
    try:
        timeline = read_timeline(path)
    except NotSeekable as reason:
        logging.info("%s is read as a whole: %s.", path, reason)
        return [None]
    step = max(1, int(seconds / sampling.every + 1e-6))
    key_frames = _key_frames(timeline, sampling)
    firsts = range(0, key_frames, step)
    if len(firsts) < 2:
        return [None]
    starts = [_start(timeline, sampling, first) for first in firsts]
    return [
        Piece(
            number,
            first,
            min(first + step, key_frames),
            first * sampling.every,
            min(first + step, key_frames) * sampling.every,
            _segment(timeline, *(starts + [len(timeline.times)])[number : number + 2]),
        )
        for number, first in enumerate(firsts)
    ]


@dataclasses.dataclass(frozen=True)
class _Shown:
    time: float


def _key_frames(timeline: Timeline, sampling: VideoSampling) -> int:
    """How many key frames a video has."""
    frames = map(_Shown, timeline.times.tolist())
    *_, (last, _) = at_rate(frames, sampling.clip.fps)
    count = int(last / sampling.clip.fps / sampling.every)
    while sampling.centre(count) <= last:
        count += 1
    return count


def _start(timeline: Timeline, sampling: VideoSampling, key_frame: int) -> int:
    """The number of the last frame that is not after a clip's first one."""
    time = int(sampling.indices(key_frame)[0]) / sampling.clip.fps
    after = np.searchsorted(timeline.times, time + TOLERANCE, side="right")
    return max(int(after) - 1, 0)


def _segment(timeline: Timeline, start: int, stop: int) -> Segment:
    times = timeline.times
    return Segment(
        start=float(times[start]),
        end=float(times[stop]) if stop < len(times) else None,
        skipped=start,
        frames=stop - start,
        origin=timeline.origin,
        size=timeline.size,
    )


def to_json(pieces: Pieces) -> str:
    """Pieces as text."""
    return json.dumps([piece and dataclasses.asdict(piece) for piece in pieces])


def from_json(text: str | bytes) -> Pieces:
    """What `to_json` wrote."""
    return [piece and _piece(**piece) for piece in json.loads(text)]


def _piece(segment: dict[str, Any], **fields: Any) -> Piece:
    size: Iterable[int] = segment.pop("size")
    return Piece(**fields, segment=Segment(**segment, size=tuple(size)))
