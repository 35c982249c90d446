"""Predicts the actions in a video stream, one result a key frame."""

import collections
import contextlib
import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ava_jax import people
from ava_jax.errors import join_first
from ava_jax.inference.clip_sampler import SampledClip, VideoSampling, sample_clips
from ava_jax.inference.clip_scorer import ClipScorer, Row
from ava_jax.inference.person_source import as_person_source
from ava_jax.inference.prefetch import prefetch
from ava_jax.video.reader import Source, VideoReader

# Clips that wait for the detection of people, if none may be dropped.
_WAITING = 2


@dataclasses.dataclass(frozen=True, eq=False)
class KeyFrameResult:
    """People and their actions at one key frame.

    Attributes:
      time: seconds after the video's first frame.
      frame: (H, W, 3) uint8 RGB, the key frame.
      boxes: (N, 4) float32 xyxy in pixels of the frame.
      track_ids: (N,) int64, the same number for the same person over time.
      scores: (N, num_classes) float32; see `Detector.predict`.
      labels: name of each class; '' for class 0.
      latency: seconds from decoding the key frame to this result. In a live stream it
        includes the second half of the clip.
    """

    time: float
    frame: np.ndarray
    boxes: np.ndarray
    track_ids: np.ndarray
    scores: np.ndarray
    labels: tuple[str, ...]
    latency: float

    def __repr__(self) -> str:
        best = zip(self.track_ids.tolist(), self.actions(0, top=1), strict=True)
        people = [
            " ".join([f"#{number}", *(f"{name} {score:.2f}" for name, score in action)])
            for number, action in best
        ]
        shown = f" ({join_first(people)})" if people else ""
        return f"KeyFrameResult(time={self.time:g}, people={len(people)}{shown})"

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
    sampling: VideoSampling,
    *,
    batch: int,
    live: bool | None,
    smooth: bool,
) -> Iterator[KeyFrameResult]:
    """See `predict.Detector.predict_video`.

    Decoding, person detection, scoring and the caller's use of the results run
    concurrently.
    """
    # A person may be missed at one key frame, however far apart they are.
    tracker = people.Tracker(patience=max(3.0, 2 * sampling.every))
    with VideoReader(source) as video, contextlib.ExitStack() as stages:
        find_people = as_person_source(boxes, video)
        drop = video.live if live is None else live

        def stage(items, size, drop=False):
            return stages.enter_context(
                contextlib.closing(prefetch(items, size, drop=drop))
            )

        decoded = stage(sample_clips(video, sampling), 1 if drop else _WAITING, drop)
        found = stage(((c, find_people(c.frame, c.time)) for c in decoded), 1)
        for sampled, found_boxes, rows in stage(_started(scorer, found, batch), 1):
            scores = scorer.results(rows)
            ids = tracker.update(found_boxes, sampled.time)
            yield KeyFrameResult(
                sampled.time,
                sampled.frame,
                found_boxes,
                ids,
                tracker.smooth(ids, scores) if smooth else scores,
                tuple(labels),
                time.monotonic() - sampled.decoded_at,
            )


def _started(
    scorer: ClipScorer, found: Iterable[tuple[SampledClip, np.ndarray]], batch: int
) -> Iterator[tuple[SampledClip, np.ndarray, list[Row]]]:
    """Clips in order, each as soon as all its rows are being scored."""
    waiting: collections.deque[tuple[SampledClip, np.ndarray, list[Row]]]
    waiting, pending = collections.deque(), []
    for sampled, boxes in found:
        rows = scorer.rows(sampled.clip, boxes, sampled.frame.shape[:2])
        waiting.append((sampled, boxes, rows))
        pending += rows
        while len(pending) >= batch:
            scorer.start(pending[:batch], batch)
            del pending[:batch]
        while waiting and all(row.scores is not None for row in waiting[0][2]):
            yield waiting.popleft()
    if pending:
        scorer.start(pending, batch)
    yield from waiting
