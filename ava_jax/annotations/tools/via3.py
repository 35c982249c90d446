"""VIA 3's project (JSON) and its CSV, and a writer of projects.

VIA (https://www.robots.ox.ac.uk/~vgg/software/via/) keeps a list of `metadata`: moments
`z` in seconds, a shape `xy`, and attributes `av`, whose values are ids of options.
"""

import csv
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ava_jax import files
from ava_jax.annotations.findings import listed
from ava_jax.annotations.tools import fields, interpret, names
from ava_jax.annotations.tools.cvat import PERSON
from ava_jax.annotations.tools.fields import Node
from ava_jax.annotations.tools.table import KeyFrame, ToolBox, ToolTable, Video
from ava_jax.errors import UserError
from ava_jax.video.reader import SUFFIXES

_RECTANGLE, _EXTREME_RECTANGLE = 2, 8
_SHAPES = {1: "point", 3: "circle", 4: "ellipse", 5: "line", 6: "polyline"}
_SHAPES |= {7: "polygon", 9: "circle"}
_CHECKBOX = 2
_OPTIONS = (2, 3, 4, 5)  # types of attributes whose values are ids of options
_COLUMNS = ("metadata_id", "file_list", "flags", "temporal_coordinates")
_COLUMNS += ("spatial_coordinates", "metadata")
_HEADER = "# CSV_HEADER"


def read_json(path: str | os.PathLike, attributes: Sequence[str] = ()) -> ToolTable:
    """The boxes of a project.

    Args:
      path: of the file.
      attributes: see `interpret.Interpreter`.

    Raises:
      UserError: a value in it is missing or wrong.
    """
    root = fields.read(path)
    reader = _Reader(root.path, root["attribute"], attributes)
    views = {}
    for key, view in root["view"].items():
        files_of_view = list(view["fid_list"].list())
        if files_of_view:
            file = root["file"][files_of_view[0].text()]
            source = file["src"].text("") if file["loc"].text("1") != "1" else ""
            views[key] = source or file["fname"].text()
    for key, item in root["metadata"].items():
        video = item["vid"].text()
        if video not in views:
            raise item["vid"].error("a view with a file", "add it to the project")
        reader.add(views[video], item["z"], item["xy"], item["av"], f"metadata.{key}")
    return reader.table("VIA 3 (JSON)")


def read_csv(path: str | os.PathLike, attributes: Sequence[str] = ()) -> ToolTable:
    """The boxes of a CSV file that VIA 3 exported.

    Args:
      path: of the file.
      attributes: see `interpret.Interpreter`.

    Raises:
      UserError: a row of it cannot be read, or it has temporal segments alone.
    """
    path = os.fspath(path)
    lines = fields.read_text(path).splitlines()
    declared = fields.Node({}, path)
    rows = []
    for number, line in enumerate(lines, 1):
        name, _, value = line.partition("=")
        if name.startswith("# ATTRIBUTE"):
            declared = fields.parse(path, value, f"line {number}")
        elif line.startswith(_HEADER) and "spatial_coordinates" not in line:
            raise UserError(
                f"{path}, line {number}: found {value.strip()!r:.60}, expected the "
                "column spatial_coordinates; export the annotations, not the temporal "
                "segments"
            )
        elif line.strip() and not line.startswith("#"):
            rows.append((number, line))
    reader = _Reader(path, declared, attributes)
    for number, line in rows:
        cells = next(csv.reader([line]))
        place = f"line {number}"
        if len(cells) < len(_COLUMNS):
            raise UserError(
                f"{path}, {place}: found {len(cells)} columns, expected "
                f"{len(_COLUMNS)}: {', '.join(_COLUMNS)}; export it again"
            )
        names_of = {i: f"{place}, {_COLUMNS[i]}" for i in (1, 3, 4, 5)}
        sources, z, xy, av = (
            fields.parse(path, cells[i], name) for i, name in names_of.items()
        )
        file = next(sources.list(), None)
        if file is None:
            raise sources.error("a list with a file's name", "export it again")
        reader.add(file.text(), z, xy, av, place)
    return reader.table("VIA 3 (CSV)")


