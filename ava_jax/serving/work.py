"""What the service does with a video or a clip, apart from HTTP."""

import base64
import binascii
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ava_jax.errors import UserError
from ava_jax.inference.clip_sampler import sample_clips
from ava_jax.inference.person_source import as_person_source
from ava_jax.inference.video_predictor import new_tracker
from ava_jax.inference.video_results import KeyFrameResult
from ava_jax.people.boxes import checked_boxes
from ava_jax.predict import Detector
from ava_jax.serving.batching import Batcher
from ava_jax.serving.limits import Limits
from ava_jax.video.reader import VideoReader
from ava_jax.video.resize import resize_frame, size_for_short_side
from ava_jax.visualization.result_files import people_line


class Service:
    """A detector whose clips are scored together, whoever asks."""

    def __init__(
        self, detector: Detector, people: Callable, limits: Limits, batch: int
    ):
        """Starts the thread that scores.

        Args:
          detector: of the actions.
          people: finds people in frames, as `people.open_detector` gives it.
          limits: of a request.
          batch: clips that the device scores at a time, at most.

        Raises:
          UserError: the detector needs more than a clip.
        """
        if detector.features is not None:
            raise UserError(
                f"{detector.config.name} needs the long-term features of a whole video "
                "first, which the service does not compute: ava-jax predict does."
            )
        self.detector = detector
        self.limits = limits
        self._people = people
        self.batcher = Batcher(detector.scorer, batch)

    def warm_up(self, size: tuple[int, int]) -> None:
        """Compiles the programs for videos of a width and height."""
        data = self.detector.config.data
        height, width = size_for_short_side(size[1], size[0], data.test_short_side)
        clip = np.zeros((data.clip_len, height, width, 3), np.uint8)
        box = np.array([[0, 0, width, height]], np.float32)
        self.batcher.warm_up(self.detector.scorer.rows(clip, box, (height, width))[0])

    def video(self, path: os.PathLike, every: float, deadline: float) -> Iterator[dict]:
        """The key frames of a video, as `ava-jax predict` writes them.

        Args:
          path: of an uploaded file.
          every: seconds from one key frame to the next.
          deadline: by `time.monotonic`.

        Yields:
          What `result_files.people_line` makes of each.

        Raises:
          UserError: it is no video, too long, or its frames are too large.
          TimeoutError: the deadline has passed.
        """
        tracker = new_tracker(every)
        sampling = self.detector.sampling(every)
        with VideoReader(path, trusted=False, max_pixels=self.limits.pixels) as video:
            self._check_length(video.duration or 0)
            find = as_person_source(self._people, video)
            for sampled in sample_clips(video, sampling):
                self._check_length(sampled.time)
                boxes = find(sampled.frame, sampled.time)
                rows = self.detector.scorer.rows(
                    sampled.clip, boxes, sampled.frame.shape[:2]
                )
                scores = self.batcher.score(rows, _left(deadline))
                ids = tracker.update(boxes, sampled.time)
                yield people_line(
                    KeyFrameResult(
                        sampled.time,
                        sampled.frame,
                        boxes,
                        ids,
                        tracker.smooth(ids, scores),
                        self.detector.labels,
                        0.0,
                    )
                )

    def clip(
        self, frames: Sequence[str], boxes: Sequence, deadline: float
    ) -> list[dict[str, float]]:
        """The actions of the boxes of one clip.

        Args:
          frames: pictures, JPEG or PNG in base64.
          boxes: (N, 4) xyxy in their pixels.
          deadline: by `time.monotonic`.

        Returns:
          Of each box its actions and their scores.

        Raises:
          UserError: pictures or boxes are none, too many, or too large.
          TimeoutError: the deadline has passed.
        """
        length = self.detector.config.data.clip_len
        if len(frames) != length:
            raise UserError(f"{len(frames)} frames; expected {length}")
        if len(boxes) > self.limits.boxes:
            raise UserError(f"{len(boxes)} boxes; expected {self.limits.boxes} at most")
        images = [self._picture(i, text) for i, text in enumerate(frames)]
        size = images[0].shape[:2]
        if any(image.shape[:2] != size for image in images):
            raise UserError("Frames of several sizes; expected one")
        people = checked_boxes(boxes, size[::-1])[:, :4]
        side = self.detector.config.data.test_short_side
        clip = np.stack([resize_frame(image, side) for image in images])
        rows = self.detector.scorer.rows(clip, people, size)
        scores = self.batcher.score(rows, _left(deadline))
        names = self.detector.labels[1:]
        return [
            dict(zip(names, row[1:].round(4).tolist(), strict=True)) for row in scores
        ]

    def _picture(self, number: int, text: str) -> np.ndarray:
        """(H, W, 3) RGB."""
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise UserError(f"Frame {number} is no base64: {error}") from error
        width, height = picture_size(content)
        if not width * height:
            raise UserError(f"Frame {number} is no JPEG or PNG file")
        if width * height > self.limits.pixels:
            raise UserError(
                f"Frame {number} has {width} x {height} pixels; expected at most "
                f"{self.limits.pixels:,.0f}"
            )
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise UserError(f"Frame {number} is damaged")
        return image[..., ::-1]

    def _check_length(self, seconds: float) -> None:
        if seconds > self.limits.seconds:
            raise UserError(
                f"The video is longer than {self.limits.seconds:g} s; cut it in pieces"
            )

    def about(self) -> dict[str, Any]:
        """What a client should know."""
        data = self.detector.config.data
        return {
            "model": self.detector.config.name,
            "trained_on": self.detector.trained_on,
            "actions": list(self.detector.labels[1:]),
            "clip": {
                "frames": data.clip_len,
                "frame_interval": data.frame_interval,
                "fps": data.fps,
            },
            "limits": vars(self.limits),
        }


def picture_size(content: bytes) -> tuple[int, int]:
    """Width and height that a JPEG or PNG file declares; 0, 0 for another file.

    Nothing is decoded, so that a small file of a huge picture does no harm.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return 0, 0


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
