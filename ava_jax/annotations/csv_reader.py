"""Readers of CSV files of boxes: one for regular files, one for all.

pyarrow parses regular files, millions of rows a second, each number correctly
rounded as `float()` does; TFDS needs it too. Whatever it stumbles over is left
to a plain parser, eight times slower, that can say what is wrong with a row.
"""

import collections
import dataclasses
import itertools
import re
from collections.abc import Iterable

import numpy as np

from ava_jax.annotations.box_table import NO_ENTITY, NO_LABEL, BoxTable
from ava_jax.annotations.findings import listed
from ava_jax.annotations.text_files import is_gzip, parse_number, read_rows, split_row

_SNIFFED_ROWS = 1000


def read_csv(path: str, kind: str) -> BoxTable:
    """Reads a CSV file of boxes; rows that cannot be read are its `problems`.

    Args:
      path: the file, gzipped or not.
      kind: 'ground_truth' or 'detections'.

    Raises:
      UserError: no such file, or not a text file.
    """
    try:
        return _read_regular(path, kind)
    except _Irregular:
        return _read_any(path, kind)


class _Irregular(Exception):
    """The file needs the plain parser."""


@dataclasses.dataclass(frozen=True)
class _Layout:
    """What the first lines of a CSV file tell about all of it."""

    columns: int  # of most rows
    has_header: bool
    has_last: bool  # the eighth column is a person id or a score


def _sniff(path: str) -> _Layout:
    rows = [fields for _, fields in itertools.islice(read_rows(path), _SNIFFED_ROWS)]
    has_header = bool(rows) and _is_header(rows[0])
    header = rows.pop(0) if has_header else []
    name = header[7].lower() if len(header) == 8 else ""
    named = re.search("person|entity|track|score|confidence", name)
    counts = collections.Counter(len(fields) for fields in rows)
    columns = counts.most_common(1)[0][0] if counts else 0
    return _Layout(columns, has_header, has_last=not name or bool(named))


def _is_header(fields: list[str]) -> bool:
    """Whether there are names where timestamp and corners would be numbers."""
    names = fields[1:6]
    return len(fields) in (2, 7, 8) and all(
        name and parse_number(name) is None and name.lower() != "nan" for name in names
    )


def _read_regular(path: str, kind: str) -> BoxTable:
    layout = _sniff(path)
    if layout.columns not in (7, 8):
        raise _Irregular
    columns, lines, odd = _arrow_columns(path, kind, layout)
    table = _assemble(path, kind, layout, columns, lines)
    if not odd:
        return table
    rows = ((line, split_row(text)) for line, text in odd)
    rows = ((line, fields) for line, fields in rows if any(fields))
    return _merge(table, _parse_rows(path, kind, layout, rows))


def _arrow_columns(path: str, kind: str, layout: _Layout):
    """Columns, their line numbers, and (line, text) of rows of other widths."""
    import pyarrow as pa
    from pyarrow import csv

    odd = []

    def skip(row):
        odd.append((row.number, row.text))
        return "skip"

    text = pa.dictionary(pa.int32(), pa.string())
    last = pa.int32() if kind == "ground_truth" else pa.float64()
    types = [text, text, *[pa.float64()] * 4, pa.int32()]
    types += [last if layout.has_last else pa.string()] * (layout.columns == 8)
    names = [str(i) for i in range(layout.columns)]
    compression = "gzip" if is_gzip(path) else None
    try:
        with pa.input_stream(path, compression=compression) as file:
            table = csv.read_csv(
                file,
                read_options=csv.ReadOptions(
                    column_names=names,
                    skip_rows=int(layout.has_header),
                    block_size=1 << 22,
                    use_threads=False,  # line numbers exist in this mode alone
                ),
                parse_options=csv.ParseOptions(
                    invalid_row_handler=skip, ignore_empty_lines=False
                ),
                convert_options=csv.ConvertOptions(
                    column_types=dict(zip(names, types, strict=True)),
                    null_values=[""],
                ),
            )
    except (pa.ArrowInvalid, OSError):
        raise _Irregular from None
    if not len(table):
        raise _Irregular
    columns = [column.chunk(0) for column in table.combine_chunks().columns]
    first = 1 + layout.has_header
    lines = np.arange(first, first + len(table) + len(odd), dtype=np.int32)
    lines = np.setdiff1d(lines, [line for line, _ in odd], assume_unique=True)
    # A blank line comes as a row of nulls.
    filled = columns[0].is_valid().to_numpy(zero_copy_only=False)
    if not filled.all():
        rows = np.flatnonzero(filled)
        blank = np.flatnonzero(~filled)
        if any(column.take(blank).null_count < len(blank) for column in columns):
            raise _Irregular  # the name of the video alone is missing
        columns, lines = [column.take(rows) for column in columns], lines[rows]
    return columns, lines, odd


def _assemble(path, kind, layout, columns, lines) -> BoxTable:
    if any(column.null_count for column in columns[:6]):
        raise _Irregular
    video, names = _codes(columns[0])
    second, texts = _codes(columns[1])
    seconds = [parse_number(text) for text in texts]
    box = np.stack([column.to_numpy() for column in columns[2:6]], axis=1)
    if None in seconds or not np.isfinite(box.sum()):
        raise _Irregular
    last = {}
    if layout.columns == 8 and layout.has_last:
        if kind == "ground_truth":
            last["entity"] = columns[7].fill_null(NO_ENTITY).to_numpy()
        else:
            last["score"] = columns[7].to_numpy(zero_copy_only=False)
            if not np.isfinite(last["score"].sum()):
                raise _Irregular
    return BoxTable.from_columns(
        names,
        video,
        np.array(seconds)[second],
        box,
        label=columns[6].fill_null(NO_LABEL).to_numpy(),
        line=lines,
        digits=np.array([_digits(text) for text in texts])[second],
        path=path,
        **last,
    )


