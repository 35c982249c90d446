"""Sources of person boxes: detectors, files, functions, fixed boxes."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ava_jax import people
from ava_jax.errors import UserError
from ava_jax.video.reader import VideoReader

# From the RGB frame (H, W, 3) and its time in seconds to boxes (N, 4) float32.
PersonSource = Callable[[np.ndarray, float], np.ndarray]


def as_person_source(boxes: Any, video: VideoReader) -> PersonSource:
    """Converts anything that gives boxes to a function of frame and time.

    Args:
      boxes: what `predict.Detector.predict_video` takes.
      video: whose size and name a file of boxes is read for.

    Raises:
      UserError: a file cannot be read; from the function: it returned no boxes.
    """
    if boxes is None:
        boxes = people.HogDetector()
    elif isinstance(boxes, str | os.PathLike):
        size, name = (video.width, video.height), pathlib.Path(video.name).stem
        boxes = people.open_detector(os.fspath(boxes), size, name)
    if callable(getattr(boxes, "at", None)):  # `at` of JAX's arrays is a property
        return lambda frame, time: checked_boxes(boxes.at(time))
    if callable(boxes):
        return lambda frame, time: checked_boxes(boxes(frame))
    fixed = checked_boxes(boxes)
    return lambda frame, time: fixed


def checked_boxes(boxes: Any) -> np.ndarray:
    """Boxes as (N, 4) float32, without scores.

    Args:
      boxes: (N, 4) x1, y1, x2, y2 in pixels, or (N, 5) with a score as the last column.

    Raises:
      UserError: it is something else, or a coordinate is not finite.
    """
    array = np.asarray(boxes, np.float32)
    if array.size == 0:
        return np.zeros((0, 4), np.float32)
    if array.ndim != 2 or array.shape[1] not in (4, 5):
        raise UserError(
            f"Boxes of shape {array.shape}; expected (people, 4): x1, y1, x2, y2 in "
            "pixels of the frame."
        )
    wrong = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(wrong):
        raise UserError(
            f"boxes[{wrong[0]}] is {array[wrong[0]].tolist()}; expected finite pixels "
            "x1, y1, x2, y2."
        )
    return array[:, :4]
