"""Draws boxes with labels on frames."""

import functools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ava_jax.report import style

READABLE_HEIGHT = 360  # pixels; lower frames are enlarged before drawing
_OPACITY = 0.85  # of labels
_FACE = 4  # a face is in the upper quarter of a person's box
_PAD = 3  # pixels between the text and the edge of a label


class Line(NamedTuple):
    """One line of a label, on its own background colour."""

    text: str
    color: style.Color


def draw_people(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: Sequence[Sequence[Line]],
    colors: Sequence[style.Color],
    *,
    dashed: Sequence[bool] | None = None,
    scale: float | None = None,
) -> np.ndarray:
    """Draws boxes with a label above each.

    If there is no room above, or a face or another label, the label is below the box,
    in its lower part or in its middle. So no label covers the face of its own person,
    and that of another one only where there is no better place.

    Args:
      image: (H, W, 3) uint8 RGB; is not changed.
      boxes: (N, 4) xyxy in pixels of `image`; clipped to the image.
      labels: the lines of the label of each box; without lines there is no label.
      colors: the colours of the boxes.
      dashed: whether each box has dashed lines; None: all lines are solid.
      scale: factor by which the image is enlarged before drawing; None:
        `readable_scale` of its height.

    Returns:
      (round(H * scale), round(W * scale), 3) uint8 RGB.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    dashed = [False] * len(boxes) if dashed is None else dashed
    scale = readable_scale(image.shape[0]) if scale is None else scale
    picture = _resize(image, scale)
    height, width = picture.shape[:2]
    boxes = np.rint(np.clip(boxes * scale, 0, (width - 1, height - 1) * 2)).astype(int)
    thickness = max(2, round(height / 300))
    for i in np.argsort(dashed, kind="stable"):  # dashed lines over solid ones
        _draw_box(picture, boxes[i], colors[i], thickness, dashed[i])
    taken = np.zeros((0, 4), int)
    faces = np.array(boxes)
    faces[:, 3] = boxes[:, 1] + (boxes[:, 3] - boxes[:, 1]) // _FACE
    for box, lines in zip(boxes, labels, strict=True):
        if not lines:
            continue
        pixels = _fitted_label(lines, text_size(height), picture)
        edge = box + np.array([0, -thickness, 0, thickness])
        size = pixels.shape[1::-1]
        spot = _place(edge, size, (width, height), taken, faces)
        taken = np.vstack([taken, spot])
        area = picture[spot[1] : spot[3], spot[0] : spot[2]]
        cv2.addWeighted(pixels, _OPACITY, area, 1 - _OPACITY, 0, area)
    return picture


def draw_notice(picture: np.ndarray, text: str) -> None:
    """Draws text over the top of an RGB picture, in lines that fit; changes it."""
    height, width = picture.shape[:2]
    size = text_size(height)
    lines = _broken(text, size, width - 2 * _PAD)
    pixels = label(tuple(Line(line, style.WHITE) for line in lines), size)
    pixels = pixels[:height, :width]
    picture[: pixels.shape[0], : pixels.shape[1]] = pixels


def readable_scale(height: int) -> float:
    """Factor that makes a frame of this height readable; at least 1."""
    return max(1.0, READABLE_HEIGHT / height)


def text_size(height: int) -> int:
    """Font size, in pixels, on a picture `height` pixels high."""
    return int(np.clip(round(height / 36), 13, 32))


def line_height(size: int) -> int:
    """Pixels from one line of text of `size` pixels to the next."""
    return round(size * 1.3)


def text_width(text: str, size: int) -> int:
    """Width in pixels of a line of text of `size` pixels."""
    return math.ceil(_font(size).getlength(_printable(text)))


def shorten(text: str, size: int, width: int) -> str:
    """Cuts the text, with an ellipsis, until it is at most `width` pixels wide."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _broken(text: str, size: int, width: int) -> list[str]:
    """The text in lines of at most `width` pixels; a longer word is cut."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [shorten(line, size, width) for line in lines]


@functools.lru_cache(maxsize=256)
def label(lines: tuple[Line, ...], size: int) -> np.ndarray:
    """Draws the lines of a label, one below the other.

    Pillow draws them, because OpenCV's fonts have only ASCII characters and are hard to
    read at small sizes.

    Args:
      lines: at least one; characters that are not printable become spaces.
      size: font size in pixels.

    Returns:
      (line_height(size) * len(lines), width, 3) uint8 RGB; read only.
    """
    step = line_height(size)
    width = max(text_width(line.text, size) for line in lines) + 2 * _PAD
    image = Image.new("RGB", (width, step * len(lines)))
    draw = ImageDraw.Draw(image)
    for i, (text, color) in enumerate(lines):
        draw.rectangle((0, i * step, width, (i + 1) * step), color)
        middle, ink = (_PAD, (i + 0.5) * step), style.ink_on(color)
        draw.text(middle, _printable(text), ink, _font(size), anchor="lm")
    return np.asarray(image)


def encode_png(picture: np.ndarray) -> bytes:
    """Encodes an RGB image as a PNG file."""
    return _encode(picture, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 6])


def encode_jpeg(picture: np.ndarray, quality: int = 88) -> bytes:
    """Encodes an RGB image as a JPEG file: small, but with readable labels."""
    return _encode(picture, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def _encode(picture: np.ndarray, suffix: str, options: list[int]) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode(suffix, bgr, options)[1].tobytes()


@functools.lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(style.FONT_FILE, size)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _resize(image: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return image.copy()
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    return cv2.resize(image, size, interpolation=how)


def _draw_box(
    picture: np.ndarray,
    box: np.ndarray,
    color: style.Color,
    thickness: int,
    dashed: bool,
) -> None:
    x1, y1, x2, y2 = box.tolist()
    if not dashed:
        cv2.rectangle(picture, (x1, y1), (x2, y2), color, thickness)
        return
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]
    for start, end in zip(corners, corners[1:], strict=False):
        for a, b in _dashes(start, end, 4 * thickness):
            cv2.line(picture, a, b, color, thickness)


def _dashes(
    start: tuple[int, int], end: tuple[int, int], dash: int
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Divides a line into dashes of about `dash` pixels with gaps between."""
    # An odd number of pieces, so that the first and the last are dashes: both corners
    # are drawn.
    count = 2 * int(math.dist(start, end) // (2 * dash)) + 1
    points = np.rint(np.linspace(start, end, count + 1)).astype(int).tolist()
    return zip(points[::2], points[1::2], strict=True)


def _fitted_label(lines: Sequence[Line], size: int, frame: np.ndarray) -> np.ndarray:
    """The label, cropped to the size of the frame."""
    room = frame.shape[1] - 2 * _PAD
    lines = tuple(Line(shorten(text, size, room), color) for text, color in lines)
    return label(lines, size)[: frame.shape[0], : frame.shape[1]]


def _place(
    box: np.ndarray,
    size: tuple[int, int],
    frame: tuple[int, int],
    taken: np.ndarray,
    faces: np.ndarray,
) -> np.ndarray:
    """Finds the place of a label: above, below or within a box, left or right.

    Of these places, in this order, the first that covers the least area of faces and
    other labels is used.

    Args:
      box: (4,) the box of the person.
      size: width and height of the label.
      frame: width and height of the frame.
      taken: (M, 4) boxes of other labels.
      faces: (N, 4) boxes of all faces.

    Returns:
      (4,) the box of the label, inside the frame.
    """
    left, right = box[0], box[2] - size[0]
    above, below, foot = box[1] - size[1], box[3], box[3] - size[1]
    middle = (box[1] + foot) // 2
    corners = [(x, y) for y in (above, below, foot, middle) for x in (left, right)]
    if above < 0:  # clipping it to the frame would move it over the face
        corners = corners[2:]
    corners = np.clip(corners, 0, np.subtract(frame, size))
    spots = np.hstack([corners, corners + size])
    covered = _common_area(spots, np.concatenate([taken, faces]))
    return spots[covered.argmin()]


def _common_area(spots: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(S,) area of each of (S, 4) `spots` that (M, 4) `boxes` cover, in all."""
    low = np.maximum(spots[:, None, :2], boxes[:, :2])
    high = np.minimum(spots[:, None, 2:], boxes[:, 2:])
    return np.maximum(high - low, 0).prod(axis=2).sum(axis=1)
