"""The Beam pipeline: plan, score, settle, write.

Between the steps travel names of files only; the frames of a piece never leave the
worker that has decoded them. So a piece is decoded, searched for people and scored in
one step, which batches its clips itself: Beam's RunInference would move every clip
(4 MB) between its steps, and lose the order in which the clips of a video fill batches.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from absl import logging
from apache_beam.metrics import Metrics
from apache_beam.utils.shared import Shared

from ava_jax.batch import plan, runner, storage, tables
from ava_jax.batch.inputs import Video
from ava_jax.batch.plan import Piece
from ava_jax.batch.results import PieceResult
from ava_jax.batch.settings import Settings
from ava_jax.batch.tables import Failure
from ava_jax.batch.worker import Worker
from ava_jax.errors import UserError

_FAILED = "failures"  # the name of an output
_LOST = "lost"  # in place of a piece that failed
_COUNTERS = "ava_jax"


def predict_many(
    videos: Sequence[Video], settings: Settings, beam_arguments: Sequence[str] = ()
) -> list[tuple[str, str, str]]:
    """Scores videos and writes the files of results; see docs/batch.md.

    Args:
      videos: to be scored.
      settings: of the run.
      beam_arguments: Beam's pipeline options, such as ['--runner=FlinkRunner'].

    Returns:
      Video, piece and error of what failed, as in the table of failures.

    Raises:
      UserError: the files cannot be written, or the runner cannot be started.
    """
    runner.run(lambda pipeline: _build(pipeline, videos, settings), beam_arguments)
    return tables.read_failures(settings)


def _build(
    pipeline: beam.Pipeline, videos: Sequence[Video], settings: Settings
) -> None:
    """Adds all steps to a pipeline."""
    worker = Shared()
    there = [video for video in videos if video.is_there]
    missing = [_missing(video) for video in videos if not video.is_there]
    planned = (
        pipeline
        | "Videos" >> beam.Create(there, reshuffle=False)
        | "Spread the videos" >> beam.Reshuffle()
        | "Plan" >> _or_failure(_Plan(settings))
    )
    scored = (
        planned.main
        | "Spread the pieces" >> beam.Reshuffle()
        | "Score" >> _or_failure(_Score(settings, worker))
    )
    settled = (
        scored.main
        | "Pieces of a video" >> beam.GroupByKey()
        | "Settle" >> _or_failure(_Settle(settings, worker))
    )
    total = -(-len(videos) // settings.options.videos_per_file)
    written = (
        (
            settled.main,
            # A shard without a video is written, too.
            pipeline | "Shards" >> beam.Create([(i, None) for i in range(total)]),
        )
        | "All videos" >> beam.Flatten()
        | "Videos of a shard" >> beam.GroupByKey()
        | "Write" >> beam.ParDo(_Write(settings, total))
    )
    failures = (
        pipeline | "Missing" >> beam.Create(missing),
        planned.failures,
        scored.failures,
        settled.failures,
    ) | "All failures" >> beam.Flatten()
    _ = (
        pipeline
        | "End" >> beam.Create([settings])
        | "Write failures"
        >> beam.Map(
            _finish,
            total=total,
            failures=beam.pvalue.AsList(failures),
            written=beam.pvalue.AsList(written),
        )
    )


def _or_failure(step: beam.DoFn) -> beam.ParDo:
    return beam.ParDo(step).with_outputs(_FAILED, main="main")


def _missing(video: Video) -> Failure:
    return Failure(video.index, video.path, "", "There is no such file.")


class _Plan(beam.DoFn):
    """Video -> (video, piece) for each of its pieces."""

    def __init__(self, settings: Settings):
        self._settings = settings

    def process(self, video: Video) -> Iterator[Any]:
        path = self._settings.plan_path(video)
        if not storage.exists(path):
            try:
                pieces = self._plan(video)
            except UserError as error:
                yield _failed(video, None, error)
                return
            with storage.written(path) as partial:
                partial.write_text(plan.to_json(pieces))
        for piece in plan.from_json(storage.read(path)):
            yield video, piece

    def _plan(self, video: Video) -> plan.Pieces:
        seconds = self._settings.options.piece
        with storage.local_copy(video.path) as path:
            return plan.plan_pieces(path, self._settings.sampling, seconds)


class _Score(beam.DoFn):
    """(video, piece) -> (index of the video, (video, piece)), which is on disk then."""

    def __init__(self, settings: Settings, shared: Shared):
        self._settings = settings
        self._shared = shared
        self._worker: Worker | None = None

    def process(self, element: tuple[Video, Piece | None]) -> Iterator[Any]:
        video, piece = element
        try:
            self._result(video, piece)
        except _VideoError as error:
            yield _failed(video, piece, error)
            # So that the other pieces are not taken for the whole video.
            yield video.index, (video, _LOST)
        else:
            yield video.index, (video, piece)

    def _result(self, video: Video, piece: Piece | None) -> PieceResult:
        """Reads the results of a piece, or makes them."""
        path = self._settings.result_path(video, piece)
        if storage.exists(path) and (found := PieceResult.read(storage.read(path))):
            Metrics.counter(_COUNTERS, "pieces_found").inc()
            return found
        if self._worker is None:  # where all is done, no model is loaded
            tag = self._settings.weights
            self._worker = self._shared.acquire(lambda: Worker(self._settings), tag)
        started = time.monotonic()
        try:
            result = self._worker.score(video, piece)
        except UserError as error:
            raise _VideoError(str(error)) from error
        with storage.written(path) as partial:
            result.write(partial)
        Metrics.counter(_COUNTERS, "pieces_scored").inc()
        Metrics.counter(_COUNTERS, "key_frames").inc(len(result.times))
        seconds = time.monotonic() - started
        logging.info(
            "%s %s: %d key frames in %.1f s",
            video.path,
            _seconds(piece),
            len(result.times),
            seconds,
        )
        return result


class _VideoError(Exception):
    """A video cannot be scored: no reason to stop."""


class _Settle(_Score):
    """(index, pieces of a video) -> (shard, (video, the files of its results))."""

    def process(self, element: tuple[int, Iterable[Any]]) -> Iterator[Any]:
        videos, pieces = zip(*element[1], strict=True)
        video = videos[0]
        if _LOST in pieces:
            return
        pieces = sorted(pieces, key=lambda piece: piece.number if piece else 0)
        try:
            pieces, damage = self._settled(video, pieces)
        except _VideoError as error:
            yield _failed(video, None, error)
            return
        if damage:
            yield _failed(video, None, damage)
        paths = [self._settings.result_path(video, piece) for piece in pieces]
        yield video.index // self._settings.options.videos_per_file, (video, paths)

    def _settled(self, video: Video, pieces: Sequence[Piece | None]) -> Any:
        """The pieces that count, and the damage of the video."""
        results = [self._result(video, piece) for piece in pieces]
        if reason := _does_not_fit(pieces, results):
            logging.warning("%s is read as a whole: %s.", video.path, reason)
            pieces, results = [None], [self._result(video, None)]
        return pieces, results[-1].damage


def _does_not_fit(
    pieces: Sequence[Piece | None], results: Sequence[PieceResult]
) -> str:
    """Why pieces are not what one pass over the video gives; '' if they are."""
    if pieces == [None]:
        return ""
    for piece, result in zip(pieces, results, strict=True):
        if result.not_seekable:
            return result.not_seekable
        if len(result.times) != piece.stop - piece.first:
            return f"it has other key frames than expected in piece {piece.number}"
    following = [result.first for result in results[1:]] + [""]
    for piece, result, expected in zip(pieces, results, following, strict=True):
        if result.following != expected:
            return f"the pictures at the end of piece {piece.number} differ"
    return ""


class _Write(beam.DoFn):
    """(shard, videos) -> number of the shard, whose files are written."""

    def __init__(self, settings: Settings, total: int):
        self._settings = settings
        self._total = total

    def process(self, element: tuple[int, Iterable[Any]]) -> Iterator[int]:
        number, videos = element
        there = sorted(filter(None, videos), key=lambda one: one[0].index)
        tables.write_shard(self._settings, number, self._total, there)
        yield number


def _failed(video: Video, piece: Piece | None, error: object) -> Any:
    failure = Failure(video.index, video.path, _seconds(piece), str(error))
    return beam.pvalue.TaggedOutput(_FAILED, failure)


def _seconds(piece: Piece | None) -> str:
    return f"{piece.begin:g}-{piece.end:g} s" if piece else ""


def _finish(
    settings: Settings, total: int, failures: list[Failure], written: list[int]
) -> None:
    """Writes the table of failures after all shards, and removes other shards."""
    del written  # Beam waits for it
    tables.write_failures(settings, failures)
    tables.remove_other_shards(settings, total)
