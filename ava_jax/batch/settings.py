"""What a run is: settings that travel to the workers, and the names of its files."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

import ava_jax
from ava_jax.batch import storage
from ava_jax.batch.inputs import Video
from ava_jax.batch.person_detector import on_all_workers
from ava_jax.checkpoints import load
from ava_jax.errors import UserError
from ava_jax.inference.clip_sampler import VideoSampling
from ava_jax.models.long_term import OPERATORS
from ava_jax.video.clip_sampling import ClipSampling

FORMATS = ("parquet", "csv")


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user chooses.

    Attributes:
      checkpoint: as `Detector.from_checkpoint` takes it.
      out: folder of the results, or its address.
      people: name for `people.open_detector`.
      person_score: least score of a person.
      every: seconds from one key frame to the next.
      piece: seconds of a video that are scored at a time.
      batch: clips that the device scores at a time.
      videos_per_file: videos whose results are in one file.
      format: 'parquet' or 'csv', of the detections.
    """

    checkpoint: str
    out: str
    people: str = "auto"
    person_score: float = 0.5
    every: float = 1.0
    piece: float = 300.0
    batch: int = 1
    videos_per_file: int = 100
    format: str = "parquet"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Options, and what follows from them and from the checkpoint.

    Attributes:
      options: paths are absolute.
      weights: digest of the checkpoint's configuration, weights and names.
      people: digest of the person detector's name and file.
      sampling: of the clips.
      labels: name of each class; '' for class 0.
      class_ids: action id of each class; 0 for class 0.
      threshold: least score of an action in the files of detections.
    """

    options: Options
    weights: str
    people: str
    sampling: VideoSampling
    labels: tuple[str, ...]
    class_ids: tuple[int, ...]
    threshold: float

    @classmethod
    def of(cls, options: Options) -> "Settings":
        """Reads the checkpoint and opens the person detector once, to check both.

        Raises:
          UserError: one of them cannot be read, or key frames are too close.
        """
        config, variables, names = load.read_detector(options.checkpoint)
        _refuse_long_term(config)
        data, every = config.data, options.every
        if every * data.fps < 1 - 1e-6:
            raise UserError(f"every={every}; expected at least 1/{data.fps:g} seconds")
        name, people = on_all_workers(options.people, options.person_score)
        options = dataclasses.replace(
            options,
            checkpoint=_absolute(options.checkpoint),
            out=_absolute_or_address(options.out),
            people=name,
        )
        sampling = ClipSampling.from_config(data)
        return cls(
            options,
            fingerprint(config, variables, names),
            people,
            VideoSampling(sampling, data.test_short_side, every),
            ("", *names.values()),
            (0, *names),
            config.eval.action_threshold,
        )

    def plan_path(self, video: Video) -> str:
        """Of the file that says which pieces a video has."""
        what = [self.options.piece, dataclasses.asdict(self.sampling)]
        return self._path("plans", "json", video, what)

    def result_path(self, video: Video, piece: Any) -> str:
        """Of the file of results of a piece; the batch does not count.

        Args:
          video: whose piece it is.
          piece: a frozen dataclass; None: the whole video, read from its beginning.
        """
        what = [
            dataclasses.asdict(self.sampling),
            self.weights,
            self.people,
            piece and dataclasses.asdict(piece),
        ]
        return self._path("pieces", "npz", video, what)

    def _path(self, kind: str, end: str, video: Video, what: Any) -> str:
        made_of = [ava_jax.__version__, video.path, video.size, video.changed, what]
        name = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]
        # A folder of a million files is slow to list.
        return storage.join(self.options.out, "work", kind, name[:2], f"{name}.{end}")


def fingerprint(config: Any, variables: Mapping, names: Mapping[int, str]) -> str:
    """A digest of what scores depend on."""
    digest = hashlib.sha256(config.to_json(sort_keys=True).encode())
    digest.update(json.dumps(names).encode())
    for path, leaf in jax.tree.leaves_with_path(variables):
        leaf = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)}{leaf.dtype}{leaf.shape}".encode())
        digest.update(leaf.tobytes())
    return digest.hexdigest()


def _refuse_long_term(config: Any) -> None:
    if config.model.shared_head in OPERATORS:
        raise UserError(
            f"{config.name} needs long-term features of a whole video, which pieces "
            "do not have: score one video after the other with Detector.predict_video."
        )


def _absolute(path: str) -> str:
    """A path that other processes understand; names of published files stay."""
    return os.path.abspath(path) if os.path.exists(path) else path


def _absolute_or_address(path: str) -> str:
    return path if storage.is_remote(path) else os.path.abspath(path)
