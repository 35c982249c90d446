"""Person proposals: the boxes that a person detector found on the key frames."""

import io
import itertools
import os
from typing import Any

import numpy as np

from ava_jax.annotations.box_files import read_boxes
from ava_jax.annotations.box_table import BoxTable, indexed_seconds
from ava_jax.annotations.frame_keys import split_frame_key
from ava_jax.annotations.text_files import read_pickled
from ava_jax.errors import UserError
from ava_jax.unpickling import numpy_arrays
from ava_jax.unpickling.interpreter import Built, RefusedError, describe, read_pickle

_FORMAT = "'<video>,<timestamp>' to arrays of N x 5"
# Largest size of the boxes in float64, as a multiple of the size of the file. Boxes of
# eight bits take ten times their size; more are copies of each other.
_LARGEST_RATIO = 20
_ROW_BYTES = 5 * 8
_NO_ROWS = np.zeros((0, 5))


def read_proposals(
    path: str | os.PathLike,
) -> dict[tuple[str, float], np.ndarray]:
    """Reads person proposals by key frame.

    Args:
      path: MMAction2's pickle, a dict of `'<video>,<timestamp>'` to arrays of
        N x 5 (x1, y1, x2, y2, score) or N x 4; or a CSV file of boxes as
        PySlowFast has it or as detectors of actions write it. In a CSV file
        the rows of one box with several labels are one proposal, with the
        highest of their scores; without scores it is 1.

    Returns:
      (video, seconds) to (N, 5) float64: box in fractions of the frame, score.

    Raises:
      UserError: the file is neither, or holds what is not a proposal. Nothing
        of a pickle but array data is ever executed.
    """
    path = os.fspath(path)
    data = read_pickled(path)
    if data is None:
        return _proposals_of_table(read_boxes(path, kind="detections"))
    content = _unpickle(path, data)
    frames = _frames(path, list(content))
    if len(set(frames)) < len(frames):
        _raise_duplicate(path, list(content), frames)
    boxes = _boxes(path, content, _LARGEST_RATIO * len(data))
    return dict(zip(frames, boxes, strict=True))


def unpadded_keys(path: str | os.PathLike) -> list[str]:
    """Keys of a pickle whose seconds have fewer than four digits, as in 'a,902'.

    They are read all the same, but MMAction2, which looks for 'a,0902', does not
    find them.

    Raises:
      UserError: see `read_proposals`.
    """
    path = os.fspath(path)
    data = read_pickled(path)
    keys = () if data is None else _unpickle(path, data)
    parts = ((str(key), str(key).rpartition(",")[2]) for key in keys)
    return [key for key, seconds in parts if len(seconds.partition(".")[0]) < 4]


def _unpickle(path: str, data: bytes) -> dict:
    try:
        content = read_pickle(io.BytesIO(data), numpy_arrays.BUILDERS)
    except RefusedError as error:
        raise UserError(
            f"{path}: not a pickle of proposals: {error}; expected a dict of "
            "'<video>,<timestamp>' to NumPy arrays and nothing else"
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds {describe(content)}, expected a dict {_FORMAT}")
    return content


def _frames(path: str, keys: list) -> list[tuple[str, float]]:
    """The key frames that keys name: (video, seconds)."""
    split = [_split_key(path, key) for key in keys]
    seconds = indexed_seconds(np.array([second for _, second in split]))
    return list(zip((video for video, _ in split), seconds.tolist(), strict=True))


def _split_key(path: str, key: Any) -> tuple[str, float]:
    text = key if isinstance(key, str) else numpy_arrays.to_text(key)
    frame = text and split_frame_key(text)
    if frame:
        return frame
    raise UserError(
        f"{path}: key {describe(key)}, expected '<video>,<timestamp>' such as "
        "'1j20qq1JyX4,0902'"
    )


def _raise_duplicate(path, keys, frames):
    seen = set()
    for key, frame in zip(keys, frames, strict=True):
        if frame in seen:
            raise UserError(
                f"{path}: two entries for second {frame[1]:g} of "
                f"{describe(frame[0])} (one is {describe(key)}); write every timestamp "
                "in one way"
            )
        seen.add(frame)


def _boxes(path: str, content: dict, limit: int) -> list[np.ndarray]:
    """For every value (N, 5) float64, which together take at most `limit` bytes.

    Values that are one object in the pickle are one array.
    """
    arrays, places, ends = [], {}, [0]
    for key, value in content.items():
        if id(value) in places:
            continue
        try:
            array = _to_rows(value, limit - ends[-1] * _ROW_BYTES)
        except RefusedError as error:
            raise UserError(f"{path}: the value of {describe(key)}: {error}") from None
        places[id(value)] = len(arrays)
        arrays.append(array)
        ends.append(ends[-1] + len(array))
    rows = np.concatenate([_NO_ROWS, *arrays], dtype=np.float64)
    order = [places[id(value)] for value in content.values()]
    boxes = [rows[ends[place] : ends[place + 1]] for place in order]
    if not np.isfinite(rows).all():
        infinite = (not np.isfinite(array).all() for array in boxes)
        key = next(itertools.compress(content, infinite))
        raise UserError(f"{path}: the value of {describe(key)} holds NaN or infinity")
    return boxes


def _to_rows(value: Any, limit: int) -> np.ndarray:
    """(N, 5), of any numbers."""
    if isinstance(value, list | tuple):
        array = _of_lists(value, limit)
    else:
        array = numpy_arrays.to_array(value)
    if array.size == 0:
        return _NO_ROWS
    if array.ndim != 2 or array.shape[1] not in (4, 5) or array.dtype.kind not in "fiu":
        raise RefusedError(
            f"it has shape {array.shape} and type {array.dtype}, expected numbers of "
            "shape (N, 5) or (N, 4)"
        )
    if len(array) * _ROW_BYTES > limit:
        raise RefusedError("it would take much more memory than the file")
    if array.shape[1] == 4:
        return np.hstack([array, np.ones((len(array), 1))])
    return array


def _of_lists(rows: list | tuple, limit: int) -> np.ndarray:
    numbers = []
    for row in rows:
        if not isinstance(row, list | tuple):
            row = np.atleast_1d(numpy_arrays.to_array(row)).tolist()
        limit -= 8 * len(row)
        if limit < 0:
            raise RefusedError("it would take much more memory than the file")
        numbers.append([_number(value) for value in row])
    try:
        return np.array(numbers, np.float64)
    except (ValueError, OverflowError):
        raise RefusedError("its rows are not of 4 or 5 numbers each") from None


def _number(value: Any) -> int | float:
    if isinstance(value, Built):
        value = numpy_arrays.to_array(value).tolist()
    if type(value) not in (int, float):
        raise RefusedError(f"it has {describe(value)} where a number is expected")
    return value


def _proposals_of_table(table: BoxTable) -> dict[tuple[str, float], np.ndarray]:
    proposals: dict[tuple[str, float], dict[tuple[float, ...], float]] = {}
    for video, seconds, box, score in zip(
        table.video.tolist(),
        indexed_seconds(table.timestamp).tolist(),
        table.box.tolist(),
        np.nan_to_num(table.score, nan=1.0).tolist(),
        strict=True,
    ):
        boxes = proposals.setdefault((table.videos[video], seconds), {})
        boxes[tuple(box)] = max(score, boxes.get(tuple(box), 0.0))
    return {
        frame: np.array([(*box, score) for box, score in boxes.items()])
        for frame, boxes in proposals.items()
    }
