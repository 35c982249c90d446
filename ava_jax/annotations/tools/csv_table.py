"""Any CSV file of boxes: with or without a header, whatever separates the columns."""

import csv
import io
import math
import os
import re
from collections.abc import Mapping, Sequence

import numpy as np

from ava_jax.annotations.box_checks import in_pixels
from ava_jax.annotations.findings import Finding, listed
from ava_jax.annotations.text_files import is_gzip, parse_number, read_lines
from ava_jax.annotations.tools import columns, interpret, names
from ava_jax.annotations.tools.columns import CORNERS
from ava_jax.annotations.tools.fields import read_text
from ava_jax.annotations.tools.table import (
    FRACTIONS,
    PIXELS,
    KeyFrame,
    ToolBox,
    ToolTable,
    Video,
)
from ava_jax.errors import UserError

_SEPARATORS = (",", ";", "\t", "|")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{1,2}(?:[.,]\d+)?)")
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")


def read(path: str | os.PathLike, given: Mapping[str, str] | None = None) -> ToolTable:
    """The boxes of a CSV file.

    Without a header, and without `given`, the columns are AVA's.

    Args:
      path: of the file, gzipped or not.
      given: see `columns.roles_of`.

    Raises:
      UserError: it is not known which column is what, or a cell cannot be read.
    """
    path = os.fspath(path)
    text = "".join(read_lines(path)) if is_gzip(path) else read_text(path)
    separator = _separator(path, text)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    cells = [(rows.line_num, [c.strip() for c in row]) for row in rows if any(row)]
    header = _header(path, cells, given or {})
    roles = columns.roles_of(header, given or {}, path)
    reader = _Reader(path, roles, columns.box_roles(roles, header, path), separator)
    for line, row in cells:
        reader.add(line, row)
    return reader.table()


def _separator(path: str, text: str) -> str:
    """The mark that splits most lines into the same number of columns."""
    lines = [line for line in text.splitlines()[:200] if line.strip()]
    if not lines:
        raise UserError(
            f"{path}: found no rows, expected a row for each box; export it"
        )

    def quality(mark: str) -> tuple[float, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=mark)]
        common = max(set(counts), key=counts.count)
        # Decimal commas split lines, too, but no header.
        return (common >= 6) * counts.count(common), counts[0]

    return max(_SEPARATORS, key=quality)


def _header(path: str, cells: list, given: Mapping[str, str]) -> list[str]:
    """Names of the columns; takes the row of the header out of `cells`."""
    first = cells[0][1]
    is_header = all(_value(cell) is None for cell in first)
    if is_header:
        return cells.pop(0)[1]
    width = max(len(row) for _, row in cells)
    if given:
        return [str(i) for i in range(1, width + 1)]
    if width in (7, 8):
        return list(columns.AVA[:width])
    raise UserError(
        f"{path}, line {cells[0][0]}: found {width} columns without a header, expected "
        "one, or AVA's 7 or 8 columns; say which they are: --columns "
        "video=1,time=2,x1=3,y1=4,x2=5,y2=6,action=7"
    )


def _value(text: str) -> float | None:
    """A number, with a decimal point or comma."""
    if _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    return parse_number(text)


