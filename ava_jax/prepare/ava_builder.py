"""Packs frame folders into a TFDS data set of one record a second.

On network storage a clip of 32 frames is then three or four reads, instead of 32
files to open. JPEG files are kept byte for byte. `data.frames.packed` reads the result;
it is also an ordinary data set of TensorFlow Datasets:

    tfds.builder_from_directory(DIR).as_data_source("frames")
"""

import dataclasses
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
import tensorflow_datasets as tfds

from ava_jax import annotations
from ava_jax import config as ava_config
from ava_jax.data import clips
from ava_jax.data.frames.folders import FrameFolders, open_folders
from ava_jax.data.frames.open import late_frames
from ava_jax.errors import UserError

# Frames of a file, about 400 MB at 340 x 256. A movie is never divided.
_SHARD_FRAMES = 20_000


@dataclasses.dataclass(kw_only=True, repr=False)
class AvaConfig(tfds.core.BuilderConfig):
    """A data set in AVA's format.

    Attributes:
      data: `data` of the configuration; its paths are relative to the `root` in it,
        or to TFDS's `manual_dir` if that is empty.
    """

    data: ml_collections.ConfigDict


def _published(name: str, change: Callable[[Any], None]) -> AvaConfig:
    config = ava_config.default()
    change(config)
    config.data.root = ""
    return AvaConfig(name=name, description=f"AVA {name}.", data=config.data)


class Ava(tfds.core.ShardBasedBuilder):
    """Frames and annotations of AVA, or of a data set in its format.

    A builder by shards writes records in the order of the movies, without TFDS's
    copy of everything for shuffling, and runs on Beam if it is given a runner.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "One record a second of movie."}
    BUILDER_CONFIGS = [
        _published("v2.1", lambda config: None),
        _published("v2.2", ava_config.use_ava22),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "manual_dir has MMAction2's layout of AVA: rawframes/<video>/img_00001.jpg "
        "and annotations/. ava-jax prepare makes it."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        action = {
            "timestamp": np.float32,
            "box": tfds.features.Tensor(shape=(4,), dtype=np.float32),
            "label": np.int64,
            "entity": np.int64,
        }
        frame = tfds.features.Image(encoding_format="jpeg")
        return tfds.core.DatasetInfo(
            builder=self,
            description="Atomic visual actions: one record a second of movie.",
            homepage="https://research.google.com/ava/",
            features=tfds.features.FeaturesDict(
                {
                    "video": tfds.features.Text(),
                    "first_frame": np.int64,
                    "frames": tfds.features.Sequence(frame),
                    # Every row of the annotation files within this second; boxes
                    # are x1 y1 x2 y2, fractions of the frame.
                    "actions": tfds.features.Sequence(action),
                }
            ),
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> Mapping[str, Sequence["_Shard"]]:
        data = self.builder_config.data
        root = pathlib.Path(data.root or dl_manager.manual_dir)
        actions = _actions(root, data)
        folders = _folders(root, data, actions)
        self.info.metadata.update(_facts(folders, data.fps))
        shards = [
            _Shard(folders, movies, data.fps, *clips.clock(data), actions)
            for movies in _groups(folders.last - folders.first + 1)
        ]
        return {"frames": shards}


# One movie's rows of the annotation files, by timestamp.
_Rows = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class _Shard:
    """Makes the records of some movies; Beam sends it to its workers.

    Attributes:
      folders: all movies.
      movies: numbers of the shard's movies.
      fps: frames of a record.
      rate, start: see `clips.clock`.
      actions: rows of the annotation files, by movie.
    """

    folders: FrameFolders
    movies: Sequence[int]
    fps: int
    rate: float
    start: float
    actions: Mapping[str, _Rows]

    def __call__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(key, record) for every second, in order."""
        for movie in self.movies:
            first, last = self.folders.first[movie], self.folders.last[movie]
            for second, frame in enumerate(range(first, last + 1, self.fps)):
                key = f"{self.folders.videos[movie]},{second}"
                yield key, self._record(movie, frame, min(frame + self.fps - 1, last))

    def _record(self, movie: int, first: int, last: int) -> dict[str, Any]:
        video = self.folders.videos[movie]
        since = self.start + (first - self.folders.origin[movie]) / self.rate
        rows = self.actions[video]
        until = since + self.fps / self.rate
        span = np.searchsorted(rows["timestamp"], [since, until])
        # Paths, which TFDS reads one record at a time: it keeps a shard's examples.
        paths = (str(self.folders.path(movie, i)) for i in range(first, last + 1))
        return {
            "video": video,
            "first_frame": first,
            "frames": list(paths),
            "actions": {name: column[slice(*span)] for name, column in rows.items()},
        }


