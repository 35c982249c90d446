"""Reader of CSV files of boxes.

pyarrow splits the rows into columns of text and converts these, millions of rows a
second, each number correctly rounded as `float()` does. Rows of another width than
most, rows with quotes and rows that cannot be converted are split again, with care;
those that still cannot be converted are named.
"""

import collections
import dataclasses
import functools
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ava_jax.annotations.box_table import NO_ENTITY, NO_LABEL, ROW_COLUMNS, BoxTable
from ava_jax.annotations.findings import Finding, listed
from ava_jax.annotations.text_files import (
    is_gzip,
    parse_number,
    read_lines,
    read_rows,
    split_row,
)

_SNIFFED_ROWS = 1000
_WIDTHS = (2, 7, 8)
_CORNERS = ("x1", "y1", "x2", "y2")
_QUOTED = re.compile(r'\s*"[^"]*"\s*')
_LARGEST_ID = 2**31 - 1


def read_csv(path: str, kind: str, first_label: int = 1) -> BoxTable:
    """Reads a CSV file of boxes; rows that cannot be read are its `problems`.

    Args:
      path: the file, gzipped or not.
      kind: 'ground_truth' or 'detections'.
      first_label: see `read_boxes`.

    Raises:
      UserError: no such file, or not a text file.
    """
    import pyarrow as pa

    layout = _sniff(path, kind, first_label)
    if layout is None:
        return BoxTable.from_columns([], [], [], [], path=path)
    compression = "gzip" if is_gzip(path) else None
    try:
        with pa.input_stream(path, compression=compression) as file:
            return _read(file, path, layout, block_size=1 << 22)
    except (pa.ArrowInvalid, OSError):
        # It is damaged, which `read_lines` reports, or not UTF-8, which it replaces.
        content = "".join(read_lines(path)).encode()
        size = min(len(content), 1 << 30)
        return _read(io.BytesIO(content), path, layout, block_size=size)


@dataclasses.dataclass(frozen=True)
class _Layout:
    """What the first lines of a CSV file say about all of it."""

    columns: int  # of most rows with a box: 7 or 8
    header: int  # its line; 0: there is none
    last: str  # what the eighth column is: 'entity', 'score', or '' for nothing known
    first_label: int  # the lowest action id that the file may have


def _sniff(path: str, kind: str, first_label: int) -> _Layout | None:
    """None: the file has no rows."""
    rows = list(itertools.islice(read_rows(path), _SNIFFED_ROWS))
    header, names = rows.pop(0) if rows and _is_header(rows[0][1]) else (0, [])
    if not rows:
        return None
    name = names[7].lower() if len(names) == 8 else ""
    is_known = not name or re.search("person|entity|track|score|confidence", name)
    last = "entity" if kind == "ground_truth" else "score"
    counts = collections.Counter(len(fields) for _, fields in rows)
    columns = 7 if counts[7] > counts[8] else 8
    return _Layout(columns, header, last if is_known else "", first_label)


def _is_header(fields: list[str]) -> bool:
    """Whether there are names where timestamp and corners would be numbers."""
    names = fields[1:6]
    return len(fields) in _WIDTHS and all(
        name and parse_number(name) is None and name.lower() != "nan" for name in names
    )


def _read(file, path: str, layout: _Layout, block_size: int) -> BoxTable:
    """The table of an open file; no line may be longer than a block."""
    codes: dict[str, int] = {}
    others: list[tuple[int, str]] = []  # line and text of rows of other widths
    parts, texts, regular = [], [], [np.zeros(0, bool)]
    for batch in _batches(file, layout, block_size, others):
        columns, is_regular = _convert(batch, layout, codes, _unquoted)
        parts.append(columns)
        texts += _texts(batch, ~is_regular)
        regular.append(is_regular)
    regular = np.concatenate(regular)
    # Each line became a row or is among the others.
    end = layout.header + 1 + len(regular) + len(others)
    line = np.arange(layout.header + 1, end, dtype=np.int32)
    line = np.setdiff1d(line, [number for number, _ in others], assume_unique=True)
    tables = []
    if parts:
        names = list(parts[0])
        columns = {
            name: np.concatenate([part[name] for part in parts]) for name in names
        }
        tables = [BoxTable.from_columns((), **columns, line=line[regular])]
    rest = sorted([*zip(line[~regular].tolist(), texts, strict=True), *others])
    more, keyframes, bad = _convert_rest(rest, layout, codes)
    return dataclasses.replace(
        _in_file_order([*tables, *more]),
        videos=tuple(codes),
        path=path,
        problems=tuple(_problems(bad, layout.last, path)),
        **keyframes,
    )


