"""Where boxes of people come from, by name."""

import os
import re

from ava_jax import published
from ava_jax.errors import UserError
from ava_jax.people.auto import auto_detector
from ava_jax.people.files import PeopleByTime, read_people
from ava_jax.people.hog import HogDetector
from ava_jax.people.onnx_detector import OnnxDetector
from ava_jax.people.onnx_layouts import LAYOUTS
from ava_jax.people.tiles import TiledDetector

_MOST_TILES = 16  # a side
FILES = (".csv", ".csv.gz", ".parquet", ".pkl", ".pickle", ".json")


def open_detector(
    name: str,
    frame_size: tuple[int, int] | None = None,
    video: str | None = None,
    threshold: float = 0.5,
) -> HogDetector | OnnxDetector | TiledDetector | PeopleByTime:
    """Opens what a command line calls a detector.

    Args:
      name: 'hog', 'yolox' or another published detector, which is fetched, 'auto'
        (yolox, or hog if that is not available), 'onnx:FILE' (or FILE.onnx),
        'onnx:LAYOUT:FILE' with a name in `onnx_layouts.LAYOUTS`, or a file of boxes:
        FILE.csv, .pkl or .json. A detector may begin with a number of tiles, columns
        first, on which it looks for small people: '3x2:hog'.
      frame_size: width and height of the video in pixels; needed by files.
      video: name of the video in a file of boxes that is of several.
      threshold: boxes with a lower score are left out; 0 to 1.

    Returns:
      A callable, RGB uint8 (H, W, 3) -> (N, 5) float32 of x1, y1, x2, y2 in pixels
      and score; or for files an object whose `at(seconds)` gives the same.

    Raises:
      UserError: there is no such detector, or its file cannot be read.
    """
    tiles = re.match(r"(\d+)x(\d+):", name)
    if tiles:
        return _open_tiled(tiles, name[tiles.end() :], threshold)
    kind, _, path = name.partition(":")
    if name == "hog":
        return HogDetector(threshold)
    if name == "auto":
        return auto_detector(threshold)
    file = None if os.path.exists(name) else published.get(name)
    if file is not None and file.kind == "person_detector":
        return OnnxDetector(published.fetch(file), threshold)
    if kind == "onnx" and path:
        layout, _, file = path.partition(":")
        if layout in LAYOUTS and file:
            return OnnxDetector(file, threshold, layout)
        return OnnxDetector(path, threshold)
    if name.endswith(".onnx"):
        return OnnxDetector(name, threshold)
    if name.endswith(FILES):
        if frame_size is None:
            raise ValueError("a file of boxes needs the size of the video's frames")
        return read_people(name, *frame_size, video=video, threshold=threshold)
    if name.endswith((".pt", ".pth")):
        raise UserError(
            f"{name}: weights without a network. Export it as ONNX with the program "
            "that it belongs to, and give onnx:FILE.onnx; docs/video.md has an example."
        )
    if os.path.exists(name):
        expected = f"a name that ends in {', '.join(FILES)} or .onnx"
        raise UserError(f"{name}: not known as a file of boxes, expected {expected}")
    raise UserError(
        f"There is no person detector {name!r}. Give auto, yolox, hog, onnx:FILE.onnx, "
        "or a file of boxes (.csv, .pkl, .json)."
    )


def _open_tiled(tiles, name, threshold):
    columns, rows = map(int, tiles.groups())
    if name.endswith(FILES):
        raise UserError(f"{tiles[0]} divides frames for a detector; {name} is a file.")
    if not (1 <= columns <= _MOST_TILES and 1 <= rows <= _MOST_TILES):
        raise UserError(
            f"{tiles[0]}{name}: expected 1 to {_MOST_TILES} tiles a side, as in 3x2:hog"
        )
    return TiledDetector(open_detector(name, threshold=threshold), columns, rows)
