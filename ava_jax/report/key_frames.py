"""Key frames of a video as a part of a page, for notebooks."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ava_jax.report import drawing, page
from ava_jax.report.people import Actions, Annotator

_WIDTHS = {1: 640}  # pixels, by the number of key frames
_WIDTH = 360  # of more
_QUALITY = 80


class KeyFrame(NamedTuple):
    """A key frame and its people.

    Attributes:
      time: seconds.
      frame: (H, W, 3) uint8 RGB.
      boxes: (N, 4) xyxy in pixels of the frame.
      numbers: (N,) of the people.
      actions: (name, score) of each person, the best first.
    """

    time: float
    frame: np.ndarray
    boxes: np.ndarray
    numbers: np.ndarray
    actions: Sequence[Actions]


def render(title: str, key_frames: Sequence[KeyFrame]) -> str:
    """Renders HTML without a head: pictures with people and their actions.

    Args:
      title: a line below the pictures.
      key_frames: in the order in which they are shown.
    """
    width = _WIDTHS.get(len(key_frames), _WIDTH)
    return page.render(
        "key_frames.html",
        title=title,
        frames=[
            {
                "width": width,
                "jpeg": _picture(key_frame),
                "caption": f"{key_frame.time:g} s",
                "description": _in_words(key_frame),
            }
            for key_frame in key_frames
        ],
    )


def _picture(key_frame: KeyFrame) -> bytes:
    height, width = key_frame.frame.shape[:2]
    annotator = Annotator((width, height))
    _, frame, boxes, numbers, actions = key_frame
    return drawing.encode_jpeg(annotator.draw(frame, boxes, numbers, actions), _QUALITY)


def _in_words(key_frame: KeyFrame) -> str:
    """What the picture shows, for those who do not see it."""
    people = [
        f"person {number}: {', '.join(f'{n} {s:.2f}' for n, s in actions) or 'nothing'}"
        for number, actions in zip(key_frame.numbers, key_frame.actions, strict=True)
    ]
    return f"{key_frame.time:g} s; " + ("; ".join(people) or "nobody")
