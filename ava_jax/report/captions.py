"""Captions of boxes: their text as pixels, and where they find room."""

import functools
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ava_jax.report import style

# How bad it is to cover things, in units of one line height of distance.
_COVERED_HEAD = 12.0
_COVERED_PERSON = 3.0
_CROSSED_PERSON = 3.0
_RINGS = 9  # a caption is tried up to so many line heights away from its box


@functools.lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(style.FONT_FILE, size)


def line_height(size: int) -> int:
    """Pixels from one line of text of `size` pixels to the next."""
    return round(size * 1.3)


@functools.lru_cache(maxsize=4096)
def text_mask(text: str, size: int) -> np.ndarray:
    """Renders one line of text.

    OpenCV's own fonts know ASCII alone and are hard to read when small.

    Args:
      text: anything; characters that do not print become spaces.
      size: of the font, pixels.

    Returns:
      (line_height(size), width) uint8, 255 where the ink is; read only.
    """
    text = "".join(c if c.isprintable() else " " for c in text)
    font = _font(size)
    width = max(1, int(np.ceil(font.getlength(text))))
    mask = Image.new("L", (width, line_height(size)))
    draw = ImageDraw.Draw(mask)
    draw.text((0, line_height(size) / 2), text, font=font, fill=255, anchor="lm")
    pixels = np.asarray(mask)
    pixels.flags.writeable = False
    return pixels


def shorten(text: str, size: int, width: int) -> str:
    """Cuts the text, with an ellipsis, until it is at most `width` pixels wide."""
    if text_mask(text, size).shape[1] <= width:
        return text
    while text and text_mask(text + "…", size).shape[1] > width:
        text = text[:-1]
    return text.rstrip() + "…"


def place(
    sizes: Sequence[tuple[int, int]],
    boxes: np.ndarray,
    frame_size: tuple[int, int],
    step: int,
) -> list[tuple[int, int] | None]:
    """Finds room for the captions of boxes.

    Captions stay inside the frame and never overlap. As far as there is room
    they keep off heads (taken to be in the upper quarter of a box) and people,
    and near their box. The people nearest to the camera choose first.

    Args:
      sizes: width and height of every box's caption, pixels; (0, 0): none.
      boxes: (N, 4) xyxy in pixels.
      frame_size: width and height of the frame, pixels.
      step: distance in pixels between the places that are tried.

    Returns:
      For every box the x and y of its caption's upper left corner, or None if
      it has no caption or there is no room for it.
    """
    head_boxes = heads(boxes)
    taken = np.zeros((0, 4))
    places: list[tuple[int, int] | None] = [None] * len(boxes)
    areas = _area(boxes)
    for i in np.argsort(-areas, kind="stable"):
        width, height = sizes[i]
        if not width or width > frame_size[0] or height > frame_size[1]:
            continue
        spots = _candidates(boxes[i], width, height, frame_size, step)
        spots = spots[~(overlap(spots, taken) > 0).any(axis=1)]
        if not len(spots):
            continue
        cost = (
            _COVERED_HEAD * covered(spots, head_boxes)
            + _COVERED_PERSON * covered(spots, boxes)
            + _CROSSED_PERSON * _crossed(spots, boxes, i)
            + distance(spots, boxes[i]) / step
        )
        best = spots[np.argmin(cost)]
        taken = np.vstack([taken, best])
        places[i] = (int(best[0]), int(best[1]))
    return places


def leader(spots: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the lines that join captions to their box.

    Args:
      spots: (M, 4) xyxy of captions.
      box: (4,) xyxy.

    Returns:
      Points (M, 2) on the captions and (M, 2) on the box, near each other.
    """
    middle = (box[:2] + box[2:]) / 2
    start = np.clip(middle, spots[:, :2], spots[:, 2:])
    return start, np.clip(start, box[:2], box[2:])


def distance(rectangles: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Pixels between each rectangle (M, 4) and the box (4,); 0 if they touch."""
    dx = np.maximum(rectangles[:, 0] - box[2], box[0] - rectangles[:, 2])
    dy = np.maximum(rectangles[:, 1] - box[3], box[1] - rectangles[:, 3])
    return np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))


def _candidates(
    box: np.ndarray,
    width: int,
    height: int,
    frame_size: tuple[int, int],
    step: int,
) -> np.ndarray:
    """Rectangles (M, 4) above, below and beside the box, the best-liked first."""
    x1, y1, x2, y2 = box
    corners = []
    for gap in 2 + step * np.arange(_RINGS):
        columns = (x1, (x1 + x2 - width) / 2, x2 - width)
        rows = (y1, (y1 + y2 - height) / 2, y2 - height)
        corners += [(x, y1 - gap - height) for x in columns]
        corners += [(x, y2 + gap) for x in columns]
        corners += [(x2 + gap, y) for y in rows]
        corners += [(x1 - gap - width, y) for y in rows]
        corners += [
            (x, y)
            for x in (x1 - gap - width, x2 + gap)
            for y in (y1 - gap - height, y2 + gap)
        ]
    limits = np.array(frame_size) - (width, height)
    corners = np.clip(np.rint(corners), 0, limits)
    return np.hstack([corners, corners + (width, height)])


def heads(boxes: np.ndarray) -> np.ndarray:
    """Where the heads of upright people in the boxes are, roughly: (N, 4)."""
    x1, y1, x2, y2 = boxes.T
    side = (x2 - x1) * 0.2
    return np.stack([x1 + side, y1, x2 - side, y1 + (y2 - y1) * 0.25], axis=1)


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(
        boxes[:, 3] - boxes[:, 1], 0
    )


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Area that each of a (M, 4) shares with each of b (N, 4): (M, N)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.prod(np.maximum(high - low, 0), axis=2)


def _crossed(spots: np.ndarray, boxes: np.ndarray, own: int) -> np.ndarray:
    """How many other boxes lie between each spot and its own box: (M,).

    Boxes that overlap its own by half (the true box beside the detected one) are
    the same person and don't count.
    """
    start, end = leader(spots, boxes[own])
    along = np.linspace(0, 1, 9)[1:-1, None, None]
    points = start + along * (end - start)
    shared = overlap(boxes, boxes[own][None])[:, 0]
    others = boxes[shared < np.maximum(_area(boxes), 1) / 2]
    after = points[:, :, None] > others[:, :2]
    before = points[:, :, None] < others[:, 2:]
    return (after & before).all(axis=3).any(axis=0).sum(axis=1)


def covered(spots: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """How many boxes each spot covers, counting parts of them: (M,)."""
    return (overlap(spots, boxes) / np.maximum(_area(boxes), 1)).sum(axis=1)
