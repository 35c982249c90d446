"""Draws who does what on the frames of a video."""

from collections.abc import Sequence

import numpy as np

from ava_jax.report import drawing, style

_PALETTE = (
    style.ORANGE,
    style.SKY_BLUE,
    style.GREEN,
    style.VERMILION,
    style.PURPLE,
    style.BLUE,
)

Actions = Sequence[tuple[str, float]]


def track_color(number: int) -> style.Color:
    """The colour of a person, by the number that the tracker gave."""
    return _PALETTE[(number - 1) % len(_PALETTE)]


class Annotator:
    """Draws boxes in track colours, each with a label of number, actions and scores."""

    def __init__(self, frame_size: tuple[int, int], notice: str = ""):
        """Chooses the size of the picture: low ones are enlarged to be readable.

        Args:
          frame_size: width and height of the video's frames.
          notice: a line at the top of every picture.
        """
        self._notice = notice
        width, height = frame_size
        self._scale = drawing.readable_scale(height)
        self.size = (round(width * self._scale), round(height * self._scale))

    def draw(
        self,
        frame: np.ndarray,
        boxes: np.ndarray,
        numbers: np.ndarray,
        actions: Sequence[Actions],
    ) -> np.ndarray:
        """Draws the people of one frame.

        Args:
          frame: (H, W, 3) uint8 RGB; left as it is.
          boxes: (N, 4) xyxy in pixels of `frame`.
          numbers: (N,) of the tracker.
          actions: for every person (name, score), in the order of the lines.

        Returns:
          (height, width, 3) uint8 RGB of `size`.
        """
        numbers = np.asarray(numbers).tolist()
        labels = [_label(*person) for person in zip(numbers, actions, strict=True)]
        colors = [track_color(number) for number in numbers]
        picture = drawing.draw_people(frame, boxes, labels, colors, scale=self._scale)
        if self._notice:
            drawing.draw_notice(picture, self._notice)
        return picture


def _label(number: int, actions: Actions) -> list[drawing.Line]:
    """'3 walk 0.93' and a line for each further action; the number alone without."""
    texts = [f"{style.short_action(name)} {score:.2f}" for name, score in actions]
    first, *others = texts or [""]
    lines = [f"{number} {first}".rstrip(), *others]
    return [drawing.Line(text, track_color(number)) for text in lines]
