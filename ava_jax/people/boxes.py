"""What boxes of people have in common, whatever they come from."""

from typing import Any

import numpy as np

from ava_jax.annotations.box_checks import in_pixels, is_inverted, is_off_frame
from ava_jax.errors import UserError

# What data sets and detectors call the class of people, in lower case.
PERSON_NAMES = ("person", "persons", "people", "pedestrian", "pedestrians", "human")


def checked_boxes(boxes: Any, size: tuple[int, int], name: str = "boxes") -> np.ndarray:
    """Boxes in pixels of a picture as (N, 5) float32: x1, y1, x2, y2, score.

    Args:
      boxes: (N, 4), whose scores are 1, or (N, 5); or a tuple of boxes (N, 4) and
        scores (N,).
      size: width and height of the picture.
      name: of the boxes, for messages.

    Raises:
      UserError: it is something else; a number is not finite; a box is inverted, is
        in fractions of the picture, or is not on it.
    """
    array = _as_array(boxes, name)
    box = array[:, :4]
    # If all of them are so small: one alone may be a sliver of somebody in the corner.
    # Boxes of zeros, with which some detectors fill their output up, do not count.
    has_area = (box[:, 2:] > box[:, :2]).all(axis=1)
    in_fractions = has_area & ~in_pixels(box[has_area]).any()
    width, height = size
    wrong = (
        (~np.isfinite(array).all(axis=1), "expected finite pixels x1, y1, x2, y2."),
        (
            is_inverted(box),
            "expected x1 <= x2 and y1 <= y2. Is it x, y, width, height? Then give x, "
            "y, x + width, y + height.",
        ),
        (
            in_fractions,
            f"expected pixels. Are these fractions of the picture? Then multiply x1 "
            f"and x2 by its width, {width}, y1 and y2 by its height, {height}.",
        ),
        (
            is_off_frame(box, size),
            f"which is not on the picture of {width} x {height} pixels. Is it of a "
            "picture of another size?",
        ),
    )
    for rows, message in wrong:
        if rows.any():
            first = int(np.argmax(rows))
            values = ", ".join(f"{value:.6g}" for value in box[first])
            raise UserError(f"{name}[{first}] is [{values}]; {message}")
    return array


def _as_array(boxes: Any, name: str) -> np.ndarray:
    """(N, 5) float32."""
    try:
        if _is_pair(boxes):
            boxes = np.concatenate([boxes[0], np.asarray(boxes[1])[:, None]], axis=1)
        array = np.asarray(boxes, np.float32)
    except (TypeError, ValueError):
        raise UserError(
            f"{name}: {type(boxes).__name__} of no regular shape; expected an array of "
            "(people, 4) or, with scores, (people, 5), or a tuple of boxes and scores."
        ) from None
    if array.size == 0:
        return np.zeros((0, 5), np.float32)
    if array.ndim != 2 or array.shape[1] not in (4, 5):
        raise UserError(
            f"{name} of shape {array.shape}; expected (people, 4): x1, y1, x2, y2 in "
            "pixels of the frame."
        )
    if array.shape[1] == 5:
        return array
    return np.concatenate([array, np.ones((len(array), 1), np.float32)], axis=1)


def _is_pair(boxes: Any) -> bool:
    """Whether it is a tuple of boxes (N, 4) and scores (N,)."""
    return (
        isinstance(boxes, tuple)
        and len(boxes) == 2
        and (np.ndim(boxes[0]), np.ndim(boxes[1])) == (2, 1)
    )
