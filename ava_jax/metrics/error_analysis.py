"""Results of an error analysis with the names of videos and actions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ava_jax.metrics.analysis import Analysis


class NamedMistake(NamedTuple):
    """A false positive with a high score, or a true action with a low score.

    Attributes:
      is_false_alarm: whether it is a false positive.
      video: name of the video.
      second: timestamp of the key frame.
      box: (4,) xyxy, the detected box, in fractions of the frame.
      action: name of the action.
      score: score of the action for this box; None if it was not detected.
      true_box: (4,) box of the true person with the highest IoU; None if that IoU is
        below the threshold of the metric.
      true_actions: names of the actions of this person.
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
    """An analysis, and its worst mistakes with names."""

    analysis: Analysis
    mistakes: Sequence[NamedMistake]
