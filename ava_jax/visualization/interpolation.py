"""The people of every frame, from what is known at the key-frames."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from ava_jax.inference.video_predictor import KeyFrameResult
from ava_jax.video.reader import VideoFrame
from ava_jax.visualization import shot_detection

# Share of the way to the other key-frame on which who is not there is shown.
_ALONE = 0.25


def with_people(
    frames: Iterable[VideoFrame], results: Iterable[KeyFrameResult]
) -> Iterator[tuple[VideoFrame, KeyFrameResult]]:
    """Joins a video's frames with its results.

    People move evenly from one key-frame to the next. Who is in only one of the two
    stands still, and is shown only on the quarter of the way that is next to it. A
    frame of another shot than a key-frame has none of its people.

    Args:
      frames: in their order.
      results: of key-frames of the same video, in their order, the first at 0.

    Yields:
      Each frame, and the result of the nearest key-frame with the people as they
      are in this frame.
    """
    known = map(_KeyFrame.of, results)
    before, after = next(known), next(known, None)
    for frame in frames:
        while after is not None and after.result.time <= frame.time:
            before, after = after, next(known, None)
        yield frame, _between(before, after, frame)


@dataclasses.dataclass(frozen=True)
class _KeyFrame:
    result: KeyFrameResult
    look: np.ndarray

    @classmethod
    def of(cls, result: KeyFrameResult) -> "_KeyFrame":
        return cls(result, shot_detection.look(result.frame))


def _between(
    before: _KeyFrame, after: _KeyFrame | None, frame: VideoFrame
) -> KeyFrameResult:
    look = shot_detection.look(frame.rgb)
    near, far, way = before, after, 0.0
    if after is not None:
        length = after.result.time - before.result.time
        way = (frame.time - before.result.time) / length
        if way >= 0.5:
            near, far, way = after, before, 1 - way
    if not shot_detection.alike(look, near.look):
        return _only(near.result, near.result.boxes, [])
    if far is not None and not shot_detection.alike(look, far.look):
        far = None
    return _moved(near.result, far and far.result, way)


def _moved(near: KeyFrameResult, far: KeyFrameResult | None, way: float):
    """The people of one key-frame on their way to another one."""
    there = [] if far is None else far.track_ids.tolist()
    boxes, shown = np.array(near.boxes), []
    for i, number in enumerate(near.track_ids.tolist()):
        if number in there:
            boxes[i] += way * (far.boxes[there.index(number)] - boxes[i])
        if number in there or way <= _ALONE:
            shown.append(i)
    return _only(near, boxes, shown)


def _only(result: KeyFrameResult, boxes: np.ndarray, shown: list[int]):
    """The result with other boxes, and of some of its people alone."""
    return dataclasses.replace(
        result,
        boxes=boxes[shown],
        track_ids=result.track_ids[shown],
        scores=result.scores[shown],
    )
