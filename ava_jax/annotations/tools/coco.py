"""COCO's JSON of annotations of key frames, in and out."""

import os
import pathlib
from collections.abc import Sequence

from ava_jax import files
from ava_jax.annotations.findings import listed
from ava_jax.annotations.tools import fields, interpret, names
from ava_jax.annotations.tools.fields import Node
from ava_jax.annotations.tools.table import KeyFrame, ToolBox, ToolTable, Video


def read(path: str | os.PathLike, attributes: Sequence[str] = ()) -> ToolTable:
    """The boxes of a file of annotations.

    `category_id` is the action, or that of people, whose `attributes` are the actions.
    `track_id` (or `instance_id`) is the person. The moment of an image is its
    `timestamp` or `time`, or `frame_id` (from 0), of the video with its `video_id`; or
    else the number in its `file_name`.

    Args:
      path: of the file.
      attributes: see `interpret.Interpreter`.

    Raises:
      UserError: a value in it is missing or wrong.
    """
    root = fields.read(path)
    reader = _Reader(root, interpret.Interpreter(attributes))
    boxes = tuple(reader.boxes())
    seen = {(box.video, box.time, box.frame) for box in boxes}
    empty = [
        frame
        for frame in reader.frames.values()
        if (frame.video, frame.time, frame.frame) not in seen
    ]
    return ToolTable(
        path=root.path,
        tool="COCO",
        boxes=boxes,
        key_frames=tuple(empty),
        videos=reader.videos,
        actions=reader.actions,
        first_frame=0 if reader.counts_frames else None,
        counts_frames=reader.counts_frames,
        notes=(
            *reader.interpreter.notes(root.path),
            *listed(
                "boxes without a category's name",
                reader.nameless,
                "The file has no `categories`: ids are looked up in the label map.",
                "",
                is_problem=False,
            ),
        ),
    )


class _Reader:
    """Reads the parts of a file."""

    def __init__(self, root: Node, interpreter: interpret.Interpreter):
        self.root, self.interpreter = root, interpreter
        self.counts_frames = True
        self.nameless: list[str] = []
        self._names = {}
        for node in root["categories"].list() if "categories" in root else ():
            self._names[node["id"].whole()] = node["name"].text()
        self.actions = {
            name: number if number > 0 else None
            for number, name in self._names.items()
            if not interpret.is_person(name)
        }
        self.videos: dict[str, Video] = {}
        self._video_names = {}
        for node in root["videos"].list() if "videos" in root else ():
            name = names.video_name(node["name"].text())
            self._video_names[node["id"].text()] = name
            size = node["width"].whole(0), node["height"].whole(0)
            self.videos[name] = Video(node["fps"].number(0), *size)
        self.frames = {
            node["id"].text(): self._frame(node) for node in root["images"].list()
        }

    def _frame(self, image: Node) -> KeyFrame:
        video = self._video_of(image)
        time = next((image[k] for k in ("timestamp", "time") if k in image), None)
        if time is not None and video:
            frame = KeyFrame(video, time.number(), None, image.place)
        elif "frame_id" in image and video:
            frame = KeyFrame(video, None, image["frame_id"].whole(), image.place)
        else:
            file = image["file_name"]
            found = names.picture_name(file.text())
            if found is None:
                expected = "a name with a number, as film_000031.jpg"
                raise file.error(expected, "give images a `video_id` and `timestamp`")
            self.counts_frames = False
            frame = KeyFrame(video or found[0], None, found[1], image.place)
        size = Video(0, image["width"].whole(0), image["height"].whole(0))
        known = self.videos.get(frame.video, Video())
        self.videos[frame.video] = known.filled(size)
        return frame

    def _video_of(self, image: Node) -> str:
        if "video_id" in image and self._video_names:
            number = image["video_id"]
            if number.text() not in self._video_names:
                raise number.error("the id of one of the `videos`", "add the video")
            return self._video_names[number.text()]
        return names.video_name(image["video"].text()) if "video" in image else ""

    def boxes(self):
        """The boxes, in the order of the file."""
        for note in self.root["annotations"].list():
            image = note["image_id"]
            if image.text() not in self.frames:
                raise image.error("the id of one of the `images`", "add the image")
            frame = self.frames[image.text()]
            x, y, width, height = self._numbers(note["bbox"])
            label = self._label(note["category_id"])
            values = note["attributes"].object() if "attributes" in note else {}
            actions, person = self.interpreter.read(label, values, note.place)
            ids = [note[k].text() for k in ("track_id", "instance_id") if k in note]
            yield ToolBox(
                frame.video,
                (x, y, x + width, y + height),
                actions,
                frame.time,
                frame.frame,
                ids[0] if ids else person or "",
                note.place,
                is_ignored=bool(note["iscrowd"].whole(0))
                or interpret.is_ignored(label),
            )

    def _numbers(self, box: Node) -> list[float]:
        values = [value.number() for value in box.list()]
        if len(values) != 4:
            raise box.error("x, y, width, height in pixels", "export it again")
        return values

    def _label(self, category: Node) -> str:
        number = category.whole()
        if not self._names:
            self.nameless.append(f"{category.path}: {category.place}")
            return str(number)
        if number not in self._names:
            raise category.error(
                "the id of one of the `categories`", "add the category"
            )
        return self._names[number]


def write(table: ToolTable, path: str | os.PathLike) -> list[pathlib.Path]:
    """Writes an annotation for each action of a box.

    Args:
      table: boxes in fractions with `time`, and `width` and `height` of every video;
        `actions` with ids.
      path: of the file.

    Returns:
      The file.

    Raises:
      UserError: see `files.beside`.
    """
    videos = {name: i for i, name in enumerate(table.videos, 1)}
    moments = [(box.video, box.time) for box in table.boxes]
    moments += [(frame.video, frame.time) for frame in table.key_frames]
    images = {moment: i for i, moment in enumerate(dict.fromkeys(moments), 1)}
    annotations = []
    for box in table.boxes:
        video = table.videos[box.video]
        x1, y1, x2, y2 = (
            v * s for v, s in zip(box.box, (video.width, video.height) * 2)
        )
        bbox = [float(f"{value:.12g}") for value in (x1, y1, x2 - x1, y2 - y1)]
        for action in box.actions:
            note = {
                "id": len(annotations) + 1,
                "image_id": images[box.video, box.time],
                "category_id": table.actions[action],
                "bbox": bbox,
                "area": bbox[2] * bbox[3],
                "iscrowd": 0,
            }
            note |= {"track_id": int(box.person)} if box.person else {}
            annotations.append(note)
    content = {
        "videos": [
            {"id": i, "name": name, **_size(table.videos[name])}
            for name, i in videos.items()
        ],
        "images": [
            {
                "id": i,
                "file_name": f"{name}_{time:g}.jpg",
                "video_id": videos[name],
                "timestamp": time,
                **_size(table.videos[name]),
            }
            for (name, time), i in images.items()
        ],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for name, i in table.actions.items()],
    }
    files.write_json(path, content)
    return [pathlib.Path(path)]


def _size(video: Video) -> dict[str, int]:
    return {"width": video.width, "height": video.height}
