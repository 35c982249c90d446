"""Sources of person boxes: detectors, files, functions, fixed boxes."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import logging

from ava_jax import people
from ava_jax.people.boxes import checked_boxes
from ava_jax.video.reader import VideoReader

# From the RGB frame (H, W, 3) and its time in seconds to boxes (N, 4) float32.
PersonSource = Callable[[np.ndarray, float], np.ndarray]


def as_person_source(boxes: Any, video: VideoReader) -> PersonSource:
    """Converts anything that gives boxes to a function of frame and time.

    Args:
      boxes: what `predict.Detector.predict_video` takes.
      video: whose size and name a file of boxes is read for.

    Raises:
      UserError: a file cannot be read; from the function: see `checked_boxes`.
    """
    if boxes is None:
        boxes = people.HogDetector()
    elif isinstance(boxes, str | os.PathLike):
        size, name = (video.width, video.height), pathlib.Path(video.name).stem
        path, boxes = boxes, people.open_detector(os.fspath(boxes), size, name)
        _warn_of_times(path, boxes, video.duration)
    if callable(getattr(boxes, "at", None)):  # `at` of JAX's arrays is a property
        return lambda frame, time: _boxes(boxes.at(time), frame)
    if callable(boxes):
        return lambda frame, time: _boxes(boxes(frame), frame)
    fixed = checked_boxes(boxes, (video.width, video.height))[:, :4]
    return lambda frame, time: fixed


def _warn_of_times(path, who: Any, duration: float | None) -> None:
    """Logs if the times of a file are all after the end of the video."""
    if isinstance(who, people.PeopleByTime) and duration and who.times[0] > duration:
        logging.warning(
            "%s has boxes from second %g to %g, but the video ends after %.1f s: "
            "nobody is found in it. Seconds count from the video's first frame; for "
            "others, give people.read_people(...) with its `times` shifted.",
            path,
            who.times[0],
            who.times[-1],
            duration,
        )


def _boxes(boxes: Any, frame: np.ndarray) -> np.ndarray:
    """The boxes of people in a frame (H, W, 3), (N, 4) without scores."""
    return checked_boxes(boxes, frame.shape[1::-1])[:, :4]