class _Reader:
    """Collects the boxes of a project."""

    def __init__(self, path: str, declared: Node, attributes: Sequence[str]):
        self.path = path
        # Older exports have names of attributes here, without their options.
        self._declared = dict(declared.items())
        self._interpreter = interpret.Interpreter(attributes)
        self._boxes: list[ToolBox] = []
        self._key_frames: list[KeyFrame] = []
        self._shapes: list[tuple[str, str]] = []
        self._segments: list[str] = []
        self._is_of_pictures = False

    def add(self, source: str, z: Node, xy: Node, av: Node, place: str) -> None:
        """Adds an entry of the metadata.

        Args:
          source: name of its file.
          z: its moments.
          xy: its shape.
          av: its attributes.
          place: for messages.
        """
        times = [time.number() for time in z.list()]
        shape = [value.number() for value in xy.list()]
        if len(times) > 1:
            self._segments.append(f"{self.path}: {place}")
            return
        video, time, frame = self._moment(source, times, z)
        if not shape:
            self._key_frames.append(KeyFrame(video, time, frame, place))
            return
        if shape[0] not in (_RECTANGLE, _EXTREME_RECTANGLE):
            self._shapes.append((place, _SHAPES.get(shape[0], "shape")))
            return
        if len(shape) != 5:
            raise xy.error("a rectangle: 2, x, y, width, height", "draw it again")
        actions, person = self._interpreter.read("", self._values(av), place)
        _, x, y, width, height = shape
        box = x, y, x + width, y + height
        self._boxes.append(
            ToolBox(video, box, actions, time, frame, person or "", place)
        )

    def _moment(self, source: str, times: list[float], z: Node):
        """Video, seconds and number of a frame; one of the latter two is None."""
        if times:
            return names.video_name(source), times[0], None
        picture = names.picture_name(source)
        if picture is None or source.lower().endswith(SUFFIXES):
            raise z.error("a time in seconds", "annotate a moment of the video")
        self._is_of_pictures = True
        return picture[0], None, picture[1]

    def _values(self, av: Node) -> dict[str, Any]:
        """The attributes by name, with names of options for their ids."""
        values = {}
        for key, node in av.items():
            declared = self._declared.get(key)
            if declared is None:
                raise node.error(
                    "an attribute of the project", "declare it, or undo it"
                )
            if isinstance(declared.value, str):
                values[declared.value] = node.text("")
                continue
            name, kind = declared["aname"].text(), declared["type"].whole(1)
            options = dict(declared["options"].items()) if kind in _OPTIONS else {}
            if not options:
                values[name] = node.text("")
                continue
            chosen = [part for part in node.text("").split(",") if part.strip()]
            for part in chosen:
                # A default that VIA writes before somebody chooses.
                if part not in options and part != "_DEFAULT":
                    expected = "an option: " + ", ".join(options)
                    raise node.error(expected, "choose one of them")
            values[name] = [options[part].text() for part in chosen if part in options]
        return values

    def _options(self) -> Iterator[str]:
        for declared in self._declared.values():
            if "options" in declared:
                yield from (option.text() for _, option in declared["options"].items())

    def table(self, tool: str) -> ToolTable:
        """All that was added."""
        return ToolTable(
            path=self.path,
            tool=tool,
            boxes=tuple(self._boxes),
            key_frames=tuple(self._key_frames),
            actions=dict.fromkeys(self._options()),
            first_frame=None,
            counts_frames=not self._is_of_pictures,
            notes=(
                *self._interpreter.notes(self.path),
                *interpret.left_shapes(self.path, self._shapes),
                *listed(
                    "temporal segments, left out",
                    self._segments,
                    "A stretch of time has no box.",
                    "Draw a box at a key frame for each person.",
                    is_problem=False,
                ),
            ),
        )


