"""Detections as MMAction2 1.x and PySlowFast pickle them.

MMAction2's `tools/test.py --dump FILE.pkl` writes a list with an entry per key frame.
Of PySlowFast, users pickle what its `AVAMeter` gives to `evaluate_ava`, as the data of
Long-Form Video Understanding (arXiv:2106.11310) have it, or what the evaluation makes
of that: dictionaries of key frames to boxes, labels and scores.
"""

import dataclasses
import io
import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ava_jax.annotations.box_table import BoxTable, indexed_seconds
from ava_jax.annotations.frame_keys import split_frame_key
from ava_jax.annotations.text_files import read_rows
from ava_jax.errors import UserError
from ava_jax.unpickling import torch_tensors
from ava_jax.unpickling.interpreter import RefusedError, describe, read_pickle

# `AVAMetric` of MMAction2 1.x leaves lower scores out (`action_thr`), and rounds.
_LOWEST_SCORE = 0.002
_DECIMALS = 4

_EXPECTED = (
    "expected MMAction2 1.x's `--dump FILE.pkl`, a list of dictionaries with "
    "`pred_instances`; or PySlowFast's (predictions, boxes, metadata), or its three "
    "dictionaries of '<video>,<timestamp>' to boxes, labels and scores"
)
# PySlowFast's dictionaries are made by `defaultdict(list)`.
_BUILDERS = {"collections.defaultdict": lambda *factory: {}, **torch_tensors.BUILDERS}
# Boxes in PySlowFast's dictionaries are y1 x1 y2 x2.
_XYXY = [1, 0, 3, 2]


def read_result_pickle(
    path: str,
    data: bytes,
    index: str | os.PathLike | None = None,
    first_label: int = 1,
) -> BoxTable:
    """Detections of a pickle; nothing in it is executed.

    Of MMAction2's results, scores up to 0.002 are left out and numbers are rounded to
    four decimals, because its evaluation of AVA does so. Where ids count from 0 it is
    MultiSports', which takes the highest score of each box and rounds nothing.

    Args:
      path: of the file, for messages.
      data: its content.
      index: names of the videos, for PySlowFast's numbers of videos: its frame list,
        or a text file with a name a line.
      first_label: see `read_boxes`.

    Raises:
      UserError: it holds something else, or `index` is missing.
    """
    to_array = torch_tensors.TensorReader(len(data)).to_array
    try:
        content = read_pickle(io.BytesIO(data), _BUILDERS)
        match content:
            case (dict() as boxes, dict() as labels, dict() as scores):
                table = _from_dictionaries(path, boxes, labels, scores, len(data))
                return dataclasses.replace(table, label=table.label + 1 - first_label)
            case (scores, boxes, metadata) if not isinstance(scores, dict | list):
                return _from_pyslowfast(path, scores, boxes, metadata, index, to_array)
            case [*samples]:
                return read_mmaction2(path, samples, to_array, len(data), first_label)
    except RefusedError as error:
        raise UserError(
            f"{path}: not a file of detections: {error}; {_EXPECTED}"
        ) from None
    raise UserError(f"{path}: holds {describe(content)}; {_EXPECTED}")


def read_mmaction2(
    path: str,
    samples: Sequence[Any],
    to_array: Callable[[Any], np.ndarray],
    file_size: int,
    first_label: int = 1,
) -> BoxTable:
    """Detections of MMAction2 1.x's results.

    Args:
      path: of the file, for messages.
      samples: an entry per key frame, with `pred_instances` (`bboxes` (N, 4), in
        fractions, and `scores` (N, classes)), and `video_id` and `timestamp`, or
        `img_key`.
      to_array: from an entry's value to an array.
      file_size: bytes; no file has more scores than that.
      first_label: see `read_boxes`.

    Raises:
      RefusedError: an entry is something else.
    """
    frames, boxes, labels, scores = [], [], [], []
    left = file_size
    for number, sample in enumerate(samples):
        match sample:
            case {"pred_instances": {"bboxes": box, "scores": score}}:
                frame, (box, score) = _frame(sample), map(to_array, (box, score))
            case _:
                raise RefusedError(_not_a_sample(number, sample))
        if not box.size and not score.size:
            continue  # nobody was found
        left -= score.size
        if left < 0:
            raise RefusedError("it would take much more memory than the file")
        if box.shape != (len(box), 4) or score.shape[:-1] != (len(box),):
            raise RefusedError(
                f"entry {number} has boxes of shape {box.shape} and scores of shape "
                f"{score.shape}, expected (N, 4) and (N, classes)"
            )
        row, column = _highest(score) if first_label == 0 else _listed(score)
        frames += [frame] * len(row)
        boxes.append(box[row])
        # Column 0 is of no action, or of the first.
        labels.append(column + 1 - first_label)
        scores.append(score[row, column])
    boxes, scores = _joined(boxes, (0, 4)), _joined(scores, (0,))
    if first_label:
        boxes, scores = np.round(boxes, _DECIMALS), np.round(scores, _DECIMALS)
    return _table(path, frames, boxes, _joined(labels, (0,)), scores)


