"""Non-maximum suppression of person boxes."""

import cv2
import numpy as np


def suppress(
    boxes: np.ndarray, scores: np.ndarray, threshold: float, overlap: float
) -> np.ndarray:
    """Non-maximum suppression.

    Args:
      boxes: (N, 4) xyxy.
      scores: (N,).
      threshold: boxes with a lower score are dropped.
      overlap: a box that shares more than this IoU with a better one is dropped.

    Returns:
      (M, 5) float32: boxes with their scores, the best first.
    """
    people = np.column_stack([boxes, scores]).astype(np.float32)
    # Boxes without an area or with NaN are no people.
    people = people[(people[:, 2:4] > people[:, :2]).all(axis=1)]
    people = people[people[:, 4] >= threshold]
    if not len(people):
        return np.zeros((0, 5), np.float32)
    corner_and_size = np.hstack([people[:, :2], people[:, 2:4] - people[:, :2]])
    kept = cv2.dnn.NMSBoxes(corner_and_size, people[:, 4], 0.0, overlap)
    return people[np.ravel(kept)]


def without_parts(people: np.ndarray, share: float) -> np.ndarray:
    """Drops heads and legs that were taken for people.

    Args:
      people: (N, 5), the best first.
      share: a box with more of its area than this in a better one is dropped.
    """
    low = np.maximum(people[:, None, :2], people[None, :, :2])
    high = np.minimum(people[:, None, 2:4], people[None, :, 2:4])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    area = np.prod(people[:, 2:4] - people[:, :2], axis=-1)
    in_better = np.triu(shared > share * area, k=1)
    return people[~in_better.any(axis=0)]
