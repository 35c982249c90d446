"""Files of annotation tools: one reader a format, and writers for four.

`read` recognises a file by its content. Readers know one file and say what is in it;
`ava_jax.prepare.importing` makes seconds, fractions and action ids of it.
"""

import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

from ava_jax.annotations.text_files import is_gzip, parse_number
from ava_jax.annotations.tools import (
    coco,
    csv_table,
    cvat,
    fields,
    label_studio,
    mot,
    via2,
    via3,
    voc,
    yolo,
)
from ava_jax.annotations.tools.table import KeyFrame, ToolBox, ToolTable, Video
from ava_jax.errors import UserError

__all__ = [
    "WRITERS",
    "KeyFrame",
    "ToolBox",
    "ToolTable",
    "Video",
    "read",
    "recognise",
    "write",
]

Reader = Callable[[str, Sequence[str]], ToolTable]
WRITERS = {
    "cvat": cvat.write,
    "via3": via3.write,
    "coco": coco.write,
    "labelstudio": label_studio.write,
}
_TOOLS = {
    cvat.read: "CVAT",
    via2.read_csv: "VIA 2",
    via2.read_json: "VIA 2",
    via3.read_csv: "VIA 3",
    via3.read_json: "VIA 3",
    coco.read: "COCO",
    label_studio.read: "Label Studio",
    voc.read: "Pascal VOC",
    yolo.read: "YOLO",
}
_KNOWN = (
    "expected a file of CVAT (XML), VIA 2 or 3 (JSON, CSV), COCO, Label Studio, Pascal "
    "VOC, YOLO (data.yaml), MOT (gt.txt), or a CSV of boxes"
)


def read(
    path: str | os.PathLike,
    attributes: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
) -> ToolTable:
    """The labelled boxes of a file or folder of an annotation tool.

    Args:
      path: of the file; or of a folder with `data.yaml`, `gt/gt.txt`, `annotations.xml`
        or Pascal VOC's files.
      attributes: names of the attributes that are actions; empty: all that can be.
      columns: names or numbers of columns by role, for CSV files that do not say what
        their columns are: see `columns.ROLES`.

    Raises:
      UserError: no tool's file, or something in it is missing or wrong.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        path = _of_folder(pathlib.Path(path))
    reader = _reader(path)
    if reader is csv_table.read:
        return csv_table.read(path, columns)
    return reader(path, attributes)


def write(table: ToolTable, path: str | os.PathLike, format: str) -> list[pathlib.Path]:
    """Writes a file that the tool imports, for correction in it.

    Args:
      table: boxes in fractions with `time`, persons as numbers, `fps`, `width`,
        `height` and `frames` of every video, and ids of all `actions`.
      path: of the file; for CVAT a folder, in which every video has its file.
      format: a key of `WRITERS`.

    Returns:
      The files that were written.

    Raises:
      UserError: it cannot be written.
    """
    return WRITERS[format](table, path)


def recognise(path: str | os.PathLike) -> str:
    """The tool whose file it is, by its content: 'CVAT'; '' for a CSV or none."""
    path = os.fspath(path)
    if not os.path.isfile(path) or path.endswith((".parquet", ".npz")) or is_gzip(path):
        return ""
    try:
        return _TOOLS.get(_reader(path), "")
    except UserError:
        return ""  # of no tool


def _of_folder(folder: pathlib.Path) -> str:
    """What to read of a folder."""
    for name in ("data.yaml", "data.yml", "gt/gt.txt", "gt.txt", "annotations.xml"):
        if (folder / name).is_file():
            return str(folder / name)
    if next(folder.rglob("*.xml"), None):
        return str(folder)
    raise UserError(
        f"{folder}: found none of data.yaml, gt/gt.txt, annotations.xml and VOC's "
        f"*.xml, {_KNOWN}; give the file itself"
    )


def _reader(path: str) -> Reader:
    """The reader that fits the content."""
    if os.path.isdir(path):
        return voc.read
    head = _head(path)
    if head.startswith("<"):
        # Of both, the root's name is among the first words.
        return voc.read if "<annotation>" in head else cvat.read
    if path.endswith((".yaml", ".yml")):
        return yolo.read
    if head.startswith(("{", "[")):
        return _json_reader(path)
    first = head.partition("\n")[0]
    if first.startswith("#") and "CSV_HEADER" in head:
        return via3.read_csv
    if "region_shape_attributes" in first:
        return via2.read_csv
    numbers = [parse_number(cell) for cell in first.split(",")]
    if os.path.basename(path) in ("gt.txt", "det.txt"):
        return mot.read
    if path.endswith(".txt") and 6 <= len(numbers) <= 10 and None not in numbers:
        return mot.read
    return csv_table.read


def _head(path: str) -> str:
    """The beginning of a file, without spaces before it."""
    try:
        with open(path, "rb") as file:
            head = file.read(1 << 14)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); check the path"
        ) from None
    if head.startswith(b"PK"):
        raise UserError(f"{path}: found a ZIP archive, {_KNOWN}; unpack it first")
    return head.decode("utf-8-sig", errors="replace").lstrip()


def _json_reader(path: str) -> Reader:
    root = fields.read(path)
    if isinstance(root.value, list):
        return label_studio.read
    if "metadata" in root and "attribute" in root:
        return via3.read_json
    if "annotations" in root and "images" in root:
        return coco.read
    entries = [entry for entry in root.value.values() if isinstance(entry, dict)]
    if "_via_img_metadata" in root or any("regions" in entry for entry in entries):
        return via2.read_json
    keys = json.dumps(list(root.value)[:5])
    raise UserError(
        f"{path}: found a JSON object with {keys}, {_KNOWN}; export it again"
    )