class _Reader:
    """Collects the boxes of rows."""

    def __init__(
        self, path: str, roles: dict[str, int], box: Sequence[str], separator: str
    ):
        self.path, self.roles, self.box = path, roles, box
        self._separator = separator
        self._boxes: list[ToolBox] = []
        self._key_frames: list[KeyFrame] = []
        self._videos: dict[str, Video] = {}

    def add(self, line: int, row: list[str]) -> None:
        """Adds a row."""
        least = max(self.roles[role] for role in ("video", *self.box)) + 1
        is_key_frame = len(row) == 2 and {"video", "time"} <= set(self.roles)
        if len(row) < least and not is_key_frame:
            raise UserError(
                f"{self.path}, line {line}: found {len(row)} columns, expected {least} "
                f"or more, separated by {self._separator!r}; complete the row"
            )
        cells = {role: row[i] for role, i in self.roles.items() if i < len(row)}
        if not cells["video"]:
            raise self._error(line, "video", "", "a name")
        video = names.video_name(cells["video"])
        time, frame = self._moment(line, cells)
        self._add_video(line, video, cells)
        empty = is_key_frame or not any(cells[role] for role in self.box)
        if empty:
            self._key_frames.append(KeyFrame(video, time, frame, f"line {line}"))
            return
        values = [self._number(line, cells, role) for role in self.box]
        action = cells.get("action", "")
        is_ignored = interpret.is_ignored(action)
        actions = [part.strip() for part in re.split(r"[;|]", action) if part.strip()]
        if is_ignored or (len(actions) == 1 and interpret.is_person(action)):
            actions = []
        person = cells.get("person", "")
        number = _value(person)
        if number is not None and number == int(number):
            person = str(int(number)) if number >= 0 else ""
        self._boxes.append(
            ToolBox(
                video,
                _corners(self.box, values),
                tuple(actions),
                time,
                frame,
                person,
                f"line {line}",
                is_ignored=is_ignored,
            )
        )

    def _moment(self, line: int, cells: Mapping[str, str]):
        """Seconds and number of a row's frame; one of them is None."""
        if text := cells.get("time", ""):
            seconds = _value(text)
            if match := _CLOCK.fullmatch(text):
                hours, minutes, rest = match.groups()
                seconds = 3600 * int(hours or 0) + 60 * int(minutes) + _value(rest)
            if seconds is None:
                expected = "seconds, or a time as 00:01:30"
                raise self._error(line, "time", text, expected)
            return seconds, None
        number = self._number(line, cells, "frame")
        if number != int(number):
            raise self._error(line, "frame", cells["frame"], "a whole number")
        return None, int(number)

    def _number(self, line: int, cells: Mapping[str, str], role: str) -> float:
        text = cells.get(role, "")
        value = _value(text)
        if value is None or not math.isfinite(value):
            raise self._error(line, role, text, "a number")
        return value

    def _error(self, line: int, role: str, text: str, expected: str) -> UserError:
        found = f"{text!r:.60}" if text else "nothing"
        return UserError(
            f"{self.path}, line {line}, {role} (column {self.roles.get(role, 0) + 1}): "
            f"found {found}, expected {expected}; correct it, or say which column it "
            f"is: --columns {role}=..."
        )

    def _add_video(self, line: int, video: str, cells: Mapping[str, str]) -> None:
        numbers = {
            role: self._number(line, cells, role)
            for role in ("fps", "width", "height")
            if cells.get(role)
        }
        found = Video(
            numbers.get("fps", 0),
            int(numbers.get("width", 0)),
            int(numbers.get("height", 0)),
        )
        self._videos[video] = self._videos.get(video, Video()).filled(found)

    def table(self) -> ToolTable:
        """All that was added."""
        array = np.array([box.box for box in self._boxes]).reshape(-1, 4)
        is_pixels = in_pixels(array)
        unit = PIXELS if is_pixels.any() else FRACTIONS
        small = (np.abs(array) <= 1).all(axis=1)
        if unit == PIXELS and small.any():
            one = self._boxes[int(np.argmax(small))]
            other = self._boxes[int(np.argmax(is_pixels))]
            raise UserError(
                f"{self.path}, {one.place}: found a box in fractions of the frame, "
                f"expected pixels, as in {other.place}; write all boxes in one unit"
            )
        return ToolTable(
            path=self.path,
            tool="CSV",
            boxes=tuple(self._boxes),
            key_frames=tuple(self._key_frames),
            videos=self._videos,
            unit=unit,
            first_frame=None,
            notes=tuple(_in_pixels(self.path, array) if unit == PIXELS else ()),
        )


def _in_pixels(path: str, box: np.ndarray) -> list[Finding]:
    first = " ".join(f"{value:g}" for value in box[0])
    return listed(
        "boxes in pixels",
        [path],
        f"The first is {first}. Fractions of the frame are made of them.",
        "",
        count=len(box),
        is_problem=False,
    )


def _corners(roles: Sequence[str], values: Sequence[float]):
    a, b, c, d = values
    if tuple(roles) == CORNERS:
        return a, b, c, d
    if roles[0] == "cx":
        return a - c / 2, b - d / 2, a + c / 2, b + d / 2
    return a, b, a + c, b + d
