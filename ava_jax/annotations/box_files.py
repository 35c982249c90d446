"""Files of boxes: reading ground truth and detections, writing detections."""

import dataclasses
import functools
import gzip
import os
from collections.abc import Iterator

import numpy as np

from ava_jax import files
from ava_jax.annotations import parquet_npz
from ava_jax.annotations.box_table import BoxTable
from ava_jax.annotations.coco import read_json_detections
from ava_jax.annotations.csv_reader import read_csv
from ava_jax.annotations.findings import raise_problems
from ava_jax.annotations.result_pickles import read_result_pickle
from ava_jax.annotations.text_files import read_pickled

KINDS = ("ground_truth", "detections")
# Readers and writers of what is not text, by the end of the file's name.
_BINARY = {
    ".parquet": (parquet_npz.read_parquet, parquet_npz.write_parquet),
    ".npz": (parquet_npz.read_npz, parquet_npz.write_npz),
}


def read_boxes(
    path: str | os.PathLike,
    *,
    kind: str = "ground_truth",
    lenient: bool = False,
    index: str | os.PathLike | None = None,
    first_label: int = 1,
) -> BoxTable:
    """Reads a file of boxes: CSV, Parquet or npz, or others' results.

    Rows are `video,timestamp,x1,y1,x2,y2,label[,last]`, where `last` is the
    person id in ground truth and the score in detections, or
    `video,timestamp` for a key frame without boxes. A header is recognised;
    a last column that it calls neither a person nor a score is ignored. An
    empty label is label 0, an empty person id -1; detections without an
    eighth column have score NaN.

    Detections may also be pickles of MMAction2 1.x and PySlowFast, and COCO's JSON.

    Args:
      path: the file; gzip is recognised by content, the binary kinds by
        `.parquet` and `.npz`.
      kind: 'ground_truth' or 'detections'.
      lenient: leave out rows that cannot be read, and report them in
        `problems`, instead of raising.
      index: what the numbers of videos or images in results of others mean; see
        `result_pickles.read_result_pickle` and `coco.read_json_detections`.
      first_label: the lowest action id of the data: 1, or 0 as in MultiSports. Ids that
        count from 0 are one higher here, where 0 stands for no action. Of MMAction2's
        results for such data, a box has the class of its highest score alone.

    Returns:
      The rows that hold a box, in the order of the file.

    Raises:
      UserError: no such file, or rows that cannot be read: wrong number of
        columns, fields that are not numbers, NaN.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, expected one of {KINDS}")
    path = os.fspath(path)
    read, _ = _BINARY.get(os.path.splitext(path)[1], (None, None))
    if read:
        table = _counted_from(first_label, read(path))
    elif kind == "detections" and path.endswith(".json"):
        table = read_json_detections(path, index, first_label)
    elif kind == "detections" and (pickled := read_pickled(path)):
        table = read_result_pickle(path, pickled, index, first_label)
    else:
        table = read_csv(path, kind, first_label)
    if not lenient:
        raise_problems(table.problems)
    return table


def _counted_from(first_label: int, table: BoxTable) -> BoxTable:
    """The table of a file whose action ids count from `first_label`."""
    return dataclasses.replace(table, label=table.label + 1 - first_label)


def write_detections(path: str | os.PathLike, table: BoxTable) -> None:
    """Writes detections as AVA's CSV of eight columns, as Parquet or as npz.

    Whole seconds are written as `%04d` (what the challenge's evaluator makes
    of them), others with up to six decimals. Boxes and scores have up to nine
    significant digits, which hold any float32 exactly: the file scores as the
    table does. Rounding scores to three or four decimals, as MMAction2 does,
    makes ties, and ties make the mAP depend on the order of the rows. Parquet
    (`.parquet`) and npz (`.npz`) hold the numbers as they are.

    The file appears whole or not at all: it is written beside and renamed.

    Args:
      path: file to write; `.gz` compresses, `.parquet` and `.npz` choose the kind.
      table: rows with scores; a row without a label gets an empty one, as in
        PySlowFast's files of person boxes.

    Raises:
      UserError: the file cannot be written.
    """
    path = os.fspath(path)
    if np.isnan(table.score).any():
        raise ValueError("detections without a score cannot be written")
    _, write = _BINARY.get(os.path.splitext(path)[1], (None, _write_csv))
    with files.beside(path) as partial:
        write(os.fspath(partial), table)


def _write_csv(partial: str, table: BoxTable) -> None:
    # Measured: a fourteenth of the default level's time, a seventh more bytes.
    opener = functools.partial(gzip.open, compresslevel=3)
    opener = opener if partial.endswith(".gz.partial") else open
    with opener(partial, "wt", encoding="utf-8", newline="") as file:
        file.writelines(csv_blocks(table))


def csv_blocks(table: BoxTable, rows: int = 100_000) -> Iterator[str]:
    """The lines of a CSV file of detections, many at a time."""
    names = np.array(list(map(quoted, table.videos)), object)
    row = "%s,%s,%.9g,%.9g,%.9g,%.9g,%s,%.9g\n"
    for start in range(0, len(table), rows):
        part = slice(start, start + rows)
        yield "".join(
            row % (video, seconds_text(seconds), *box, label or "", score)
            for video, seconds, box, label, score in zip(
                names[table.video[part]],
                table.timestamp[part].tolist(),
                table.box[part].tolist(),
                table.label[part].tolist(),
                table.score[part].tolist(),
                strict=True,
            )
        )


def quoted(name: str) -> str:
    """A name as a field of CSV."""
    if not any(mark in name for mark in ',"'):
        return name
    return '"' + name.replace('"', '""') + '"'


def seconds_text(seconds: float) -> str:
    """A timestamp as AVA writes it, with decimals only where there are any."""
    if seconds == int(seconds):
        return f"{int(seconds):04d}"
    return f"{seconds:.6f}".rstrip("0")
