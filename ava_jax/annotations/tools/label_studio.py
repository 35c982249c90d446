"""Label Studio's JSON of videos (`videorectangle`) and pictures, in and out.

Regions of a video are tracks: a `sequence` of boxes in percent with `frame` (from 1),
between which they are interpolated; `enabled: false` ends a stretch after its box.
"""

import dataclasses
import json
import math
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ava_jax import files
from ava_jax.annotations.findings import Finding, listed
from ava_jax.annotations.tools import fields, interpret, names
from ava_jax.annotations.tools.cvat import rotated_boxes
from ava_jax.annotations.tools.fields import Node
from ava_jax.annotations.tools.table import (
    FRACTIONS,
    KeyFrame,
    ToolBox,
    ToolTable,
    Video,
)
from ava_jax.annotations.tools.tracks import nearest_frame, person_tracks
from ava_jax.errors import UserError

_PERSON = re.compile(r"person (-|\S+)")
_VIDEO, _PICTURE = "videorectangle", "rectanglelabels"
_CHOICES = ("choices", "taxonomy", "labels", "videolabels")


def read(path: str | os.PathLike, attributes: Sequence[str] = ()) -> ToolTable:
    """The boxes of an export (JSON).

    Args:
      path: of the file.
      attributes: names of the choices of a region that are actions; empty: all.

    Raises:
      UserError: a value in it is missing or wrong, or it is JSON-MIN.
    """
    root = fields.read(path)
    reader = _Reader(root.path, interpret.Interpreter(attributes))
    for task in root.list():
        reader.add(task)
    if reader.kinds == {_VIDEO, _PICTURE}:
        raise UserError(
            f"{root.path}: found boxes of videos and of pictures, expected one of "
            "them; export the projects one by one"
        )
    is_video = _PICTURE not in reader.kinds
    return ToolTable(
        path=root.path,
        tool="Label Studio",
        boxes=tuple(reader.boxes),
        key_frames=tuple(reader.key_frames),
        videos=reader.videos,
        unit=FRACTIONS,
        first_frame=1 if is_video else None,
        counts_frames=is_video,
        is_tracked=is_video,
        notes=tuple(reader.notes()),
    )


class _Reader:
    """Collects the boxes of tasks."""

    def __init__(self, path: str, interpreter: interpret.Interpreter):
        self.path, self.interpreter = path, interpreter
        self.boxes: list[ToolBox] = []
        self.key_frames: list[KeyFrame] = []
        self.videos: dict[str, Video] = {}
        self.kinds: set[str] = set()
        self._unused: list[str] = []
        self._shapes: list[tuple[str, str]] = []
        self._rotated: list[str] = []
        self._open: list[str] = []

    def add(self, task: Node) -> None:
        """Adds a task: a video or picture."""
        every = list(task["annotations"].list())
        done = [note for note in every if note["was_cancelled"].value is not True]
        if len(done) != len(every):
            self._unused.append(f"{self.path}: {task.place}, cancelled annotations")
        if "predictions" in task and list(task["predictions"].list()):
            self._unused.append(f"{self.path}: {task.place}.predictions")
        if len(done) > 1:
            raise done[1].error("one annotation a task", "delete those of other people")
        if not done:
            self._unused.append(f"{self.path}: {task.place}, not annotated")
            return
        results = list(done[0]["result"].list())
        choices: dict[str, list[str]] = {}
        for result in results:
            if result["type"].text() in _CHOICES:
                found = choices.setdefault(result["id"].text(), [])
                found += _chosen(result)
        kinds = set()
        for result in results:
            kind = result["type"].text()
            if kind in (_VIDEO, _PICTURE):
                kinds.add(kind)
                self._add_region(task, result, choices.get(result["id"].text(), []))
            elif kind not in _CHOICES:
                self._shapes.append((result.place, kind))
        self.kinds |= kinds

    def _add_region(self, task: Node, result: Node, chosen: list[str]) -> None:
        value = result["value"]
        labels = [
            label.text()
            for key in ("labels", "rectanglelabels")
            if key in value
            for label in value[key].list()
        ]
        named = [
            action for name in labels for action in self.interpreter.read(name, {})[0]
        ]
        also, _ = self.interpreter.read("", {"choices": chosen})
        common = {
            "actions": tuple(dict.fromkeys([*named, *also])),
            "is_ignored": any(map(interpret.is_ignored, labels)),
        }
        if result["type"].value == _PICTURE:
            self._add_picture(task, result, common)
        else:
            self._add_track(task, result, common)

    def _add_picture(self, task: Node, result: Node, common: dict[str, Any]) -> None:
        source = _source(task, result)
        found = names.picture_name(names.video_name(source.text()))
        if found is None:
            raise source.error("a name with a number, as film_000031.jpg", "rename it")
        size = result["original_width"].whole(0), result["original_height"].whole(0)
        self.videos.setdefault(found[0], Video(0, *size))
        box = self._box(result["value"], size)
        self.boxes.append(
            ToolBox(found[0], box, frame=found[1], place=result.place, **common)
        )

    def _add_track(self, task: Node, result: Node, common: dict[str, Any]) -> None:
        value = result["value"]
        video = names.video_name(_source(task, result).text())
        count, seconds = value["framesCount"].whole(0), value["duration"].number(0)
        size = result["original_width"].whole(0), result["original_height"].whole(0)
        fps = count / seconds if count and seconds else 0
        known = self.videos.get(video, Video())
        self.videos[video] = known.filled(Video(fps, *size, count))
        person = _person(result)
        sequence = sorted(
            value["sequence"].list(), key=lambda node: node["frame"].whole()
        )
        track = [
            ToolBox(
                video,
                self._box(node, size),
                frame=node["frame"].whole(),
                person=person,
                place=node.place,
                ends=node["enabled"].value is False,
                **common,
            )
            for node in sequence
        ]
        self.boxes += track
        if track and not track[-1].ends and track[-1].frame < count:
            # As the tool shows it, the last box stays to the end of the video.
            self.boxes.append(
                dataclasses.replace(track[-1], frame=count, ends=True, is_drawn=False)
            )
            self._open.append(f"{self.path}: {result.place}")

    def _box(self, node: Node, size: tuple[int, int]):
        """Corners in fractions."""
        x, y = node["x"].number() / 100, node["y"].number() / 100
        right, bottom = (
            x + node["width"].number() / 100,
            y + node["height"].number() / 100,
        )
        angle = node["rotation"].number(0)
        if not angle:
            return x, y, right, bottom
        self._rotated.append(f"{self.path}: {node.place}")
        # It is turned in pixels, about its upper left corner.
        width, height = size if all(size) else (1, 1)
        return _turned((x, y, right, bottom), angle, width, height)

    def notes(self) -> list[Finding]:
        """What was changed and left."""
        return [
            *self.interpreter.notes(self.path),
            *interpret.left_shapes(self.path, self._shapes),
            *rotated_boxes(self._rotated),
            *listed(
                "tasks or predictions that nobody confirmed, left out",
                self._unused,
                "Only submitted annotations are taken.",
                "Submit them in the tool.",
                is_problem=False,
            ),
            *listed(
                "tracks that are never ended",
                self._open,
                "The last box of each holds to the end of its video, as it is shown in "
                "the tool.",
                "If the person leaves before, end the track there.",
                is_problem=False,
            ),
        ]


