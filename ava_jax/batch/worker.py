"""Scores pieces of videos; one object for all threads of a process."""

import contextlib
import functools
import itertools
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ava_jax.batch import results, storage
from ava_jax.batch.inputs import Video
from ava_jax.batch.plan import Piece
from ava_jax.batch.results import PieceResult
from ava_jax.batch.settings import Settings, fingerprint
from ava_jax.checkpoints import load
from ava_jax.errors import UserError
from ava_jax.inference.clip_sampler import SampledClip, sample_clips
from ava_jax.inference.person_source import PersonSource, as_person_source
from ava_jax.inference.video_predictor import scored_clips
from ava_jax.people.detectors import FILES, open_detector
from ava_jax.predict import Detector
from ava_jax.runtime.compilation_cache import use_cache
from ava_jax.video.reader import VideoReader
from ava_jax.video.segment import NotSeekable, read_segment


class Worker:
    """A detector on the device of this process, and a person detector."""

    def __init__(self, settings: Settings):
        """Loads them.

        Raises:
          UserError: the checkpoint is not the one that the run was started with.
        """
        use_cache()
        self._settings = settings
        path = settings.options.checkpoint
        config, variables, names = load.read_detector(path)
        if fingerprint(config, variables, names) != settings.weights:
            raise UserError(
                f"{path} is another checkpoint on this machine than where the run was "
                "started. Give a path that all of them share, or a published name."
            )
        self._detector = Detector(config, variables, names)

    def score(self, video: Video, piece: Piece | None) -> PieceResult:
        """Scores the people of a piece.

        Args:
          video: a file or an address.
          piece: of it; None: the whole video, as `Detector.predict_video` reads it.

        Raises:
          UserError: the video, or what is known of the people in it, is not usable.
          NoRoom: a remote video cannot be copied to this machine.
        """
        classes = len(self._settings.labels)
        with storage.local_copy(video.path) as path, VideoReader(path) as reader:
            size = reader.width, reader.height
            find = self._find_people(reader)
            if piece is None:
                found = self._score(sample_clips(reader, self._settings.sampling), find)
                damage = reader.damage
                return PieceResult.of(found, classes, size=size, damage=damage)
            try:
                seams = _Seams(piece)
                found = self._score(seams.between(self._clips(path, piece)), find)
            except NotSeekable as reason:
                return PieceResult.none(str(reason))
        digests = {"first": seams.first, "following": seams.following}
        return PieceResult.of(found, classes, size=size, **digests)

    def _clips(self, path: str, piece: Piece) -> Iterator[SampledClip]:
        segment = piece.segment
        frames = read_segment(path, segment)
        return sample_clips(
            frames, self._settings.sampling, piece.first, segment.skipped
        )

    def _score(
        self, clips: Iterator[SampledClip], find_people: PersonSource
    ) -> list[tuple[float, np.ndarray, np.ndarray]]:
        batch = self._settings.options.batch
        scored = scored_clips(
            self._detector.scorer, _blaming(clips), _blaming_call(find_people), batch
        )
        with contextlib.closing(scored):
            return [(clip.time, boxes, scores) for clip, boxes, scores in scored]

    def _find_people(self, video: VideoReader) -> PersonSource:
        options = self._settings.options
        if not options.people.endswith(FILES):
            return as_person_source(self._people, video)
        size, name = (video.width, video.height), pathlib.Path(video.name).stem
        file = open_detector(options.people, size, name, options.person_score)
        return as_person_source(file, video)

    @functools.cached_property
    def _people(self) -> Any:
        options = self._settings.options
        return open_detector(options.people, threshold=options.person_score)


class _Seams:
    """Takes note of the clips that a piece and the next one have both."""

    def __init__(self, piece: Piece):
        self._piece = piece
        self.first = self.following = ""

    def between(self, clips: Iterator[SampledClip]) -> Iterator[SampledClip]:
        """The clips of the piece."""
        piece = self._piece
        wanted = piece.stop - piece.first
        for number, clip in enumerate(itertools.islice(clips, wanted + 1)):
            if number == 0:
                self.first = results.digest(clip)
            if number == wanted:
                self.following = results.digest(clip)
                return
            yield clip


def _blaming(clips: Iterator[SampledClip]) -> Iterator[SampledClip]:
    """The clips; what goes wrong while they are decoded is the video's fault."""
    with _fault_of_video():
        yield from clips


def _blaming_call(find_people: PersonSource) -> PersonSource:
    def find(frame: np.ndarray, time: float) -> np.ndarray:
        with _fault_of_video():
            return find_people(frame, time)

    return find


@contextlib.contextmanager
def _fault_of_video() -> Iterator[None]:
    try:
        yield
    except (UserError, NotSeekable, MemoryError):
        raise
    except Exception as error:
        raise UserError(f"{type(error).__name__}: {error}") from error
