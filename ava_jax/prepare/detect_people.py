"""Detects people on annotated key frames, to make proposals."""

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
    paths = {split: _check_output(data, split) for split in splits}
    find = people.open_detector(detector)
    for split, path in paths.items():
        table = propose(data, split, find, progress)
        annotations.write_detections(path, table)
        nobody = len(table.keyframe_video)
        yield f"{path}: {len(table):,} boxes; {nobody:,} key frames without anyone"


def _check_output(data, split: str) -> pathlib.Path:
    """The file to write."""
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
    path = os.path.join(data.root, data[split].boxes)
    index = annotations.index_frames(annotations.read_boxes(path))
    used, video = np.unique(index.video, return_inverse=True)
    names = [index.videos[number] for number in used]
    store = frames.open_frames(data, names)
    found = []
    centres = clips.centre_frames(
        index.timestamp, *clips.clock(data), store.origin[video]
    )
    keys = zip(video.tolist(), index.timestamp, centres.tolist(), strict=True)
    for movie, second, frame in progress(keys, len(video)):
        if not store.first[movie] <= frame <= store.last[movie]:
            raise UserError(
                f"Second {second:g} of {names[movie]} is not among its frames. Look "
                "for the reason: ava-jax check --help"
            )
        image = store.read(movie, frame)
        height, width = image.shape[:2]
        name = f"Second {second:g} of {names[movie]}: boxes"
        boxes = checked_boxes(detector(image), (width, height), name)
        found.append(boxes.astype(np.float64) / (width, height, width, height, 1))
    return _table(names, video, index.timestamp, found)


def _table(names, video, second, found) -> BoxTable:
    counts = np.array([len(boxes) for boxes in found])
    rows = np.concatenate([np.zeros((0, 5)), *found])
    nobody = counts == 0
    return BoxTable.from_columns(
        names,
        np.repeat(video, counts),
        np.repeat(second, counts),
        rows[:, :4],
        score=rows[:, 4],
        keyframe_video=video[nobody],
        keyframe_timestamp=second[nobody],
    )
