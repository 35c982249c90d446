"""YOLO's text files with a `data.yaml`, also as Roboflow writes them."""

import os
import pathlib
from collections.abc import Iterator, Sequence

from ava_jax.annotations.findings import listed
from ava_jax.annotations.text_files import parse_number
from ava_jax.annotations.tools import interpret, names
from ava_jax.annotations.tools.fields import LARGEST_FILE, Node, read_text
from ava_jax.annotations.tools.table import FRACTIONS, KeyFrame, ToolBox, ToolTable
from ava_jax.errors import UserError

_NOT_LABELS = ("classes.txt", "readme.roboflow.txt", "readme.dataset.txt")
_NOT_LABELS += ("train.txt", "valid.txt", "val.txt", "test.txt", "obj.names")
_EXPECTED = "class, centre x, centre y, width and height in fractions"


def read(path: str | os.PathLike, attributes: Sequence[str] = ()) -> ToolTable:
    """The boxes of all text files beside and below a `data.yaml`.

    Args:
      path: of `data.yaml`.
      attributes: not used; YOLO has none.

    Raises:
      UserError: there is no such file, or a line is no box of a named class.
    """
    path = pathlib.Path(path)
    classes = _classes(path)
    boxes: list[ToolBox] = []
    key_frames, outlines, others = [], [], []
    for file in _label_files(path.parent):
        found = names.picture_name(str(file.relative_to(path.parent)))
        if found is None:
            raise UserError(
                f"{file}: found no number in the name, expected that of a picture, as "
                "film_000031.txt; rename picture and text file"
            )
        own = []
        for line, text in enumerate(read_text(file).splitlines(), 1):
            if not (parts := text.split()):
                continue
            place = f"{file.relative_to(path.parent)}, line {line}"
            label, corners = _row(path.parent, place, parts, classes)
            outlines += [place] * (len(parts) > 6)
            others += [place] * (len(parts) == 6)
            actions = () if interpret.is_person(label) else (label,)
            own.append(ToolBox(found[0], corners, actions, None, found[1], "", place))
        boxes += own
        if not own:
            key_frames.append(KeyFrame(*found[:1], None, found[1], str(file)))
    return ToolTable(
        path=os.fspath(path),
        tool="YOLO",
        boxes=tuple(boxes),
        key_frames=tuple(key_frames),
        unit=FRACTIONS,
        actions=dict.fromkeys(
            c for c in classes.values() if not interpret.is_person(c)
        ),
        first_frame=None,
        counts_frames=False,
        notes=(
            *listed(
                "outlines instead of boxes",
                outlines,
                "The boxes around them were taken.",
                "",
                is_problem=False,
            ),
            *listed(
                "sixth numbers, left out",
                others,
                "They may be scores or ids of tracks, which the file does not say.",
                "",
                is_problem=False,
            ),
        ),
    )


def _classes(path: pathlib.Path) -> dict[int, str]:
    import yaml

    try:
        content = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = str(error).replace("\n", " ")
        raise UserError(
            f"{path}: found no YAML ({reason:.200}), expected YOLO's data.yaml; export "
            "it again"
        ) from None
    node = Node(content, str(path))["names"]
    if isinstance(node.value, dict):
        pairs = node.value.items()
    else:
        pairs = enumerate(one.text() for one in node.list())
    classes = {key: name for key, name in pairs if isinstance(key, int) and name}
    if len(classes) != len(node.value) or not classes:
        raise node.error("a name for each class", "name them")
    return {key: str(name).strip() for key, name in classes.items()}


def _label_files(root: pathlib.Path) -> Iterator[pathlib.Path]:
    files = [
        file for file in root.rglob("*.txt") if file.name.lower() not in _NOT_LABELS
    ]
    if not files:
        raise UserError(
            f"{root}: found no text file below it, expected those of the labels beside "
            "data.yaml, as labels/film_000031.txt; export as YOLO again"
        )
    if sum(file.stat().st_size for file in files) > LARGEST_FILE:
        raise UserError(f"{root}: over 1 GiB of labels; export fewer videos at a time")
    return iter(sorted(files))


def _row(
    root: pathlib.Path, place: str, parts: Sequence[str], classes: dict[int, str]
) -> tuple[str, tuple[float, float, float, float]]:
    """Name and corners of a line."""
    values = [parse_number(part) for part in parts]
    is_box = len(parts) in (5, 6)
    is_outline = len(parts) > 6 and len(parts) % 2 == 1
    if None in values or not (is_box or is_outline):
        raise UserError(
            f"{root}/{place}: found {' '.join(parts)!r:.60}, expected {_EXPECTED}; "
            "export it again"
        )
    if values[0] not in classes:
        raise UserError(
            f"{root}/{place}: found class {parts[0]}, expected one of those in "
            f"data.yaml: {', '.join(map(str, classes))}; give the data.yaml of these "
            "labels"
        )
    if is_box:
        x, y, width, height = values[1:5]
        corners = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    else:
        xs, ys = values[1::2], values[2::2]
        corners = min(xs), min(ys), max(xs), max(ys)
    return classes[values[0]], corners
