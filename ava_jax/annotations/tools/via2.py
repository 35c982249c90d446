"""VIA 2's projects and annotations (JSON), and its CSV: boxes on pictures."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ava_jax.annotations.tools import fields, interpret, names
from ava_jax.annotations.tools.fields import Node
from ava_jax.annotations.tools.table import KeyFrame, ToolBox, ToolTable
from ava_jax.errors import UserError

COLUMNS = ("filename", "file_size", "file_attributes", "region_count", "region_id")
COLUMNS += ("region_shape_attributes", "region_attributes")


def read_json(path: str | os.PathLike, attributes: Sequence[str] = ()) -> ToolTable:
    """The boxes of a project, or of the annotations exported as JSON.

    Args:
      path: of the file.
      attributes: see `interpret.Interpreter`.

    Raises:
      UserError: a value in it is missing or wrong.
    """
    root = fields.read(path)
    declared = root["_via_attributes"]["region"] if "_via_attributes" in root else None
    is_project = "_via_img_metadata" in root
    pictures = root["_via_img_metadata"] if is_project else root
    reader = _Reader(root.path, declared, attributes)
    for _, picture in pictures.items():
        regions = picture["regions"]
        is_old = isinstance(regions.value, Mapping)  # VIA 1
        every = [region for _, region in regions.items()] if is_old else regions.list()
        every = list(every)
        for region in every:
            shape, values = region["shape_attributes"], region["region_attributes"]
            reader.add(picture["filename"], shape, values)
        if not every:
            reader.add_empty(picture["filename"])
    return reader.table("VIA 2 (JSON)")


def read_csv(path: str | os.PathLike, attributes: Sequence[str] = ()) -> ToolTable:
    """The boxes of annotations exported as CSV.

    Args:
      path: of the file.
      attributes: see `interpret.Interpreter`.

    Raises:
      UserError: a row of it cannot be read.
    """
    path = os.fspath(path)
    rows = csv.reader(io.StringIO(fields.read_text(path)))
    header = [name.strip("# ") for name in next(rows)]
    reader = _Reader(path, None, attributes)
    for row in rows:
        place = f"line {rows.line_num}"
        if not row:
            continue
        if len(row) != len(header):
            raise UserError(
                f"{path}, {place}: found {len(row)} columns, expected {len(header)}: "
                f"{', '.join(header)}; export it again"
            )
        cells = dict(zip(header, row, strict=True))
        name = Node(cells["filename"], path, f"{place}, filename")
        shape, values = (
            fields.parse(path, cells[column] or "{}", f"{place}, {column}")
            for column in COLUMNS[-2:]
        )
        shape.place = f"{place}, {COLUMNS[-2]}"
        values.place = f"{place}, {COLUMNS[-1]}"
        if shape.object():
            reader.add(name, shape, values)
        else:
            reader.add_empty(name)
    return reader.table("VIA 2 (CSV)")


class _Reader:
    """Collects the boxes of pictures."""

    def __init__(self, path: str, declared: Node | None, attributes: Sequence[str]):
        self.path = path
        self._declared = dict(declared.items()) if declared else {}
        self._interpreter = interpret.Interpreter(attributes)
        self._boxes: list[ToolBox] = []
        self._key_frames: list[KeyFrame] = []
        self._shapes: list[tuple[str, str]] = []

    def add(self, name: Node, shape: Node, values: Node) -> None:
        """Adds a region of a picture."""
        video, number = _moment(name)
        kind = shape["name"].text()
        if kind != "rect":
            self._shapes.append((shape.place, kind))
            return
        x, y = shape["x"].number(), shape["y"].number()
        box = x, y, x + shape["width"].number(), y + shape["height"].number()
        named = {key: self._value(key, node) for key, node in values.items()}
        actions, person = self._interpreter.read("", named, values.place)
        self._boxes.append(
            ToolBox(video, box, actions, None, number, person or "", shape.place)
        )

    def add_empty(self, name: Node) -> None:
        """Adds a picture without a region."""
        video, number = _moment(name)
        self._key_frames.append(KeyFrame(video, None, number, name.place))

    def _value(self, name: str, node: Node) -> Any:
        """An attribute, with the descriptions of options that are only numbered."""
        value = node.value
        if name not in self._declared or "options" not in self._declared[name]:
            return value
        options = {
            key: description.text("") if key.isdigit() else key
            for key, description in self._declared[name]["options"].items()
        }
        if isinstance(value, Mapping):
            return {options.get(key) or key: chosen for key, chosen in value.items()}
        return options.get(str(value)) or value

    def table(self, tool: str) -> ToolTable:
        """All that was added."""
        options = [
            option
            for name, declared in self._declared.items()
            if "options" in declared
            for option in self._value(name, declared["options"])
        ]
        return ToolTable(
            path=self.path,
            tool=tool,
            boxes=tuple(self._boxes),
            key_frames=tuple(self._key_frames),
            actions=dict.fromkeys(options),
            first_frame=None,
            counts_frames=False,
            notes=(
                *self._interpreter.notes(self.path),
                *interpret.left_shapes(self.path, self._shapes),
            ),
        )


def _moment(name: Node) -> tuple[str, float]:
    found = names.picture_name(name.text())
    if found is None:
        raise name.error("a name with a number, as film_000031.jpg", "rename it")
    return found
