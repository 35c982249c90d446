"""Draws people's boxes with captions on frames."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from ava_jax.report import captions as captions_lib
from ava_jax.report import style

READABLE_HEIGHT = 360  # pixels; lower frames are enlarged before drawing
_CAPTION_OPACITY = 0.85
_PAD = 3  # pixels between a caption's text and its edge


class Line(NamedTuple):
    """One line of a caption, on its own background colour."""

    text: str
    color: style.Color


def draw_people(
    image: np.ndarray,
    boxes: np.ndarray,
    captions: Sequence[Sequence[str | Line]],
    colors: style.Color | Sequence[style.Color] = style.PREDICTED,
    *,
    dashed: Sequence[bool] | None = None,
    scale: float | None = None,
) -> np.ndarray:
    """Draws boxes and captions that do not cover each other.

    Args:
      image: (H, W, 3) uint8 RGB; left as it is.
      boxes: (N, 4) xyxy in pixels of `image`; cut at its edges.
      captions: for every box its lines, the most important first; a line without
        a colour of its own has its box's. Where there is no room for all lines
        the last are left out, in the end the whole caption.
      colors: of the boxes, or one for all.
      dashed: which boxes have dashed lines; None: none.
      scale: enlargement of the picture before drawing; None: as much as makes it
        `READABLE_HEIGHT` high, and 1 if it is higher.

    Returns:
      (round(H * scale), round(W * scale), 3) uint8 RGB.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    if np.ndim(colors) == 1:
        colors = [colors] * len(boxes)
    dashed = [False] * len(boxes) if dashed is None else dashed
    if scale is None:
        scale = max(1.0, READABLE_HEIGHT / image.shape[0])
    picture = _resize(image, scale)
    height, width = picture.shape[:2]
    boxes = np.clip(boxes * scale, 0, (width - 1, height - 1) * 2)

    thickness = max(2, round(height / 300))
    for i in np.argsort(dashed, kind="stable"):  # dashed lines lie over others
        _draw_box(picture, boxes[i], colors[i], thickness, dashed[i])

    size = text_size(height)
    blocks = [
        _fit(lines, color, size, width)
        for lines, color in zip(captions, colors, strict=True)
    ]
    blocks, places = _place_blocks(blocks, boxes, size, (width, height))
    for block, place, box, color in zip(blocks, places, boxes, colors, strict=True):
        if place is not None:
            _draw_leader(picture, block, place, box, color, size)
    for block, place in zip(blocks, places, strict=True):
        if place is not None:
            _draw_block(picture, block, place, size)
    return picture


def text_size(height: int) -> int:
    """Font size, in pixels, on a picture `height` pixels high."""
    return int(np.clip(round(height / 30), 13, 40))


def draw_text(
    picture: np.ndarray, text: str, x: int, y: int, size: int, color: style.Color
) -> None:
    """Writes a line of text into the picture, its upper left corner at x, y."""
    mask = captions_lib.text_mask(text, size)
    area = picture[y : y + mask.shape[0], x : x + mask.shape[1]]
    alpha = mask[: area.shape[0], : area.shape[1], None] / 255.0
    area[:] = np.rint(area * (1 - alpha) + np.array(color) * alpha)


def caption(lines: Sequence[Line], size: int) -> np.ndarray:
    """The lines below each other as a picture of their own, (H, W, 3) uint8 RGB."""
    width, height = _block_size(lines, size)
    picture = np.empty((height, width, 3), np.uint8)
    step = captions_lib.line_height(size)
    for i, line in enumerate(lines):
        picture[i * step : (i + 1) * step] = line.color
        ink = style.ink_on(line.color)
        draw_text(picture, line.text, _PAD, i * step, size, ink)
    return picture


def _resize(image: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return image.copy()
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=how)