def write(table: ToolTable, path: str | os.PathLike) -> list[pathlib.Path]:
    """Writes a project with all videos.

    Actions are a checkbox attribute, persons a text attribute.

    Args:
      table: boxes in fractions with `time`, and `width` and `height` of every video.
      path: of the file.

    Returns:
      The file.

    Raises:
      UserError: see `files.beside`.
    """
    numbers = {name: str(i) for i, name in enumerate(table.videos, 1)}
    options = {action: str(i) for i, action in enumerate(table.actions)}
    metadata = {}
    for i, box in enumerate(table.boxes):
        xy = [_RECTANGLE, *_rectangle(box.box, table.videos[box.video])]
        chosen = ",".join(options[action] for action in box.actions)
        metadata[f"{numbers[box.video]}_{i:08d}"] = _entry(
            numbers[box.video], box.time, xy, {"1": chosen, "2": box.person}
        )
    for i, frame in enumerate(table.key_frames, len(table.boxes)):
        entry = _entry(numbers[frame.video], frame.time, [], {})
        metadata[f"{numbers[frame.video]}_{i:08d}"] = entry
    attributes = {
        "1": _attribute("action", _CHECKBOX, {i: name for name, i in options.items()}),
        "2": _attribute(PERSON, 1, {}),
    }
    names = [f"{name}.mp4" for name in table.videos]
    files.replace(path, json.dumps(project(names, attributes, metadata)))
    return [pathlib.Path(path)]


def project(
    files: Sequence[str], attributes: Mapping[str, Any], metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """A project of VIA 3 as JSON has it.

    Args:
      files: names of the video files, which have the ids 1, 2, ...
      attributes: by id.
      metadata: what is annotated, by id.
    """
    numbers = {str(i): name for i, name in enumerate(files, 1)}
    return {
        "project": {
            "pid": "__VIA_PROJECT_ID__",
            "rev": "__VIA_PROJECT_REV_ID__",
            "rev_timestamp": "__VIA_PROJECT_REV_TIMESTAMP__",
            "pname": "ava_jax",
            "creator": "ava_jax",
            "created": 0,
            "vid_list": list(numbers),
        },
        "config": _CONFIG,
        "attribute": dict(attributes),
        "file": {
            i: {"fid": i, "fname": name, "type": 4, "loc": 1, "src": ""}
            for i, name in numbers.items()
        },
        "metadata": dict(metadata),
        "view": {i: {"fid_list": [i]} for i in numbers},
    }


def _entry(video: str, time: float, xy: list, av: dict[str, str]) -> dict[str, Any]:
    return {"vid": video, "flg": 0, "z": [time], "xy": xy, "av": av}


def _attribute(name: str, kind: int, options: dict[str, str]) -> dict[str, Any]:
    return {
        "aname": name,
        "anchor_id": "FILE1_Z1_XY1",
        "type": kind,
        "desc": "",
        "options": options,
        "default_option_id": "",
    }


def _rectangle(box: Sequence[float], video: Video) -> list[float]:
    """Left, top, width and height in pixels."""
    x1, y1, x2, y2 = (v * s for v, s in zip(box, (video.width, video.height) * 2))
    return [float(f"{value:.12g}") for value in (x1, y1, x2 - x1, y2 - y1)]


# What VIA 3.0.13 needs to open a project.
_CONFIG = {
    "file": {
        "loc_prefix": {"1": "", "2": "", "3": "", "4": ""},
    },
    "ui": {
        "file_content_align": "center",
        "file_metadata_editor_visible": True,
        "spatial_metadata_editor_visible": True,
        "temporal_segment_metadata_editor_visible": True,
        "spatial_region_label_attribute_id": "1",
        "gtimeline_visible_row_count": "4",
    },
}