def _codes(column) -> tuple[np.ndarray, list[str]]:
    """Indices and values of a dictionary column without nulls."""
    values = column.dictionary.to_pylist()
    if any(value != value.strip() for value in values):
        raise _Irregular
    return column.indices.to_numpy(), values


def _merge(table: BoxTable, other: BoxTable) -> BoxTable:
    """Both tables' rows in order of their lines."""
    place = {name: i for i, name in enumerate(table.videos)}
    for name in other.videos:
        place.setdefault(name, len(place))
    code = np.array([place[name] for name in other.videos], np.int32)
    order = np.argsort(np.concatenate([table.line, other.line]), kind="stable")

    def rows(name):
        return np.concatenate([getattr(table, name), getattr(other, name)])[order]

    columns = ("timestamp", "box", "label", "entity", "score", "line", "digits")
    return dataclasses.replace(
        table,
        **{name: rows(name) for name in columns},
        video=np.concatenate([table.video, code[other.video]])[order],
        videos=tuple(place),
        keyframe_video=code[other.keyframe_video],
        keyframe_timestamp=other.keyframe_timestamp,
        problems=table.problems + other.problems,
    )


def _read_any(path: str, kind: str) -> BoxTable:
    """The slow reader, which names every kind of row that it cannot use."""
    layout = _sniff(path)
    rows = read_rows(path)
    if layout.has_header:
        next(rows)
    return _parse_rows(path, kind, layout, rows)


class _BadRow(Exception):
    """(name of the problem, what was found and expected)."""


def _parse_rows(
    path: str, kind: str, layout: _Layout, rows: Iterable[tuple[int, list[str]]]
) -> BoxTable:
    codes: dict[str, int] = {}
    keyframes, bad = [], {}

    def numbers():
        for line, fields in rows:
            try:
                video, seconds, rest = _parse_row(fields, kind, layout)
            except _BadRow as error:
                name, message = error.args
                bad.setdefault(name, []).append((line, message))
                continue
            code = codes.setdefault(video, len(codes))
            if rest is None:
                keyframes.append((code, seconds))
            else:
                yield code, seconds, *rest, line, _digits(fields[1])

    # Columns: video, timestamp, box (4), label, entity, score, line, digits.
    table = np.fromiter(numbers(), np.dtype((np.float64, 11)))
    keyframes = np.array(keyframes, np.float64).reshape(-1, 2)
    return BoxTable.from_columns(
        tuple(codes),
        table[:, 0],
        table[:, 1],
        table[:, 2:6],
        label=table[:, 6],
        entity=table[:, 7],
        score=table[:, 8],
        line=table[:, 9],
        digits=table[:, 10],
        keyframe_video=keyframes[:, 0],
        keyframe_timestamp=keyframes[:, 1],
        path=path,
        problems=tuple(
            finding
            for name, found in bad.items()
            for finding in listed(
                f"rows that cannot be read ({name})",
                [f"{path}:{line}" for line, _ in found],
                f"The first: {found[0][1]}.",
                "Correct these rows, or delete them.",
            )
        ),
    )


def _parse_row(fields: list[str], kind: str, layout: _Layout):
    """(video, seconds, None or (x1, y1, x2, y2, label, entity, score))."""
    if len(fields) not in (2, 7, 8):
        raise _BadRow(
            "wrong number of columns",
            f"{len(fields)} columns, expected video,timestamp,x1,y1,x2,y2,label "
            "and at most one more, or video,timestamp alone",
        )
    if not fields[0]:
        raise _BadRow("no video", "the video's name is empty")
    seconds = _field(fields[1], "timestamp", "seconds, such as 0902 or 17.5")
    if len(fields) == 2:
        return fields[0], seconds, None
    names = ("x1", "y1", "x2", "y2")
    box = [
        _field(text, name, "a fraction of the frame, 0 to 1")
        for text, name in zip(fields[2:6], names, strict=True)
    ]
    label = _integer(fields[6], NO_LABEL, "label", "an action id or nothing")
    entity, score = NO_ENTITY, np.nan
    if len(fields) == 8 and layout.has_last:
        if kind == "ground_truth":
            expected = "a person id (detections, whose eighth column is a score, "
            expected += "are not ground truth)"
            entity = _integer(fields[7], NO_ENTITY, "person id", expected)
        else:
            score = _field(fields[7], "score", "a number, 0 to 1")
    return fields[0], seconds, (*box, label, entity, score)


def _field(text: str, name: str, expected: str) -> float:
    value = parse_number(text)
    if value is None:
        raise _BadRow(
            f"{name} is no number", f"{name} is {text!r}, expected {expected}"
        )
    return value


def _integer(text: str, empty: int, name: str, expected: str) -> int:
    if not text:
        return empty
    value = parse_number(text)
    # Tables that pandas wrote hold '12.0' once a value of the column is missing.
    if value is None or value % 1 or abs(value) >= 2**31:
        raise _BadRow(f"{name} is no id", f"{name} is {text!r}, expected {expected}")
    return int(value)


def _digits(text: str) -> int:
    return len(text.partition(".")[0])
