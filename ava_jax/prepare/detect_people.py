"""Detects people on annotated key frames, to make proposals."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import ml_collections
import numpy as np

from ava_jax import annotations, people
from ava_jax.annotations import BoxTable
from ava_jax.data import clips, frames
from ava_jax.errors import UserError
from ava_jax.people.boxes import checked_boxes

# RGB uint8 (H, W, 3) -> (N, 5) float32: x1, y1, x2, y2 in pixels, score.
Detector = Callable[[np.ndarray], np.ndarray]


def write_proposals(
    data: ml_collections.ConfigDict,
    splits: Sequence[str],
    detector: str,
    progress: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> Iterator[str]:
    """Detects people on the annotated key frames of splits, into CSV files.

    Args:
      data: `config.data`; it names the files.
      splits: 'train', 'val' or both.
      detector: a name for `people.open_detector`.
      progress: wraps an iterable of known length in a progress bar.

    Yields:
      What was written, a line for each split.

    Raises:
      UserError: a file is there or no CSV file; there is no such detector;
        annotations or frames cannot be read.
    """
    paths = {split: output(data, split) for split in splits}
    find = open_detector(detector)
    for split, path in paths.items():
        yield write(path, propose(data, split, find, progress))


def open_detector(name: str) -> Detector:
    """As `people.open_detector`, for a detector that looks at frames."""
    if name.endswith(people.FILES):
        raise UserError(
            f"{name} has boxes already: train with --config.data.train.proposals=FILE. "
            "Expected a detector here, such as --detector yolox."
        )
    return people.open_detector(name)


def write(path: pathlib.Path, table: BoxTable) -> str:
    """Writes proposals as CSV and says so."""
    annotations.write_detections(path, table)
    nobody = len(table.keyframe_video)
    return f"{path}: {len(table):,} boxes; {nobody:,} key frames without anyone"


def output(data, split: str) -> pathlib.Path:
    """The file to write the proposals of a split to.

    Raises:
      UserError: it is there, or no CSV file.
    """
    name = data[split].proposals
    path = pathlib.Path(data.root, name)
    if not name.endswith((".csv", ".csv.gz")):
        raise UserError(
            f"config.data.{split}.proposals is {name!r}; a CSV file is written here: "
            f"--config.data.{split}.proposals=annotations/{split}_proposals.csv (then "
            "train with the same)"
        )
    if path.exists():
        raise UserError(
            f"{path} is there. Remove it to find people again, or name the other "
            "split: --split."
        )
    return path


@dataclasses.dataclass(frozen=True)
class KeyFrames:
    """Key frames of movies.

    Attributes:
      movies: names.
      movie: (K,) index of each key frame's movie.
      second: (K,) float64, time of each.
    """

    movies: Sequence[str]
    movie: np.ndarray
    second: np.ndarray

    @classmethod
    def of_split(cls, data: ml_collections.ConfigDict, split: str) -> "KeyFrames":
        """The annotated key frames of a split; `data` is `config.data`."""
        path = os.path.join(data.root, data[split].boxes)
        index = annotations.index_frames(annotations.read_boxes(path))
        used, movie = np.unique(index.video, return_inverse=True)
        return cls([index.videos[k] for k in used], movie, index.timestamp)

    def __len__(self) -> int:
        return len(self.second)


def propose(
    data: ml_collections.ConfigDict,
    split: str,
    detector: Detector,
    progress: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> BoxTable:
    """Detects people on the annotated key frames of a split.

    Args:
      data: `config.data`.
      split: 'train' or 'val'.
      detector: finds people.
      progress: wraps an iterable of known length in a progress bar.

    Returns:
      Boxes in fractions of the frame with scores, without actions; the key frames
      on which nobody was found are the rows without a box.

    Raises:
      UserError: annotations or frames cannot be read.
    """
    keys = KeyFrames.of_split(data, split)
    return to_table(keys, find_people(data, keys, detector, progress))


def find_people(
    data: ml_collections.ConfigDict,
    keys: KeyFrames,
    detector: Detector,
    progress: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> list[np.ndarray]:
    """Detects people on key frames.

    Args:
      data: `config.data`.
      keys: the K key frames.
      detector: finds people.
      progress: wraps an iterable of known length in a progress bar.

    Returns:
      K arrays (N, 5) float64: x1, y1, x2, y2 in fractions of the frame, score.

    Raises:
      UserError: frames cannot be read, or the detector's boxes are not in them.
    """
    store = frames.open_frames(data, keys.movies)
    centres = clips.centre_frames(
        keys.second, *clips.clock(data), store.origin[keys.movie]
    )
    rows = zip(keys.movie.tolist(), keys.second, centres.tolist(), strict=True)
    found = []
    for movie, second, frame in progress(rows, len(keys)):
        name = keys.movies[movie]
        if not store.first[movie] <= frame <= store.last[movie]:
            raise UserError(
                f"Second {second:g} of {name} is not among its frames. Look for the "
                "reason: ava-jax check --help"
            )
        image = store.read(movie, frame)
        height, width = image.shape[:2]
        name = f"Second {second:g} of {name}: boxes"
        boxes = checked_boxes(detector(image), (width, height), name)
        found.append(boxes.astype(np.float64) / (width, height, width, height, 1))
    return found


def to_table(keys: KeyFrames, found: Sequence[np.ndarray]) -> BoxTable:
    """Boxes of key frames, as `find_people` gives them, as a table."""
    counts = np.array([len(boxes) for boxes in found], np.int64)
    rows = np.concatenate([np.zeros((0, 5)), *found])
    nobody = counts == 0
    return BoxTable.from_columns(
        keys.movies,
        np.repeat(keys.movie, counts),
        np.repeat(keys.second, counts),
        rows[:, :4],
        score=rows[:, 4],
        keyframe_video=keys.movie[nobody],
        keyframe_timestamp=keys.second[nobody],
    )
