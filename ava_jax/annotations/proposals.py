"""Person proposals: the boxes that a person detector found on the key frames."""

import io
import os
import pickle
from collections.abc import Mapping

import numpy as np

from ava_jax.annotations.box_files import read_boxes
from ava_jax.annotations.box_table import BoxTable, indexed_seconds
from ava_jax.annotations.text_files import parse_number
from ava_jax.errors import UserError

# What a pickle of NumPy arrays needs, under the names of NumPy 1 and 2.
_PICKLE_GLOBALS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    ("__builtin__", "bytes"),
    ("builtins", "bytes"),
    ("collections", "OrderedDict"),
} | {
    (f"numpy.{core}.{name}", function)
    for core in ("core", "_core")
    for name, function in (
        ("multiarray", "_reconstruct"),
        ("multiarray", "scalar"),
        ("numeric", "_frombuffer"),
    )
}


class _ArrayUnpickler(pickle.Unpickler):
    """Loads containers, numbers, text and NumPy arrays; refuses all else."""

    def find_class(self, module: str, name: str):
        """The object of that name, if it is among those that arrays need."""
        if (module, name) not in _PICKLE_GLOBALS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


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
    content = _read_pickle(path)
    if content is None:
        return _proposals_of_table(read_boxes(path, kind="detections"))
    proposals: dict[tuple[str, float], np.ndarray] = {}
    for key, value in content.items():
        frame = _proposal_key(path, key)
        if frame in proposals:
            raise UserError(
                f"{path}: two entries for second {frame[1]:g} of {frame[0]} (one is "
                f"{key!r}); write every timestamp in one way"
            )
        proposals[frame] = _proposal_array(path, key, value)
    return proposals


def unpadded_keys(path: str | os.PathLike) -> list[str]:
    """Keys of a pickle whose seconds have fewer than four digits, as in 'a,902'.

    They are read all the same, but MMAction2, which looks for 'a,0902', does not
    find them.

    Raises:
      UserError: see `read_proposals`.
    """
    keys = _read_pickle(os.fspath(path)) or {}
    return [key for key in keys if len(key.rpartition(",")[2].partition(".")[0]) < 4]


def _read_pickle(path: str) -> Mapping | None:
    """The dict that a pickle holds; None if the file is no pickle."""
    try:
        with open(path, "rb") as file:
            is_pickle = _looks_pickled(file.read(2))
            file.seek(0)
            content = _unpickle(path, file) if is_pickle else None
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); check the path"
        ) from None
    if is_pickle and not isinstance(content, Mapping):
        raise UserError(
            f"{path}: holds a {type(content).__name__}, expected a dict of "
            "'<video>,<timestamp>' to arrays of N x 5"
        )
    return content


def _looks_pickled(head: bytes) -> bool:
    # Protocols 2 to 5 begin so; 0 and 1 begin with '(d' or '(l' or '}q'.
    return head[:1] == b"\x80" or head in (b"(d", b"(l", b"}q")


def _unpickle(path: str, file: io.BufferedIOBase):
    # latin1 is how NumPy arrays of Python 2 are read; later pickles don't ask.
    try:
        return _ArrayUnpickler(file, encoding="latin1").load()
    except Exception as error:
        # Damaged pickles raise nearly anything, from KeyError to MemoryError.
        raise UserError(
            f"{path}: not a pickle of proposals: {error}; expected a dict of "
            "'<video>,<timestamp>' to NumPy arrays and nothing else"
        ) from None


def _proposal_key(path: str, key) -> tuple[str, float]:
    if isinstance(key, str):
        video, comma, timestamp = key.rpartition(",")
        seconds = parse_number(timestamp)
        if comma and video and seconds is not None:
            return video, float(indexed_seconds(seconds))
    raise UserError(
        f"{path}: key {key!r}, expected '<video>,<timestamp>' such as "
        "'1j20qq1JyX4,0902'"
    )


def _proposal_array(path: str, key: str, value) -> np.ndarray:
    array = np.asarray(value)
    if array.size == 0:
        return np.zeros((0, 5))
    if array.ndim != 2 or array.shape[1] not in (4, 5) or array.dtype.kind not in "fiu":
        raise UserError(
            f"{path}: the value of {key!r} has shape {array.shape} and type "
            f"{array.dtype}, expected numbers of shape (N, 5) or (N, 4)"
        )
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise UserError(f"{path}: the value of {key!r} holds NaN or infinity")
    if array.shape[1] == 4:
        array = np.pad(array, ((0, 0), (0, 1)), constant_values=1.0)
    return array


def _proposals_of_table(table: BoxTable) -> dict[tuple[str, float], np.ndarray]:
    outside = np.flatnonzero((table.score < 0) | (table.score > 1))
    if len(outside):
        raise UserError(
            f"{table.path}, line {table.line[outside[0]]}: score "
            f"{table.score[outside[0]]:g}, expected 0 to 1 ({len(outside):,} such "
            "rows); proposals have the person's score in column 8"
        )
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
