"""CVAT's XML 1.1, for videos and for images, and its writer for videos.

The format is described at https://docs.cvat.ai/docs/dataset_management/formats/. Tracks
of a video become persons; boxes of images have none, unless an attribute tells it.
Actions are checkboxes, choices and texts among the attributes, or the labels.
"""

import dataclasses
import math
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from ava_jax import files
from ava_jax.annotations.findings import listed
from ava_jax.annotations.tools import interpret, names, xml_tree
from ava_jax.annotations.tools.table import KeyFrame, ToolBox, ToolTable, Video
from ava_jax.annotations.tools.tracks import nearest_frame, person_tracks
from ava_jax.annotations.tools.xml_tree import Element
from ava_jax.errors import UserError
from ava_jax.video.reader import SUFFIXES

# The attribute that keeps a person's id; CVAT numbers tracks anew.
PERSON = "person_id"


def read(path: str | os.PathLike, attributes: Sequence[str] = ()) -> ToolTable:
    """The boxes of an XML file of CVAT.

    Args:
      path: of the file.
      attributes: see `interpret.Interpreter`.

    Raises:
      UserError: it is no such file, or a value in it is missing or wrong.
    """
    root = xml_tree.read(path)
    if root.tag != "annotations":
        raise UserError(
            f"{path}, line {root.line}: found <{root.tag}>, expected <annotations> of "
            "CVAT's XML 1.1; export as 'CVAT for video' or 'CVAT for images'"
        )
    reader = _Reader(root, interpret.Interpreter(attributes))
    is_video = next(root.all("track"), None) is not None
    boxes = tuple(reader.tracks() if is_video else reader.images())
    return ToolTable(
        path=root.path,
        tool=f"CVAT for {'video' if is_video else 'images'} 1.1",
        boxes=boxes,
        key_frames=tuple(reader.key_frames),
        videos=reader.videos,
        actions=dict.fromkeys(reader.declared_actions()),
        first_frame=0 if is_video or reader.is_of_videos else None,
        counts_frames=is_video or reader.is_of_videos,
        is_tracked=is_video,
        notes=tuple(reader.notes()),
    )


class _Reader:
    """Reads the parts of a file."""

    def __init__(self, root: Element, interpreter: interpret.Interpreter):
        self.root, self.interpreter = root, interpreter
        meta = root.find("meta") or Element(root.path, "meta", {}, root.line)
        self.meta = next(meta.all("task", "job", "project"), meta)
        tasks = self.meta.find("tasks")
        self.tasks = list(tasks.all("task")) if tasks else [self.meta]
        sources = [_source(task) for task in self.tasks]
        self.is_of_videos = all(name.lower().endswith(SUFFIXES) for name in sources)
        self.videos: dict[str, Video] = {}
        self.key_frames: list[KeyFrame] = []
        self._shapes: list[tuple[str, str]] = []
        self._rotated: list[str] = []

    def declared_actions(self) -> Iterator[str]:
        """Names that the file's labels declare, in their order."""
        for labels in self.meta.all("labels"):
            for label in labels.all("label"):
                if not interpret.is_person(label.value("name")):
                    yield label.value("name")
                attributes = label.find("attributes")
                for attribute in attributes.children if attributes else ():
                    if attribute.value("input_type") == "checkbox":
                        yield attribute.value("name")
                    else:
                        yield from attribute.value("values").splitlines()

    def tracks(self) -> Iterator[ToolBox]:
        """The boxes of a video's tracks."""
        for number, track in enumerate(self.root.all("track")):
            name = self._video(track)
            person = track.attributes.get("id", str(number))
            label = track.text_of("label")
            shown: list[ToolBox] = []
            for shape in track.children:
                box = self._box(shape, label, name, person)
                if box is None:
                    continue
                if shape.attributes.get("outside") != "1":
                    shown.append(box)
                elif shown:
                    shown[-1] = dataclasses.replace(shown[-1], ends=True)
            yield from shown

    def images(self) -> Iterator[ToolBox]:
        """The boxes of images."""
        for image in self.root.all("image"):
            video, number = self._picture(image)
            size = int(image.number("width")), int(image.number("height"))
            self.videos.setdefault(video, Video(0, *size))
            shapes = [shape for shape in image.children if shape.tag != "tag"]
            for shape in shapes:
                label = shape.text_of("label")
                if box := self._box(shape, label, video, "", number):
                    yield box
            if not shapes:
                self.key_frames.append(KeyFrame(video, None, number, image.place))

    def _picture(self, image: Element) -> tuple[str, float]:
        name = image.text_of("name")
        found = names.picture_name(name)
        if found is None:
            raise image.error("name", name, "a name with a number, as film_000031.jpg")
        if self.is_of_videos and (not found[0] or len(self.tasks) == 1):
            return self._video(image), found[1]
        return found

    def _video(self, element: Element) -> str:
        """The name of the video that a track or image is of; '': there is none."""
        task = self.tasks[0]
        if len(self.tasks) > 1:
            number = element.text_of("task_id")
            by_id = {task.value("id"): task for task in self.tasks}
            if number not in by_id:
                expected = "the id of a task: " + ", ".join(by_id)
                raise element.error("task_id", number, expected)
            task = by_id[number]
        name = names.video_name(_source(task))
        if size := task.find("original_size"):
            width, height = size.number("width"), size.number("height")
            frames = task.whole("size") if task.find("size") else 0
            self.videos[name] = Video(0, int(width), int(height), frames)
        return name

    def _box(
        self,
        shape: Element,
        label: str,
        video: str,
        person: str,
        frame: float | None = None,
    ) -> ToolBox | None:
        if shape.tag != "box":
            self._shapes.append((shape.place, shape.tag))
            return None
        actions, own_id = self.interpreter.read(
            label,
            {child.text_of("name"): child.text for child in shape.all("attribute")},
            shape.place,
        )
        corners = tuple(shape.number(name) for name in ("xtl", "ytl", "xbr", "ybr"))
        if angle := float(shape.attributes.get("rotation") or 0):
            self._rotated.append(f"{shape.path}:{shape.line}")
            corners = enclosing(corners, angle)
        return ToolBox(
            video,
            corners,
            actions,
            frame=shape.whole("frame") if frame is None else frame,
            person=person if own_id is None else own_id,
            place=shape.place,
            ends=False,
            is_drawn=shape.attributes.get("keyframe") != "0",
            is_ignored=interpret.is_ignored(label),
        )

    def notes(self) -> list:
        """What was changed and left."""
        return [
            *self.interpreter.notes(self.root.path),
            *interpret.left_shapes(self.root.path, self._shapes),
            *rotated_boxes(self._rotated),
        ]


