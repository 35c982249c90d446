"""OpenCV's HOG person detector: needs no file, but is weak."""

import cv2
import numpy as np

from ava_jax.people.suppression import suppress, without_parts

# Pixels of the picture that is searched. On vtest.avi, 720 find 69 % of the people,
# 864 79 % and 1080 82 %, with more false boxes and half as much again of time.
_SHORT_SIDE = 864
_LARGEST_SCALE = 5.0
_WINDOW = (64, 128)
# The detector was trained on windows with a margin around the person.
_PERSON_WIDTH, _PERSON_HEIGHT = 0.56, 0.80
# Probability that a window with this SVM margin is on a person (IoU 0.5), fitted
# on 307 people of OpenCV's vtest.avi.
_SLOPE, _OFFSET = 3.3202, -4.4251
_OVERLAP = 0.5  # IoU of two boxes of one person
_PART = 0.75  # share of a box in a better one, of which it is a part


class HogDetector:
    """Finds upright people by histograms of oriented gradients.

    OpenCV's detector with its own weights (Dalal and Triggs, CVPR 2005). It needs
    no file, no network and no GPU, but finds only people who are seen whole, stand
    or walk, and are at least an eighth of the picture's short side high. It misses
    people who sit, lie, are cut off by the frame or half hidden, and takes some poles
    and cars for people: on `vtest.avi` it finds about four in five. Use an ONNX
    detector or boxes from a file where that is not enough.
    """

    def __init__(self, threshold: float = 0.5):
        """Loads the weights.

        Args:
          threshold: boxes with a lower score are left out; 0 to 1. None has a score
            below 0.01, since nearly every window has a little.
        """
        self._threshold = np.clip(threshold, 0.01, 1)
        # The margin at which the score is the threshold.
        chance = min(self._threshold, 0.999)
        odds = np.log(chance / (1 - chance))
        self._margin = float((odds - _OFFSET) / _SLOPE)
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """The people of one picture.

        Args:
          frame: (H, W, 3) uint8 RGB.

        Returns:
          (N, 5) float32: x1, y1, x2, y2 in pixels, inside the frame, and the
          score, about a probability; the best first.
        """
        height, width = frame.shape[:2]
        scale = min(_SHORT_SIDE / min(height, width), _LARGEST_SCALE)
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=how)
        if grey.shape[1] < _WINDOW[0] or grey.shape[0] < _WINDOW[1]:
            return np.zeros((0, 5), np.float32)
        windows, margins = self._hog.detectMultiScale(
            grey,
            hitThreshold=self._margin,
            winStride=(8, 8),
            padding=(8, 8),
            scale=1.05,
            groupThreshold=0,  # grouping would lose the margins
        )
        boxes = _people_in(np.reshape(windows, (-1, 4)).astype(np.float32)) / scale
        boxes = np.clip(boxes, 0, (width, height) * 2)
        scores = 1 / (1 + np.exp(-(_SLOPE * np.ravel(margins) + _OFFSET)))
        people = suppress(boxes, scores, self._threshold, _OVERLAP)
        return without_parts(people, _PART)


def _people_in(windows: np.ndarray) -> np.ndarray:
    """The middle of windows (x, y, width, height), as (N, 4) xyxy."""
    size = windows[:, 2:]
    middle = windows[:, :2] + size / 2
    half = size * (_PERSON_WIDTH / 2, _PERSON_HEIGHT / 2)
    return np.hstack([middle - half, middle + half])
