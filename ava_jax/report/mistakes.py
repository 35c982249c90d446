"""The worst mistakes, each with the part of the frame around it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ava_jax.metrics.error_analysis import NamedMistake
from ava_jax.report import contact_sheet, drawing, style

# The RGB frame, (H, W, 3) uint8, at a second of a video; None if it cannot be read.
ReadFrame = Callable[[str, float], np.ndarray | None]

_SIZE = 400, 300  # pixels, width and height of a picture
_LEAST = 0.5  # smallest height of the part, as a share of the height of the frame
_MARGIN = 0.2  # on each side of the boxes, as a share of the picture


class Figure(NamedTuple):
    """A mistake as the page shows it."""

    kind: str  # 'false' or 'low'
    headline: str
    truth: str
    place: str
    image: bytes | None  # a JPEG file


def figures(
    mistakes: Sequence[NamedMistake], read_frame: ReadFrame | None
) -> list[Figure]:
    """The mistakes as the page shows them; without pictures if `read_frame` is None."""
    return [_figure(mistake, read_frame) for mistake in mistakes]


def _figure(mistake: NamedMistake, read_frame: ReadFrame | None) -> Figure:
    frame = None if read_frame is None else read_frame(mistake.video, mistake.second)
    return Figure(
        kind="false" if mistake.is_false_alarm else "low",
        headline=headline(mistake),
        truth=truth(mistake),
        place=f"{mistake.video}, second {mistake.second:g}",
        image=None if frame is None else drawing.encode_jpeg(draw(mistake, frame)),
    )


def headline(mistake: NamedMistake) -> str:
    """'✗ walk 0.93' for a false positive, '○ walk 0.02' for a low score."""
    mark = contact_sheet.WRONG if mistake.is_false_alarm else contact_sheet.MISSED
    score = "no score" if mistake.score is None else f"{mistake.score:.2f}"
    return f"{mark} {style.short_action(mistake.action)} {score}"


def truth(mistake: NamedMistake) -> str:
    """The true actions of the person, as a sentence."""
    if mistake.true_box is None:
        return "Nobody is annotated there."
    actions = ", ".join(map(style.short_action, mistake.true_actions)) or "no action"
    if mistake.is_false_alarm and mistake.action in mistake.true_actions:
        return f"True: {actions}; another box was matched with it."
    return f"True: {actions}."


def draw(mistake: NamedMistake, frame: np.ndarray) -> np.ndarray:
    """Draws the detected and the true box on the part of the frame around them.

    Args:
      mistake: the mistake to show.
      frame: (H, W, 3) uint8 RGB.

    Returns:
      (300, 400, 3) uint8 RGB; smaller if the frame has another aspect ratio.
    """
    boxes = [box for box in (mistake.box, mistake.true_box) if box is not None]
    boxes = np.array(boxes) * ((frame.shape[1], frame.shape[0]) * 2)
    left, top, right, bottom = _surroundings(boxes, frame.shape)
    part = frame[top:bottom, left:right]
    color = contact_sheet.MARK_COLORS[headline(mistake)[0]]
    return drawing.draw_people(
        part,
        boxes - ((left, top) * 2),
        [[drawing.Line(headline(mistake), color)], []][: len(boxes)],
        [style.PREDICTED, style.TRUE][: len(boxes)],
        dashed=[False, True][: len(boxes)],
        scale=min(_SIZE[0] / part.shape[1], _SIZE[1] / part.shape[0]),
    )


def _surroundings(boxes: np.ndarray, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Left, top, right and bottom of the part of a frame to show, in pixels."""
    frame = np.array([shape[1], shape[0]])
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    # Pixels of the frame for each pixel of the picture.
    scale = np.max((high - low) / np.array(_SIZE)) / (1 - 2 * _MARGIN)
    scale = max(scale, _LEAST * shape[0] / _SIZE[1])
    size = np.minimum(np.rint(scale * np.array(_SIZE)), frame).astype(int)
    corner = np.clip(np.rint((low + high - size) / 2), 0, frame - size).astype(int)
    return (*corner.tolist(), *(corner + size).tolist())
