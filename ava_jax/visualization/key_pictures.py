"""Small annotated pictures of some key frames, for the page of a video."""

import cv2
import numpy as np

from ava_jax.report.drawing import encode_jpeg
from ava_jax.report.video_page import Picture

_MOST = 12
_WIDTH = 480  # pixels


class KeyPictures:
    """Takes annotated frames in order; keeps evenly spread ones of key frames."""

    def __init__(self):
        self._pictures: list[Picture] = []
        self._key_frame = None
        self._count, self._step = 0, 1

    def add(
        self, time: float, key_frame: float, people: int, picture: np.ndarray
    ) -> None:
        """Takes the first frame at or after a key frame.

        Args:
          time: of the frame, in seconds.
          key_frame: time of the key frame that is nearest to it.
          people: how many it shows.
          picture: (H, W, 3) uint8 RGB.
        """
        if key_frame == self._key_frame or time < key_frame:
            return
        self._key_frame = key_frame
        if self._count % self._step == 0:
            self._pictures.append(Picture(time, people, _encode(picture)))
        self._count += 1
        # Nobody knows how long the video will be: every second one is dropped.
        if len(self._pictures) == 2 * _MOST:
            self._pictures, self._step = self._pictures[::2], 2 * self._step

    def evenly_spread(self) -> list[Picture]:
        """At most twelve, in the order of their times."""
        step = -(-len(self._pictures) // _MOST) or 1
        return self._pictures[::step]

    def poster(self) -> bytes | None:
        """JPEG of the one with most people, the first of several; None without any."""
        fullest = max(self._pictures, key=lambda p: p.people, default=None)
        return fullest and fullest.jpeg


def _encode(picture: np.ndarray) -> bytes:
    height, width = picture.shape[:2]
    if width > _WIDTH:
        size = _WIDTH, round(height * _WIDTH / width)
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return encode_jpeg(picture)
