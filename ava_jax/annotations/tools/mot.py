"""MOT Challenge's text files of tracks: `gt/gt.txt`."""

import configparser
import os
import pathlib
from collections.abc import Sequence

from ava_jax.annotations.findings import listed
from ava_jax.annotations.text_files import parse_number
from ava_jax.annotations.tools import interpret
from ava_jax.annotations.tools.fields import read_text
from ava_jax.annotations.tools.table import ToolBox, ToolTable, Video
from ava_jax.errors import UserError

_EXPECTED = "frame, id, left, top, width, height, and perhaps flag, class, visibility"


def read(path: str | os.PathLike, attributes: Sequence[str] = ()) -> ToolTable:
    """The boxes of a file; its video is called as the folder above `gt/`.

    `seqinfo.ini` beside or above it has rate and size, `labels.txt` (which CVAT
    writes) the names of classes. MOT Challenge's own class 1 are people, of whose
    actions it says nothing.

    Args:
      path: of the file.
      attributes: not used; MOT has none.

    Raises:
      UserError: there is no such file, or a row of it cannot be read.
    """
    path = pathlib.Path(path)
    folder = path.absolute().parent
    sequence = folder.parent if folder.name.lower() in ("gt", "det") else folder
    video, name = _sequence(folder, sequence)
    classes = _classes(folder)
    boxes, unused = [], []
    for line, text in enumerate(read_text(path).splitlines(), 1):
        if not text.strip():
            continue
        values = [parse_number(part.strip()) for part in text.split(",")]
        if not 6 <= len(values) <= 10 or None in values or values[0] != int(values[0]):
            raise UserError(
                f"{path}, line {line}: found {text.strip()!r:.60}, expected "
                f"{_EXPECTED}; export it again"
            )
        frame, person, x, y, width, height, *more = values
        if more and not more[0]:
            unused.append(f"{path}:{line}")
            continue
        action = _action(path, line, classes, more)
        boxes.append(
            ToolBox(
                name,
                (x, y, x + width, y + height),
                (action,) if action and not interpret.is_person(action) else (),
                frame=int(frame),
                person=f"{person:g}" if person >= 0 else "",
                place=f"line {line}",
                ends=False,
            )
        )
    return ToolTable(
        path=os.fspath(path),
        tool="MOT",
        boxes=tuple(boxes),
        videos={name: video},
        actions=dict.fromkeys(c for c in classes if not interpret.is_person(c)),
        first_frame=1,
        is_tracked=True,
        notes=tuple(
            listed(
                "rows with the flag 0, left out",
                unused,
                "MOT does not count them.",
                "",
                is_problem=False,
            )
        ),
    )


def _sequence(folder: pathlib.Path, sequence: pathlib.Path) -> tuple[Video, str]:
    """What `seqinfo.ini` says of the video, and its name."""
    found = [one / "seqinfo.ini" for one in (folder, sequence)]
    path = next((one for one in found if one.is_file()), None)
    if path is None:
        return Video(), sequence.name
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(read_text(path))
        section = parser["Sequence"]
        video = Video(
            section.getfloat("frameRate", 0),
            section.getint("imWidth", 0),
            section.getint("imHeight", 0),
            section.getint("seqLength", 0),
        )
    except (configparser.Error, KeyError, ValueError) as error:
        reason = str(error).replace("\n", " ")
        raise UserError(
            f"{path}: found {reason:.100}, expected [Sequence] with frameRate, "
            "imWidth, imHeight and seqLength; correct it, or delete the file and give "
            "--fps and --size"
        ) from None
    return video, section.get("name", sequence.name)


def _classes(folder: pathlib.Path) -> list[str]:
    path = folder / "labels.txt"
    if not path.is_file():
        return []
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def _action(
    path: pathlib.Path, line: int, classes: list[str], more: list[float]
) -> str:
    """The name of a row's class; '' if it has none."""
    if not classes or len(more) < 2 or more[1] < 1:
        return ""
    if more[1] != int(more[1]) or more[1] > len(classes):
        raise UserError(
            f"{path}, line {line}: found class {more[1]:g}, expected 1 to "
            f"{len(classes)}, the lines of labels.txt; give the labels.txt of this file"
        )
    return classes[int(more[1]) - 1]