def _source(task: Element) -> str:
    """The file that a task was made from, else its name."""
    return task.value("source") or task.value("name") or "video"


def rotated_boxes(places: Sequence[str]) -> list:
    """The note about boxes that were turned.

    Args:
      places: all of them.
    """
    return listed(
        "boxes that are turned",
        places,
        "The upright boxes around them were taken.",
        "",
        is_problem=False,
    )


def enclosing(
    box: tuple[float, float, float, float], degrees: float
) -> tuple[float, float, float, float]:
    """The upright box around one that is turned about its centre.

    Args:
      box: x1, y1, x2, y2 in pixels, before it is turned.
      degrees: clockwise.
    """
    x1, y1, x2, y2 = box
    cos, sin = (abs(f(math.radians(degrees))) for f in (math.cos, math.sin))
    width, height = x2 - x1, y2 - y1
    half_x, half_y = (width * cos + height * sin) / 2, (width * sin + height * cos) / 2
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return x - half_x, y - half_y, x + half_x, y + half_y


def write(table: ToolTable, path: str | os.PathLike) -> list[pathlib.Path]:
    """Writes a file 'CVAT for video 1.1' for each video.

    A person is a track of the label 'person', with a checkbox for each action and the
    attribute `person_id`. Boxes are the track's key frames: CVAT interpolates between
    them.

    Args:
      table: boxes in fractions with `time`, and `fps`, `width` and `height` of
        every video.
      path: a file for one video, else a folder for files named after the videos.

    Returns:
      The files.

    Raises:
      UserError: see `files.beside`.
    """
    path = pathlib.Path(path)
    if path.suffix == ".xml" and len(table.videos) == 1:
        written = {next(iter(table.videos)): path}
    else:
        path.mkdir(parents=True, exist_ok=True)
        written = {name: path / f"{name}.xml" for name in table.videos}
    for name, file in written.items():
        boxes = [box for box in table.boxes if box.video == name]
        lines = _file_lines(name, table.videos[name], list(table.actions), boxes)
        files.replace(file, "\n".join(lines) + "\n")
    return list(written.values())


def _file_lines(
    name: str, video: Video, actions: Sequence[str], boxes: Sequence[ToolBox]
) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="utf-8"?>'
    yield "<annotations>"
    yield "<version>1.1</version>"
    yield f"<meta><task><name>{escape(name)}</name><size>{video.frames}</size>"
    yield f"<mode>interpolation</mode><source>{escape(name)}.mp4</source><labels>"
    yield "<label><name>person</name><attributes>"
    yield _declared(PERSON, "text", "", is_mutable=False)
    yield from (_declared(action, "checkbox", "false") for action in actions)
    yield "</attributes></label></labels>"
    yield f"<original_size><width>{video.width}</width>"
    yield f"<height>{video.height}</height></original_size></task></meta>"
    for number, track in enumerate(person_tracks(boxes)):
        yield f'<track id="{number}" label="person" source="manual">'
        yield from _track_lines(track, video, actions)
        yield "</track>"
    yield "</annotations>"


def _declared(name: str, kind: str, default: str, is_mutable: bool = True) -> str:
    return (
        f"<attribute><name>{escape(name)}</name><mutable>{is_mutable}</mutable>"
        f"<input_type>{kind}</input_type><default_value>{default}</default_value>"
        f"<values>{default}</values></attribute>"
    )


def _track_lines(
    track: Sequence[ToolBox], video: Video, actions: Iterable[str]
) -> Iterator[str]:
    for box in track:
        frame = nearest_frame(box.time, video.fps)
        yield _shape(box, frame, 0, video)
        yield f"<attribute name={quoteattr(PERSON)}>{escape(box.person)}</attribute>"
        for action in actions:
            ticked = str(action in box.actions).lower()
            yield f"<attribute name={quoteattr(action)}>{ticked}</attribute>"
        yield "</box>"
        if box.ends:
            yield _shape(box, frame + 1, 1, video) + "</box>"


def _shape(box: ToolBox, frame: int, outside: int, video: Video) -> str:
    sides = (video.width, video.height) * 2
    corners = " ".join(
        f'{name}="{value * side:.12g}"'
        for name, value, side in zip(("xtl", "ytl", "xbr", "ybr"), box.box, sides)
    )
    return (
        f'<box frame="{frame}" keyframe="1" outside="{outside}" occluded="0" '
        f'{corners} z_order="0">'
    )
