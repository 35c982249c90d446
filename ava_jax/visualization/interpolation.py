"""Interpolates the people of every frame from the key frames."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from ava_jax.inference.video_results import KeyFrameResult
from ava_jax.video.reader import VideoFrame
from ava_jax.visualization import shot_detection

# A person that only one of two key frames has is shown for this share of the time
# between them.
_SHOWN_ALONE = 0.25


def interpolate(
    frames: Iterable[VideoFrame], results: Iterable[KeyFrameResult]
) -> Iterator[tuple[VideoFrame, KeyFrameResult]]:
    """Joins the frames of a video with its results.

    Boxes are interpolated linearly between key frames. A person that only one of the
    two key frames has keeps its box, and is shown for the quarter of the interval next
    to that key frame. People are not carried across a cut.

    Args:
      frames: in order.
      results: of the video's key frames, in order, the first at time 0.

    Yields:
      Each frame, and the result of the nearest key frame with the boxes of this frame.
    """
    known = map(_KeyFrame.of, results)
    before, after = next(known), next(known, None)
    for frame in frames:
        while after is not None and after.result.time <= frame.time:
            before, after = after, next(known, None)
        yield frame, _people_at(before, after, frame)


@dataclasses.dataclass(frozen=True)
class _KeyFrame:
    result: KeyFrameResult
    histogram: np.ndarray

    @classmethod
    def of(cls, result: KeyFrameResult) -> "_KeyFrame":
        return cls(result, shot_detection.color_histogram(result.frame))


def _people_at(
    before: _KeyFrame, after: _KeyFrame | None, frame: VideoFrame
) -> KeyFrameResult:
    histogram = shot_detection.color_histogram(frame.rgb)
    near, far, share = before, after, 0.0
    if after is not None:
        length = after.result.time - before.result.time
        share = (frame.time - before.result.time) / length
        if share >= 0.5:
            near, far, share = after, before, 1 - share
    if not shot_detection.same_shot(histogram, near.histogram):
        return _select(near.result, near.result.boxes, [])
    if far is not None and not shot_detection.same_shot(histogram, far.histogram):
        far = None
    return _interpolated(near.result, far and far.result, share)


def _interpolated(near: KeyFrameResult, far: KeyFrameResult | None, share: float):
    """The people of the nearer key frame, moved by `share` towards the other one."""
    there = [] if far is None else far.track_ids.tolist()
    boxes, shown = np.array(near.boxes), []
    for i, number in enumerate(near.track_ids.tolist()):
        if number in there:
            boxes[i] += share * (far.boxes[there.index(number)] - boxes[i])
        if number in there or share <= _SHOWN_ALONE:
            shown.append(i)
    return _select(near, boxes, shown)


def _select(result: KeyFrameResult, boxes: np.ndarray, shown: list[int]):
    """The result with other boxes, reduced to the people `shown`."""
    return dataclasses.replace(
        result,
        boxes=boxes[shown],
        track_ids=result.track_ids[shown],
        scores=result.scores[shown],
    )