def _listed(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the detections of AVA's evaluation.

    It lists them by class, without class 0.
    """
    column, row = np.nonzero(score.T[1:] > _LOWEST_SCORE)
    return row, column + 1


def _highest(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the detections of MultiSports' evaluation, one a box."""
    return np.arange(len(score)), score.argmax(axis=1)


def _not_a_sample(number: int, sample: Any) -> str:
    text = f"entry {number} is {describe(sample)} without `pred_instances`"
    if isinstance(sample, list):
        text += (
            ". MMAction2 0.x's `--out FILE.pkl` is a list of lists, which does not say "
            "whose detections they are: evaluate there, or write detections as CSV"
        )
    return text


def _frame(sample: Mapping[str, Any]) -> tuple[str, float]:
    """The key frame of an entry: (video, seconds)."""
    match sample:
        case {"video_id": str(video), "timestamp": int() | float() | str() as seconds}:
            frame = split_frame_key(f"{video},{seconds}")
        case {"img_key": str(key)}:
            frame = split_frame_key(key)
        case _:
            frame = None
    if frame is None:
        raise RefusedError(
            "an entry names no key frame: expected `video_id` and `timestamp`, or "
            "`img_key` such as '1j20qq1JyX4,0902'"
        )
    return frame


def _from_pyslowfast(path, scores, boxes, metadata, index, to_array) -> BoxTable:
    """(N, 80) scores of classes 1 to 80, (N, 5) boxes, (N, 2) video and second."""
    scores, boxes = to_array(scores), to_array(boxes)
    if isinstance(metadata, list):
        metadata = _number_rows(metadata, 2)
    else:
        metadata = to_array(metadata)
    # The first of five columns is the clip's place in its batch.
    boxes = boxes[:, 1:] if boxes.ndim == 2 and boxes.shape[1] == 5 else boxes
    shapes = scores.shape[:1], boxes.shape, metadata.shape
    count = len(boxes)
    if scores.ndim != 2 or shapes != ((count,), (count, 4), (count, 2)):
        raise RefusedError(
            f"its arrays have shapes {scores.shape}, {boxes.shape} and "
            f"{metadata.shape}, expected (N, classes), (N, 5) and (N, 2)"
        )
    names = _video_names(path, metadata[:, 0], index)
    classes = scores.shape[1]
    repeated = np.repeat(np.arange(count), classes)
    return BoxTable.from_columns(
        names,
        metadata[repeated, 0],
        indexed_seconds(metadata[:, 1])[repeated],
        boxes[repeated],
        label=np.tile(np.arange(1, classes + 1), count),
        score=_finite(scores).ravel(),
        line=np.zeros(len(repeated)),
        path=path,
    )


def _video_names(path, numbers: np.ndarray, index) -> list[str]:
    """Names of the videos in the order of their numbers."""
    highest = int(_finite(numbers).max(initial=-1))
    remedy = (
        "give PySlowFast's frame list (frame_lists/val.csv of its annotations), or a "
        "text file with a name a line in that order, by --index"
    )
    if index is None:
        raise UserError(
            f"{path}: its videos are numbers (0 to {highest}), not names; {remedy}"
        )
    names = _names_of_index(os.fspath(index))
    if numbers.min(initial=0) < 0 or highest >= len(names):
        raise UserError(
            f"{path}: its videos have numbers up to {highest}, {index} has "
            f"{len(names)} names; {remedy}"
        )
    return names


def _names_of_index(path: str) -> list[str]:
    """First words of the lines, each once, without the header of a frame list."""
    words = (fields[0].split()[0] for _, fields in read_rows(path) if fields[0])
    return [name for name in dict.fromkeys(words) if name != "original_vido_id"]


def _from_dictionaries(path, boxes, labels, scores, file_size) -> BoxTable:
    """Three dictionaries of key frames to lists, as `evaluate_ava` makes them."""
    if not boxes.keys() == labels.keys() == scores.keys():
        raise RefusedError("its dictionaries have different key frames")
    counts = [len(rows) if isinstance(rows, list) else -1 for rows in boxes.values()]
    if min(counts, default=0) < 0 or sum(counts) > file_size:
        raise RefusedError("its boxes are not lists of a key frame's boxes")
    frames = []
    for key, count in zip(boxes, counts, strict=True):
        frame = split_frame_key(key) if isinstance(key, str) else None
        if frame is None:
            raise RefusedError(f"key {describe(key)} is not '<video>,<timestamp>'")
        frames += [frame] * count
    for column in (labels, scores):
        sizes = [len(x) if isinstance(x, list) else -1 for x in column.values()]
        if sizes != counts:
            raise RefusedError("its boxes, labels and scores differ in number")
    box, label, score = (
        itertools.chain.from_iterable(column.values())
        for column in (boxes, labels, scores)
    )
    rows = _number_rows(list(box), 4)[:, _XYXY]
    label = _number_rows(list(zip(label, strict=False)), 1)[:, 0]
    score = _number_rows(list(zip(score, strict=False)), 1)[:, 0]
    return _table(path, frames, rows, label, score)


def _number_rows(rows: Sequence[Any], width: int) -> np.ndarray:
    """(N, width) float64 of lists of numbers."""
    for row in rows:
        numbers = isinstance(row, list | tuple) and len(row) == width
        if not numbers or not all(type(value) in (int, float) for value in row):
            raise RefusedError(f"a row of it is not of {width} numbers")
    try:
        return np.array(rows, np.float64).reshape(-1, width)
    except OverflowError:
        raise RefusedError("it has a number that is too large") from None


def _joined(arrays: Iterable[np.ndarray], empty: tuple[int, ...]) -> np.ndarray:
    return np.concatenate([np.zeros(empty), *arrays], dtype=np.float64)


def _table(path, frames, boxes, labels, scores) -> BoxTable:
    videos = {name: i for i, name in enumerate(dict.fromkeys(v for v, _ in frames))}
    return BoxTable.from_columns(
        list(videos),
        [videos[name] for name, _ in frames],
        indexed_seconds(np.array([seconds for _, seconds in frames], np.float64)),
        _finite(boxes),
        label=labels,
        score=_finite(scores),
        line=np.zeros(len(frames)),
        path=path,
    )


def _finite(numbers: np.ndarray) -> np.ndarray:
    if not np.isfinite(numbers).all():
        raise RefusedError("it has NaN or infinity")
    return numbers