def _turned(box, degrees: float, width: int, height: int):
    """The upright box around one that is turned about its upper left corner."""
    x, y, right, bottom = box
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    w, h = (right - x) * width, (bottom - y) * height
    xs = [x * width + dx for dx in (0, w * cos, -h * sin, w * cos - h * sin)]
    ys = [y * height + dy for dy in (0, w * sin, h * cos, w * sin + h * cos)]
    return min(xs) / width, min(ys) / height, max(xs) / width, max(ys) / height


def _chosen(result: Node) -> Iterator[str]:
    """Names that are chosen for a region."""
    for key in ("choices", "labels", "taxonomy"):
        if key in result["value"]:
            for choice in result["value"][key].list():
                is_path = isinstance(choice.value, list)  # of a taxonomy
                yield str(choice.value[-1]) if is_path else choice.text()


def _source(task: Node, result: Node) -> Node:
    """The name of a task's video or picture."""
    data = task["data"]
    for key in ("video", "video_url", "image"):
        if key in data:
            return data[key]
    texts = [node for _, node in data.items() if isinstance(node.value, str)]
    if len(texts) != 1:
        raise data.error(
            "the video as `video`", "name it so in the labelling interface"
        )
    return texts[0]


def _person(result: Node) -> str:
    """The person that the writer noted, else the region."""
    if "meta" in result and "text" in result["meta"]:
        text = result["meta"]["text"].value
        text = " ".join(map(str, text)) if isinstance(text, list) else str(text)
        if match := _PERSON.search(text):
            return match[1].strip("-")
    return result["id"].text()


def write(table: ToolTable, path: str | os.PathLike) -> list[pathlib.Path]:
    """Writes a task for each video, with its annotations.

    A region has the same labels all the time: a person who does something else has
    another one, with the same 'person 3' among its notes.

    Args:
      table: boxes in fractions with `time`, and `fps`, `width`, `height` and `frames`
        of every video.
      path: of the file.

    Returns:
      The file.

    Raises:
      UserError: see `files.beside`.
    """
    tasks = []
    for number, (name, video) in enumerate(table.videos.items(), 1):
        boxes = [box for box in table.boxes if box.video == name]
        regions = [
            _region(f"region{number}_{i}", region, video)
            for i, region in enumerate(_regions(boxes))
        ]
        tasks.append(
            {
                "id": number,
                "data": {"video": f"{name}.mp4"},
                "annotations": [{"id": number, "result": regions}],
            }
        )
    files.replace(path, json.dumps(tasks))
    return [pathlib.Path(path)]


def _regions(boxes: Sequence[ToolBox]) -> Iterator[list[ToolBox]]:
    """Stretches of a person with the same actions."""
    for track in person_tracks(boxes):
        region = [track[0]]
        for box in track[1:]:
            if box.actions != region[-1].actions:
                yield [*region[:-1], dataclasses.replace(region[-1], ends=True)]
                region = []
            region.append(box)
        yield [*region[:-1], dataclasses.replace(region[-1], ends=True)]


def _region(name: str, track: Sequence[ToolBox], video: Video) -> dict[str, Any]:
    return {
        "id": name,
        "type": _VIDEO,
        "from_name": "box",
        "to_name": "video",
        "original_width": video.width,
        "original_height": video.height,
        "meta": {"text": [f"person {track[0].person or '-'}"]},
        "value": {
            "framesCount": video.frames,
            "duration": video.frames / video.fps,
            "labels": list(track[0].actions),
            "sequence": [_step(box, video.fps) for box in track],
        },
    }


def _step(box: ToolBox, fps: float) -> dict[str, Any]:
    x1, y1, x2, y2 = (value * 100 for value in box.box)
    numbers = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
    return {
        "frame": nearest_frame(box.time, fps) + 1,
        "enabled": not box.ends,
        "rotation": 0,
        **{name: float(f"{value:.12g}") for name, value in numbers.items()},
        "time": box.time,
    }
