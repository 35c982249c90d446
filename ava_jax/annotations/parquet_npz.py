"""Tables of boxes as Parquet and npz: the same numbers as CSV, a tenth of its size.

Both hold `video`, `timestamp`, `x1`, `y1`, `x2`, `y2`, `label` and `score`. In
Parquet `video` is text; in npz it indexes `videos`, which is the array of names.
"""

import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ava_jax.annotations.box_table import BoxTable
from ava_jax.errors import UserError

_CORNERS = ("x1", "y1", "x2", "y2")
_COLUMNS = ("video", "timestamp", *_CORNERS, "label", "score")
# What NumPy raises on files of another kind; TypeError: it read a single array.
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError)
_UNREADABLE += (zipfile.BadZipFile, zlib.error)


def read_parquet(path: str | os.PathLike) -> BoxTable:
    """Reads what `write_parquet` wrote.

    Raises:
      UserError: no such file, another kind of file, or numbers are missing.
    """
    from pyarrow import ArrowInvalid, parquet

    path = os.fspath(path)
    try:
        table = parquet.read_table(path)
        column = {name: table[name].combine_chunks() for name in _COLUMNS}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path") from None
    except (ArrowInvalid, KeyError, OSError) as error:
        raise _not_ours(path, error) from None
    if any(values.null_count for values in column.values()):
        raise _not_finite(path)
    video = column.pop("video").dictionary_encode()
    numbers = {
        name: values.to_numpy(zero_copy_only=False) for name, values in column.items()
    }
    numbers["video"] = video.indices.to_numpy()
    return _table(path, video.dictionary.to_pylist(), numbers)


def write_parquet(path: str | os.PathLike, table: BoxTable) -> None:
    """Writes a table with scores as Parquet."""
    write_parquet_tables(path, [table])


def write_parquet_tables(path: str | os.PathLike, tables: Iterable[BoxTable]) -> None:
    """Writes tables with scores one after the other; memory holds one at a time."""
    from pyarrow import parquet

    none = BoxTable.from_columns([], *np.zeros((3, 0)), score=[])
    with parquet.ParquetWriter(path, _arrow(none).schema) as writer:
        for table in tables:
            writer.write_table(_arrow(table))


def _arrow(table: BoxTable) -> Any:
    import pyarrow as pa

    video = pa.DictionaryArray.from_arrays(
        pa.array(table.video), pa.array(table.videos, pa.string())
    )
    numbers = [table.timestamp, *table.box.T, table.label, table.score]
    arrays = [video, *map(pa.array, numbers)]
    return pa.table(arrays, names=list(_COLUMNS))


def read_npz(path: str | os.PathLike) -> BoxTable:
    """Reads what `write_npz` wrote; nothing in the file is executed.

    Raises:
      UserError: no such file, another kind of file, or numbers are missing.
    """
    path = os.fspath(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            numbers = {name: file[name] for name in _COLUMNS}
            videos = file["videos"].tolist()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path") from None
    except _UNREADABLE as error:
        raise _not_ours(path, error) from None
    _check_columns(path, numbers, len(videos))
    return _table(path, videos, numbers)


def _check_columns(path: str, column: Mapping[str, np.ndarray], videos: int) -> None:
    video = column["video"]
    same = video.ndim == 1 and {x.shape for x in column.values()} == {video.shape}
    if not same or any(x.dtype.kind not in "iuf" for x in column.values()):
        raise _not_ours(path, "expected columns of numbers of one length")
    if len(video) and not 0 <= video.min() <= video.max() < videos:
        raise _not_ours(path, f"`video` is no index into the {videos} `videos`")


def write_npz(path: str | os.PathLike, table: BoxTable) -> None:
    """Writes a table with scores as compressed npz."""
    numbers = (table.video, table.timestamp, *table.box.T, table.label, table.score)
    with open(path, "wb") as file:  # given a name, NumPy would append .npz
        np.savez_compressed(
            file,
            videos=np.array(table.videos, str),
            **dict(zip(_COLUMNS, numbers, strict=True)),
        )


def _table(
    path: str, videos: Sequence[str], column: Mapping[str, np.ndarray]
) -> BoxTable:
    box = np.stack([column[name] for name in _CORNERS], axis=1)
    total = box.sum() + column["score"].sum() + column["timestamp"].sum()
    if not np.isfinite(total):
        raise _not_finite(path)
    return BoxTable.from_columns(
        videos,
        column["video"],
        column["timestamp"],
        box,
        label=column["label"],
        score=column["score"],
        path=path,
    )


def _not_ours(path: str, reason: object) -> UserError:
    return UserError(f"{path}: not a table that `write_detections` wrote ({reason})")


def _not_finite(path: str) -> UserError:
    return UserError(f"{path}: holds nulls, NaN or infinity, expected numbers")
