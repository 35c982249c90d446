"""What an analysis of detections found, with names in place of numbers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ava_jax.metrics.analysis import Analysis


class NamedMistake(NamedTuple):
    """A false detection with a high score, or a true action with a low one.

    Attributes:
      is_false_alarm: which of the two.
      video: its name.
      second: of the key frame.
      box: (4,) xyxy, the detected box, fractions of the frame.
      action: its name.
      score: of the box and the action; None if the detections have none.
      true_box: (4,) of the true person with the highest IoU, if it is at least
        the metric's; None: there is none.
      true_actions: names of that person's actions.
    """

    is_false_alarm: bool
    video: str
    second: float
    box: np.ndarray
    action: str
    score: float | None
    true_box: np.ndarray | None
    true_actions: tuple[str, ...]


class Findings(NamedTuple):
    """An analysis, and its worst mistakes as they are told."""

    analysis: Analysis
    mistakes: Sequence[NamedMistake]