def _actions(root: pathlib.Path, data: ml_collections.ConfigDict) -> dict[str, _Rows]:
    """The rows of the annotation files of both splits, by movie."""
    paths = (data[split].boxes for split in ("train", "val"))
    tables = [annotations.read_boxes(root / path) for path in paths if path]
    number = {name: i for i, name in enumerate(sorted(_names(tables)))}
    video = np.concatenate(
        [np.array([number[n] for n in t.videos], int)[t.video] for t in tables]
    )
    columns = {
        name: np.concatenate([getattr(table, name) for table in tables])
        for name in ("timestamp", "box", "label", "entity")
    }
    columns["box"] = columns["box"].astype(np.float32)
    order = np.lexsort((columns["timestamp"], video))
    starts = np.searchsorted(video[order], np.arange(len(number) + 1))
    return {
        name: {key: column[order[start:end]] for key, column in columns.items()}
        for name, start, end in zip(number, starts, starts[1:])
    }


def _folders(root: pathlib.Path, data, videos) -> FrameFolders:
    videos = sorted(videos)
    folders = open_folders(root / data.frames, videos, data.frame_name)
    return dataclasses.replace(folders, late=late_frames(data, videos))


def _names(tables: Sequence[annotations.BoxTable]) -> set[str]:
    return {name for table in tables for name in table.videos}


def _facts(folders: FrameFolders, fps: int) -> dict[str, Any]:
    """What reading needs to know: where each movie's records begin."""
    frames = folders.last - folders.first + 1
    records = -(-frames // fps)
    columns = {
        "name": folders.videos,
        "first": folders.first.tolist(),
        "last": folders.last.tolist(),
        "height": folders.size[:, 0].tolist(),
        "width": folders.size[:, 1].tolist(),
        "record": (np.cumsum(records) - records).tolist(),
    }
    rows = zip(*columns.values(), strict=True)
    return {"fps": fps, "movies": [dict(zip(columns, row)) for row in rows]}


def _groups(frames: np.ndarray) -> list[np.ndarray]:
    """Numbers of the movies that go into one file together."""
    before = np.cumsum(frames) - frames
    starts = np.flatnonzero(np.diff(before // _SHARD_FRAMES, prepend=-1))
    return np.split(np.arange(len(frames)), starts[1:])


def pack(
    data: ml_collections.ConfigDict,
    out: str | os.PathLike,
    *,
    name: str = "own",
    beam_arguments: Sequence[str] = (),
) -> pathlib.Path:
    """Packs the frame folders of a data set, with copies of its annotation files.

    `--config.data.root=OUT --config.data.frame_store=packed` then trains on it.
    TFDS writes into a folder of another name and renames it when all is there.

    Args:
      data: `config.data`, of the frame folders.
      out: folder to write into.
      name: which AVA it is: 'v2.1', 'v2.2' or 'own'.
      beam_arguments: options of an Apache Beam pipeline, such as
        '--runner=DirectRunner'; without any, this process does all.

    Returns:
      The folder of the packed frames.

    Raises:
      UserError: the data set is not whole, `out` holds other movies, or the disk is
        full.
    """
    out, root = pathlib.Path(out), pathlib.Path(data.root)
    data = data.copy_and_resolve_references()
    published = name in Ava.builder_configs
    builder = Ava(
        config=name if published else AvaConfig(name=name, data=data),
        data_dir=out / data.frames,
    )
    if builder.data_path.exists():
        _check_same(builder.data_path, root, data)
    try:
        _prepare(builder, root, beam_arguments)
        _copy_annotations(data, root, out)
    # ArrayRecord's writer reports a full disk as a RuntimeError.
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{out} cannot be written: {error}. Nothing of the packed frames was kept. "
            "Make room, or give another folder."
        ) from error
    return builder.data_path


def _prepare(builder: Ava, root: pathlib.Path, beam_arguments: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as downloads:  # none, but TFDS makes a folder
        builder.download_and_prepare(
            download_dir=downloads,
            download_config=tfds.download.DownloadConfig(
                manual_dir=root, **_beam(beam_arguments)
            ),
            file_format="array_record",
        )


def _check_same(packed: pathlib.Path, root: pathlib.Path, data) -> None:
    """TFDS keeps what is there: make sure that it is of these frames."""
    there = json.loads((packed / "metadata.json").read_text())
    if there != _facts(_folders(root, data, _actions(root, data)), data.fps):
        raise UserError(
            f"{packed} holds other movies than {root / data.frames}. Remove it, or "
            "give another folder to pack into."
        )


def _beam(arguments: Sequence[str]) -> dict[str, Any]:
    """TFDS's options for Apache Beam."""
    if not arguments:
        return {}
    try:
        from apache_beam import runners
        from apache_beam.options import pipeline_options
    except ImportError as error:
        raise UserError(
            "Apache Beam is not installed: pip install apache-beam"
        ) from error
    options = pipeline_options.PipelineOptions(list(arguments))
    runner = options.view_as(pipeline_options.StandardOptions).runner
    return {
        "beam_runner": runners.create_runner(runner or "DirectRunner"),
        "beam_options": options,
    }


def _copy_annotations(data, root: pathlib.Path, out: pathlib.Path) -> None:
    for path in (data.labels, *data.train.values(), *data.val.values()):
        there = path and (root / path).exists()  # proposals may come later
        if there and (root / path).resolve() != (out / path).resolve():
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, out / path)
