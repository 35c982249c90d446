"""People on the key frames of a data set, detected on many machines."""

import dataclasses
import functools
import hashlib
import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence

import apache_beam as beam
import ml_collections
import numpy as np
from absl import logging
from apache_beam.utils.shared import Shared

import ava_jax
from ava_jax.batch import runner, storage
from ava_jax.batch.person_detector import on_all_workers
from ava_jax.prepare import detect_people
from ava_jax.prepare.detect_people import KeyFrames

_KEY_FRAMES = 200  # of a part: minutes of work, small enough to be lost


@dataclasses.dataclass(frozen=True)
class _Part:
    """Consecutive key frames of one movie: what is done, and lost, at a time."""

    movie: str
    seconds: tuple[float, ...]

    @property
    def keys(self) -> KeyFrames:
        seconds = np.array(self.seconds)
        return KeyFrames([self.movie], np.zeros(len(seconds), np.int64), seconds)


@dataclasses.dataclass(frozen=True)
class _Task:
    """What all parts share; `detector` is the same on every worker."""

    data: ml_collections.ConfigDict
    detector: str
    digest: str
    folder: str

    def path(self, part: _Part) -> pathlib.Path:
        """The file of the people of a part."""
        made_of = repr((ava_jax.__version__, self.data.to_json(), self.digest, part))
        name = hashlib.sha256(made_of.encode()).hexdigest()[:32]
        return pathlib.Path(self.folder, f"{name}.npz")


def write_proposals(
    data: ml_collections.ConfigDict,
    splits: Sequence[str],
    detector: str,
    beam_arguments: Sequence[str] = (),
) -> Iterator[str]:
    """As `prepare.detect_people.write_proposals`, with Apache Beam.

    What is found is kept in a folder beside the CSV file until that is written: the
    same call continues.

    Args:
      data: `config.data`; it names the files, which all workers can read.
      splits: 'train', 'val' or both.
      detector: a name for `people.open_detector`.
      beam_arguments: Beam's pipeline options, such as ['--runner=FlinkRunner'].

    Yields:
      What was written, a line for each split.

    Raises:
      UserError: a file is there or no CSV file; there is no such detector;
        annotations or frames cannot be read; the runner cannot be started.
    """
    detector, digest = on_all_workers(detector)
    data = data.copy_and_resolve_references()
    data.root = os.path.abspath(data.root)
    paths = {split: detect_people.output(data, split) for split in splits}
    for split, path in paths.items():
        keys = KeyFrames.of_split(data, split)
        task = _Task(data, detector, digest, f"{path}.parts")
        parts = list(_parts(keys))
        build = functools.partial(_build, task=task, parts=parts)
        runner.run(build, beam_arguments)
        found = [boxes for part in parts for boxes in _read(task.path(part))]
        yield detect_people.write(path, detect_people.to_table(keys, found))
        shutil.rmtree(task.folder)


def _parts(keys: KeyFrames) -> Iterator[_Part]:
    """Parts of key frames that are sorted by movie."""
    for number, movie in enumerate(keys.movies):
        seconds = keys.second[keys.movie == number].tolist()
        for first in range(0, len(seconds), _KEY_FRAMES):
            yield _Part(movie, tuple(seconds[first : first + _KEY_FRAMES]))


def _read(path: pathlib.Path) -> list[np.ndarray]:
    """The people of a part, of each of its key frames."""
    with np.load(path) as file:
        return np.split(file["boxes"], np.cumsum(file["counts"])[:-1])


def _build(pipeline: beam.Pipeline, task: _Task, parts: Sequence[_Part]) -> None:
    """Adds all steps to a pipeline."""
    _ = (
        pipeline
        | "Key frames" >> beam.Create(parts, reshuffle=False)
        | "Spread them" >> beam.Reshuffle()
        | "Find people" >> beam.ParDo(_Find(task))
    )


class _Find(beam.DoFn):
    """Part -> nothing; its people are on disk then."""

    def __init__(self, task: _Task):
        self._task = task
        self._shared = Shared()

    def process(self, part: _Part) -> None:
        path = self._task.path(part)
        if path.exists():
            return
        name, digest = self._task.detector, self._task.digest
        find = self._shared.acquire(lambda: detect_people.open_detector(name), digest)
        found = detect_people.find_people(self._task.data, part.keys, find)
        counts = [len(boxes) for boxes in found]
        with storage.written(str(path)) as partial, open(partial, "wb") as file:
            np.savez(file, counts=counts, boxes=np.concatenate(found))
        logging.info("%s: %d key frames", part.movie, len(found))
