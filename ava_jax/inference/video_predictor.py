"""Predicts the actions in a video stream, one result a key frame."""

import collections
import contextlib
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ava_jax import people
from ava_jax.errors import UserError
from ava_jax.inference.clip_sampler import SampledClip, VideoSampling, sample_clips
from ava_jax.inference.clip_scorer import ClipScorer, Row
from ava_jax.inference.person_source import PersonSource, as_person_source
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
    tracker = new_tracker(sampling.every)
    with VideoReader(source) as video:
        find_people = as_person_source(boxes, video)
        clips = sample_clips(video, sampling)
        drop = video.live if live is None else live
        scored = scored_clips(scorer, clips, find_people, batch, drop=drop)
        with contextlib.closing(scored):
            for sampled, found, scores in scored:
                ids = tracker.update(found, sampled.time)
                yield KeyFrameResult(
                    sampled.time,
                    sampled.frame,
                    found,
                    ids,
                    tracker.smooth(ids, scores) if smooth else scores,
                    tuple(labels),
                    time.monotonic() - sampled.decoded_at,
                )


def video_features(
    scorer: ClipScorer, source: Source, boxes: Any, sampling: VideoSampling, batch: int
) -> Iterator[tuple[float, np.ndarray]]:
    """Long-term features of a video, for `VideoMinutes`.

    Args:
      scorer: what `ClipScorer.features` makes.
      source: as for `predict.Detector.predict_video`.
      boxes: likewise.
      sampling: of the clips.
      batch: clips that the device scores at a time.

    Yields:
      The time of each key frame in seconds, and (N, W) float16 of its people.

    Raises:
      UserError: the source is a camera or a stream.
    """
    with VideoReader(source) as video:
        if video.live:
            raise UserError(
                f"{source} has no end, and this detector needs the long-term features "
                "of a whole video first. Give a file, or another detector."
            )
        find_people = as_person_source(boxes, video)
        clips = sample_clips(video, sampling)
        found = scored_clips(scorer, clips, find_people, batch)
        with contextlib.closing(found):
            for sampled, _, features in found:
                yield sampled.time, features


def new_tracker(every: float) -> people.Tracker:
    """The tracker of a video with a key frame `every` seconds."""
    # A person may be missed at one key frame, however far apart they are.
    return people.Tracker(patience=max(3.0, 2 * every))


def scored_clips(
    scorer: ClipScorer,
    clips: Iterable[SampledClip],
    find_people: PersonSource,
    batch: int,
    *,
    drop: bool = False,
) -> Iterator[tuple[SampledClip, np.ndarray, np.ndarray]]:
    """Finds people at key frames and scores them, in stages that run concurrently.

    Args:
      scorer: of the clips.
      clips: of a video, in order.
      find_people: in the key frames.
      batch: clips that the device scores at a time.
      drop: drop clips rather than fall behind.

    Yields:
      A clip, the boxes (N, 4) in it, and their scores (N, num_classes).
    """
    with contextlib.ExitStack() as stages:

        def stage(items, size, drop=False):
            return stages.enter_context(
                contextlib.closing(prefetch(items, size, drop=drop))
            )

        decoded = stage(clips, 1 if drop else _WAITING, drop)
        found = stage(((c, find_people(c.frame, c.time)) for c in decoded), 1)
        for sampled, boxes, rows in stage(_started(scorer, found, batch), 1):
            yield sampled, boxes, scorer.results(rows)


def _started(
    scorer: ClipScorer, found: Iterable[tuple[SampledClip, np.ndarray]], batch: int
) -> Iterator[tuple[SampledClip, np.ndarray, list[Row]]]:
    """Clips in order, each as soon as all its rows are being scored."""
    waiting: collections.deque[tuple[SampledClip, np.ndarray, list[Row]]]
    waiting, pending = collections.deque(), []
    for sampled, boxes in found:
        size = sampled.frame.shape[:2]
        rows = scorer.rows(sampled.clip, boxes, size, sampled.time)
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
