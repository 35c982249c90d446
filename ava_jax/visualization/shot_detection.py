"""Whether two pictures of a video are of one shot, by their colours."""

import cv2
import numpy as np

_BINS = 8  # of each of red, green and blue
# Of videos with cuts, pictures a second apart in one shot shared 0.68 of their
# colours or more, pictures on both sides of a cut 0.56 or less.
_SHARED = 0.6


def look(frame: np.ndarray) -> np.ndarray:
    """The colours of a picture (H, W, 3) uint8 RGB: their shares, a histogram."""
    small = cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA)
    counts = cv2.calcHist([small], [0, 1, 2], None, [_BINS] * 3, [0, 256] * 3)
    return counts / counts.sum()


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether pictures that `look` like this seem to be of one shot."""
    return float(np.minimum(a, b).sum()) >= _SHARED
