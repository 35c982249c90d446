"""Actions of the people in a video, one result a key-frame, as it goes by."""

import collections
import contextlib
import dataclasses
import os
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ava_jax.errors import UserError
from ava_jax.inference.clip_sampler import Moment, Sampling, moments
from ava_jax.inference.clip_scorer import ClipScorer, Row
from ava_jax.inference.prefetch import ahead
from ava_jax.video.reader import Source, VideoReader

# Moments that wait for the detection of people, if none may be left out.
_WAITING = 2


@dataclasses.dataclass(frozen=True, eq=False)
class KeyFrameResult:
    """Who does what at one moment of a video.

    Attributes:
      time: seconds after the video's first frame.
      frame: (H, W, 3) uint8 RGB, the key-frame.
      boxes: (N, 4) float32 xyxy in pixels of the frame.
      track_ids: (N,) int64, the same number for the same person over time.
      scores: (N, num_classes) float32; see `Detector.predict`.
      labels: name of each class; '' for class 0.
      latency: seconds from decoding the key-frame to this result, of which the
        second half of the clip is a part in a live stream.
    """

    time: float
    frame: np.ndarray
    boxes: np.ndarray
    track_ids: np.ndarray
    scores: np.ndarray
    labels: tuple[str, ...]
    latency: float

    def actions(
        self, threshold: float = 0.3, top: int = 5
    ) -> list[list[tuple[str, float]]]:
        """The likely actions of each person: (label, score), best first.

        Args:
          threshold: least score.
          top: how many at most.
        """
        return [self._ranked(row, threshold, top) for row in self.scores]

    def _ranked(self, row, threshold, top):
        classes = np.argsort(-row[1:], kind="stable")[:top] + 1
        return [(self.labels[c], float(row[c])) for c in classes if row[c] >= threshold]


def key_frame_results(
    scorer: ClipScorer,
    labels: Sequence[str],
    source: Source,
    boxes: Any,
    sampling: Sampling,
    *,
    batch: int,
    live: bool | None,
    smooth: bool,
) -> Iterator[KeyFrameResult]:
    """See `predict.Detector.predict_video`.

    Decoding, finding people, feeding the device and what the caller does with the
    results run at the same time.
    """
    from ava_jax import people

    # Who is missed once is not yet gone, however far apart the key-frames are.
    tracker = people.Tracker(patience=max(3.0, 2 * sampling.every))
    with VideoReader(source) as video, contextlib.ExitStack() as stages:
        find_people = _people_finder(boxes, video)
        drop = video.live if live is None else live

        def stage(items, size, drop=False):
            return stages.enter_context(
                contextlib.closing(ahead(items, size, drop=drop))
            )

        decoded = stage(moments(video, sampling), 1 if drop else _WAITING, drop)
        found = stage(((m, find_people(m)) for m in decoded), 1)
        for moment, found_boxes, rows in stage(_started(scorer, found, batch), 1):
            scores = scorer.results(rows)
            ids = tracker.update(found_boxes, moment.time)
            yield KeyFrameResult(
                moment.time,
                moment.frame,
                found_boxes,
                ids,
                tracker.smooth(ids, scores) if smooth else scores,
                tuple(labels),
                time.monotonic() - moment.decoded_at,
            )


def _started(
    scorer: ClipScorer, found: Iterable[tuple[Moment, np.ndarray]], batch: int
) -> Iterator[tuple[Moment, np.ndarray, list[Row]]]:
    """Moments in their order, each when all its rows are being scored."""
    waiting: collections.deque[tuple[Moment, np.ndarray, list[Row]]]
    waiting, pending = collections.deque(), []
    for moment, boxes in found:
        rows = scorer.rows(moment.clip, boxes, moment.frame.shape[:2])
        waiting.append((moment, boxes, rows))
        pending += rows
        while len(pending) >= batch:
            scorer.start(pending[:batch], batch)
            del pending[:batch]
        while waiting and all(row.scores is not None for row in waiting[0][2]):
            yield waiting.popleft()
    if pending:
        scorer.start(pending, batch)
    yield from waiting


def _people_finder(boxes: Any, video: VideoReader) -> Callable[[Moment], np.ndarray]:
    """A function from a moment to its boxes (N, 4)."""
    from ava_jax import people

    if boxes is None:
        boxes = people.HogDetector()
    elif isinstance(boxes, str | os.PathLike):
        size, name = (video.width, video.height), pathlib.Path(video.name).stem
        boxes = people.open_detector(os.fspath(boxes), size, name)

    def find(moment):
        if callable(getattr(boxes, "at", None)):  # JAX's arrays have another `at`
            return checked_boxes(boxes.at(moment.time))
        if callable(boxes):
            return checked_boxes(boxes(moment.frame))
        return checked_boxes(boxes)

    return find


def checked_boxes(boxes: Any) -> np.ndarray:
    """Boxes as (N, 4) float32, without scores.

    Args:
      boxes: (N, 4) x1, y1, x2, y2 in pixels, or (N, 5) with a score behind.

    Raises:
      UserError: it is something else, or a coordinate is not finite.
    """
    array = np.asarray(boxes, np.float32)
    if array.size == 0:
        return np.zeros((0, 4), np.float32)
    if array.ndim != 2 or array.shape[1] not in (4, 5):
        raise UserError(
            f"Boxes of shape {array.shape}; expected (people, 4): x1, y1, x2, y2 in "
            "pixels of the frame."
        )
    wrong = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(wrong):
        raise UserError(
            f"boxes[{wrong[0]}] is {array[wrong[0]].tolist()}; expected finite pixels "
            "x1, y1, x2, y2."
        )
    return array[:, :4]
