"""Person detection on overlapping tiles of a frame, for people who are small in it.

Detectors shrink a frame to the size of their input, 300 to 640 pixels, and so lose
small people. A tile is shrunk less.
"""

from collections.abc import Callable

import numpy as np

from ava_jax.people.suppression import suppress, without_parts

# Share of a tile that its neighbour sees, too.
_SHARED = 0.25
# More IoU with a better box: the same person, seen on two tiles.
_OVERLAP = 0.5
# More of a box inside a better one: a part of a person whom a tile cuts.
_INSIDE = 0.8


class TiledDetector:
    """Runs a detector on every tile, and merges what it finds.

    The whole frame is not looked at. A person who is larger than the overlap of two
    tiles may be cut by every tile, and then only parts are found.
    """

    def __init__(
        self,
        detector: Callable[[np.ndarray], np.ndarray],
        columns: int,
        rows: int,
    ):
        """Divides frames into a grid of tiles.

        Args:
          detector: from a frame to people, as `open_detector` gives it.
          columns: tiles side by side.
          rows: tiles one above the other.
        """
        self._detector = detector
        self._columns = columns
        self._rows = rows

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Finds the people of an RGB frame (H, W, 3) uint8.

        Returns:
          (N, 5) float32 of x1, y1, x2, y2 in pixels and score, the best first.
        """
        found = [np.zeros((0, 5), np.float32)]
        for top, bottom in _spans(frame.shape[0], self._rows):
            for left, right in _spans(frame.shape[1], self._columns):
                tile = np.ascontiguousarray(frame[top:bottom, left:right])
                found.append(self._detector(tile) + [left, top, left, top, 0])
        people = np.concatenate(found)
        people = suppress(people[:, :4], people[:, 4], 0.0, _OVERLAP)
        return without_parts(people, _INSIDE)


def _spans(size: int, count: int) -> list[tuple[int, int]]:
    """Start and end of each of `count` tiles along an axis."""
    length = size / (count - (count - 1) * _SHARED)
    starts = [i * length * (1 - _SHARED) for i in range(count)]
    return [(round(start), round(start + length)) for start in starts]