def _draw_box(
    picture: np.ndarray,
    box: np.ndarray,
    color: style.Color,
    thickness: int,
    dashed: bool,
) -> None:
    x1, y1, x2, y2 = (int(v) for v in np.rint(box))
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]
    dash = 4 * thickness if dashed else 0
    for start, end in zip(corners, corners[1:], strict=False):
        for a, b in _dashes(start, end, dash):
            cv2.line(picture, a, b, color, thickness)


def _dashes(
    start: tuple[int, int], end: tuple[int, int], dash: int
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The line in pieces of `dash` pixels with gaps between; 0: in one piece."""
    length = np.hypot(end[0] - start[0], end[1] - start[1])
    if not dash or length <= dash:
        return [(start, end)]
    count = 2 * int(length // (2 * dash)) + 1  # odd: both corners are drawn
    points = np.rint(np.linspace(start, end, count + 1)).astype(int).tolist()
    return [(tuple(points[k]), tuple(points[k + 1])) for k in range(0, count, 2)]


def _fit(
    lines: Sequence[str | Line], color: style.Color, size: int, width: int
) -> list[Line]:
    """Gives every line a colour and cuts those wider than the picture."""
    full = [line if isinstance(line, Line) else Line(line, color) for line in lines]
    return [
        line._replace(text=captions_lib.shorten(line.text, size, width - 2 * _PAD))
        for line in full
    ]


def _block_size(block: Sequence[Line], size: int) -> tuple[int, int]:
    if not block:
        return 0, 0
    widths = [captions_lib.text_mask(line.text, size).shape[1] for line in block]
    return max(widths) + 2 * _PAD, captions_lib.line_height(size) * len(block)


def _place_blocks(
    blocks: list[list[Line]], boxes: np.ndarray, size: int, frame: tuple[int, int]
) -> tuple[list[list[Line]], list[tuple[int, int] | None]]:
    """Places the blocks, with fewer lines each if that gives more people one."""
    step = captions_lib.line_height(size)
    longest = max((len(block) for block in blocks), default=0)
    best = blocks, [None] * len(blocks)
    fewest_missing = len(blocks) + 1
    for limit in range(longest, 0, -1):
        cut = [block[:limit] for block in blocks]
        sizes = [_block_size(block, size) for block in cut]
        places = captions_lib.place(sizes, boxes, frame, step)
        missing = sum(bool(b) and p is None for b, p in zip(cut, places, strict=True))
        if missing < fewest_missing:
            best, fewest_missing = (cut, places), missing
        if not missing:
            break
    return best


def _draw_leader(
    picture: np.ndarray,
    block: Sequence[Line],
    place: tuple[int, int],
    box: np.ndarray,
    color: style.Color,
    size: int,
) -> None:
    """Joins a caption that is not next to its box to it."""
    width, height = _block_size(block, size)
    spot = np.array([[*place, place[0] + width, place[1] + height]])
    if captions_lib.distance(spot, box)[0] < size / 2:
        return
    ends = captions_lib.leader(spot, box)
    start, end = (np.rint(point[0]).astype(int).tolist() for point in ends)
    cv2.line(picture, start, end, color, 2, cv2.LINE_AA)


def _draw_block(
    picture: np.ndarray, block: Sequence[Line], place: tuple[int, int], size: int
) -> None:
    x, y = place
    pixels = caption(block, size)
    area = picture[y : y + pixels.shape[0], x : x + pixels.shape[1]]
    cv2.addWeighted(pixels, _CAPTION_OPACITY, area, 1 - _CAPTION_OPACITY, 0, area)


def encode_png(picture: np.ndarray) -> bytes:
    """The RGB picture as a PNG file."""
    return _encode(picture, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 6])


def encode_jpeg(picture: np.ndarray) -> bytes:
    """The RGB picture as a JPEG file, small but with legible captions."""
    return _encode(picture, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 88])


def _encode(picture: np.ndarray, suffix: str, options: list[int]) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode(suffix, bgr, options)[1].tobytes()