def _batches(file, layout: _Layout, block_size: int, others: list) -> Iterator[Any]:
    """Record batches of text; puts (line, text) of rows of other widths in `others`."""
    import pyarrow as pa
    from pyarrow import csv

    def skip(row):
        others.append((row.number, row.text))
        return "skip"

    names = [str(i) for i in range(layout.columns)]
    few, many = pa.dictionary(pa.int32(), pa.string()), pa.string()
    types = [few, few, *[many] * (layout.columns - 2)]
    reader = csv.open_csv(
        file,
        read_options=csv.ReadOptions(
            column_names=names,
            skip_rows=layout.header,
            block_size=block_size,
            use_threads=False,  # line numbers exist in this mode alone
        ),
        # Quotes are left to `split_row`, for which one that is never closed ends with
        # its line.
        parse_options=csv.ParseOptions(
            quote_char=False, ignore_empty_lines=False, invalid_row_handler=skip
        ),
        convert_options=csv.ConvertOptions(
            column_types=dict(zip(names, types, strict=True)),
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    with reader:
        yield from reader


def _texts(batch, rows: np.ndarray) -> list[str]:
    """The text of some rows, as it is in the file."""
    columns = batch.filter(rows).to_pydict().values() if rows.any() else ()
    return [",".join(cell or "" for cell in row) for row in zip(*columns, strict=True)]


def _convert(
    batch, layout: _Layout, codes: dict[str, int], unquote: Callable[[str], str]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Converts text to numbers.

    Args:
      batch: R rows of text: 2, 7 or 8 columns.
      layout: what the columns are.
      codes: number of each video; new ones are added.
      unquote: gives the name or time that a text is; '' for none.

    Returns:
      Columns of a `BoxTable`, of the rows that could be converted, and (R,) bool:
      which these are.
    """
    video, names = _values(batch[0], unquote)
    second, times = _values(batch[1], unquote)
    seconds, digits = np.array([_timestamp(text) for text in times]).T
    timestamp = seconds[second]
    columns = {"timestamp": timestamp, "digits": digits.astype(np.int8)[second]}
    good = np.array([bool(name) for name in names])[video] & np.isfinite(timestamp)
    if batch.num_columns > 2:
        corners = [_numbers(column) for column in batch.columns[2:6]]
        for values in corners:
            good &= np.isfinite(values)
        columns["box"] = np.stack(corners, axis=1)
        higher = 1 - layout.first_label
        columns["label"] = _numbers(batch[6], empty=NO_LABEL - higher) + higher
        good &= _is_id(columns["label"])
    last = layout.last
    if batch.num_columns == 8 and last:
        values = _numbers(batch[7], empty=NO_ENTITY if last == "entity" else np.nan)
        good &= _is_id(values) if last == "entity" else np.isfinite(values)
        columns[last] = values

    if not good.all():
        columns = {name: values[good] for name, values in columns.items()}
        video = video[good]
    code = np.zeros(len(names), np.int32)
    for i in np.flatnonzero(np.bincount(video, minlength=len(names))).tolist():
        code[i] = codes.setdefault(names[i], len(codes))
    columns["video"] = code[video]
    return columns, good


def _values(column, unquote: Callable[[str], str]) -> tuple[np.ndarray, list[str]]:
    """(R,) places of the values of a column in a list of them; the last is ''."""
    values = [unquote(text) for text in column.dictionary.to_pylist()]
    return column.indices.fill_null(len(values)).to_numpy(), [*values, ""]


# The same names and times are in many blocks of the file.
@functools.lru_cache(1 << 16)
def _unquoted(text: str) -> str:
    """The field that a text between two commas is; '' where it may be a part of one."""
    return "" if '"' in text and not _QUOTED.fullmatch(text) else split_row(text)[0]


@functools.lru_cache(1 << 16)
def _timestamp(text: str) -> tuple[float, int]:
    """Seconds, NaN where the text is none, and how many digits they have."""
    return _or_nan(parse_number(text)), len(text.partition(".")[0])


def _numbers(column, empty: float = np.nan) -> np.ndarray:
    """(R,) float64: the numbers of a column of text; NaN where there is none."""
    import pyarrow as pa

    try:
        numbers = column.cast(pa.float64())
    except pa.ArrowInvalid:
        # `float()` also takes spaces around a number.
        texts = column.to_pylist()
        numbers = [text and _or_nan(parse_number(text)) for text in texts]
        numbers = pa.array(numbers, pa.float64())
    if numbers.null_count:
        numbers = numbers.fill_null(empty)
    return numbers.to_numpy()


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _is_id(values: np.ndarray) -> np.ndarray:
    # Tables that pandas wrote hold '12.0' once a value of the column is missing.
    return (np.abs(values) <= _LARGEST_ID) & (values == np.rint(values))


def _convert_rest(
    rest: Iterable[tuple[int, str]], layout: _Layout, codes: dict[str, int]
) -> tuple[list[BoxTable], dict[str, np.ndarray], list[tuple[int, list[str]]]]:
    """Converts rows that have another width than most, or quotes.

    Args:
      rest: line and text.
      layout: see `_convert`.
      codes: see `_convert`.

    Returns:
      Tables, columns of key frames without a box, and (line, fields) of bad rows.
    """
    by_width = collections.defaultdict(list)
    for line, text in rest:
        fields = split_row(text)
        if any(fields):
            by_width[len(fields)].append((line, fields))
    tables, keyframes, bad = [], {}, []
    for width, rows in by_width.items():
        if width not in _WIDTHS:
            bad += rows
            continue
        batch = _batch([fields for _, fields in rows])
        columns, good = _convert(batch, layout, codes, str)
        bad += [rows[i] for i in np.flatnonzero(~good)]
        if width == 2:
            keyframes["keyframe_video"] = columns["video"]
            keyframes["keyframe_timestamp"] = columns["timestamp"]
        else:
            line = np.array([line for line, _ in rows])[good]
            tables.append(BoxTable.from_columns((), **columns, line=line))
    return tables, keyframes, sorted(bad)


def _batch(rows: Sequence[Sequence[str]]):
    """Fields that are split already, as `_batches` gives them."""
    import pyarrow as pa

    columns = [pa.array([cell or None for cell in column]) for column in zip(*rows)]
    columns = [column.cast(pa.string()) for column in columns]
    few = [column.dictionary_encode() for column in columns[:2]]
    columns = [*few, *columns[2:]]
    return pa.RecordBatch.from_arrays(columns, [str(i) for i in range(len(columns))])


def _in_file_order(tables: Sequence[BoxTable]) -> BoxTable:
    """The rows of all tables in the order of their lines."""
    if not tables:
        return BoxTable.from_columns((), (), (), ())
    if len(tables) == 1:
        return tables[0]
    order = np.argsort(np.concatenate([table.line for table in tables]), kind="stable")
    columns = {
        name: np.concatenate([getattr(table, name) for table in tables])[order]
        for name in ROW_COLUMNS
    }
    return dataclasses.replace(tables[0], **columns)


def _problems(
    bad: Iterable[tuple[int, list[str]]], last: str, path: str
) -> Iterator[Finding]:
    """One finding for each kind of mistake in (line, fields) of bad rows."""
    kinds = collections.defaultdict(list)
    for line, fields in bad:
        name, message = _mistake(fields, last)
        kinds[name].append((line, message))
    for name, found in kinds.items():
        yield from listed(
            f"rows that cannot be read ({name})",
            [f"{path}:{line}" for line, _ in found],
            f"The first: {found[0][1]}.",
            "Correct these rows, or delete them. ava-jax prepare import reads "
            "other columns, names for ids and times as 00:01:30.",
        )


def _mistake(fields: list[str], last: str) -> tuple[str, str]:
    """What is wrong with a row, and what was found and expected."""
    if len(fields) not in _WIDTHS:
        other = next((mark for mark in ";\t|" if fields[0].count(mark) > 1), "")
        found = f"columns between {other!r}" if other else f"{len(fields)} columns"
        return (
            "wrong number of columns",
            f"{found}, expected video,timestamp,x1,y1,x2,y2,label "
            "and at most one more, or video,timestamp alone",
        )
    if not fields[0]:
        return "no video", "the video's name is empty"
    numbers = [("timestamp", "seconds, such as 0902 or 17.5")]
    numbers += [(name, "a fraction of the frame, 0 to 1") for name in _CORNERS]
    for (name, expected), text in zip(numbers, fields[1:6]):
        if parse_number(text) is None:
            return f"{name} is no number", f"{name} is {text!r}, expected {expected}"
    label = _or_nan(parse_number(fields[6])) if fields[6] else NO_LABEL
    if not _is_id(label):
        expected = "an action id or nothing"
        return "label is no id", f"label is {fields[6]!r}, expected {expected}"
    if last == "score":
        expected = "a number, 0 to 1"
        return "score is no number", f"score is {fields[7]!r}, expected {expected}"
    expected = "a person id (detections, whose eighth column is a score, are not "
    expected += "ground truth)"
    return "person id is no id", f"person id is {fields[7]!r}, expected {expected}"
