"""Pascal VOC's XML files, one for each picture."""

import os
import pathlib
from collections.abc import Sequence

from ava_jax.annotations.tools import interpret, names, xml_tree
from ava_jax.annotations.tools.table import KeyFrame, ToolBox, ToolTable, Video
from ava_jax.annotations.tools.xml_tree import Element
from ava_jax.errors import UserError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read(path: str | os.PathLike, attributes: Sequence[str] = ()) -> ToolTable:
    """The boxes of a file, or of all files of a folder.

    The video and the number of a picture are in its `filename`, or else in its
    `folder` and the name of the file.

    Args:
      path: of the file or folder.
      attributes: see `interpret.Interpreter`.

    Raises:
      UserError: there is no such file, or a value in it is missing or wrong.
    """
    path = pathlib.Path(path)
    interpreter = interpret.Interpreter(attributes)
    boxes: list[ToolBox] = []
    key_frames, videos = [], {}
    for file in sorted(path.rglob("*.xml")) if path.is_dir() else [path]:
        root = xml_tree.read(file)
        if root.tag != "annotation":
            raise UserError(
                f"{file}, line {root.line}: found <{root.tag}>, expected <annotation> "
                "of Pascal VOC; give files of one tool"
            )
        video, number = _moment(root, file)
        if size := root.find("size"):
            found = Video(0, size.whole("width"), size.whole("height"))
            videos[video] = videos.get(video, Video()).filled(found)
        own = [_box(note, video, number, interpreter) for note in root.all("object")]
        boxes += own
        if not own:
            key_frames.append(KeyFrame(video, None, number, str(file)))
    return ToolTable(
        path=os.fspath(path),
        tool="Pascal VOC",
        boxes=tuple(boxes),
        key_frames=tuple(key_frames),
        videos=videos,
        first_frame=None,
        counts_frames=False,
        notes=tuple(interpreter.notes(os.fspath(path))),
    )


def _moment(root: Element, file: pathlib.Path) -> tuple[str, float]:
    name = root.value("filename") or file.name
    found = names.picture_name(name)
    if found is None:
        raise root.error("filename", name, "a name with a number, as film_000031.jpg")
    return (found[0] or names.video_name(root.value("folder")), found[1])


def _box(
    note: Element, video: str, number: float, interpreter: interpret.Interpreter
) -> ToolBox:
    corners = note.find("bndbox")
    if corners is None:
        raise note.error("bndbox", None, "a box")
    values = {}
    if attributes := note.find("attributes"):
        for one in attributes.all("attribute"):
            values[one.value("name")] = one.value("value")
    for name in ("track_id", "trackid"):
        if note.find(name):
            values["track_id"] = note.value(name)
    label = note.value("name")
    if not label:
        raise note.error("name", None, "an action, or person")
    place = f"{pathlib.Path(note.path).name}, {note.place}"
    actions, person = interpreter.read(label, values, place)
    return ToolBox(
        video,
        tuple(corners.number(name) for name in _CORNERS),
        actions,
        None,
        number,
        person or "",
        place,
        is_ignored=interpret.is_ignored(label),
    )
