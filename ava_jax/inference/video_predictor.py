"""Predicts the actions in a video stream, one result a key frame."""

import collections
import contextlib
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ava_jax import people
from ava_jax.inference.clip_sampler import SampledClip, VideoSampling, sample_clips
from ava_jax.inference.clip_scorer import ClipScorer, Row
from ava_jax.inference.person_source import as_person_source
from ava_jax.inference.prefetch import prefetch
from ava_jax.inference.video_results import KeyFrameResult
from ava_jax.video.reader import Source, VideoReader

# Clips that wait for the detection of people, if none may be dropped.
_WAITING = 2


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
) -> Generator[KeyFrameResult, None, None]:
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
