"""Overlaps of boxes, many key frames at a time."""

import numpy as np


def best_overlaps(
    boxes: np.ndarray,
    starts: np.ndarray,
    others: np.ndarray,
    other_starts: np.ndarray,
) -> np.ndarray:
    """For each box the highest IoU that a box of the other kind has with it.

    Args:
      boxes: (B, 4) xyxy; those of key frame k are rows `starts[k]` to
        `starts[k + 1]`.
      starts: (K + 1,) int64.
      others: (O, 4) xyxy.
      other_starts: (K + 1,) int64, the same for `others`.

    Returns:
      (B,) float64; 0 where the key frame has no box of the other kind.
    """
    counts = np.diff(other_starts)
    key_frame = np.repeat(np.arange(len(counts)), np.diff(starts))
    # A row for each pair of a box with one of its key frame's others.
    pairs = counts[key_frame]
    box = np.repeat(np.arange(len(boxes)), pairs)
    ends = np.cumsum(pairs)
    place = np.arange(len(box)) - np.repeat(ends - pairs, pairs)
    other = other_starts[:-1][key_frame[box]] + place
    best = np.zeros(len(boxes))
    np.maximum.at(best, box, iou(boxes[box], others[other]))
    return best


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of a[i] with b[i], (N,); 0 where neither has area.

    Args:
      a: (N, 4) xyxy.
      b: (N, 4) xyxy.
    """
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    area_a, area_b = (np.prod(box[:, 2:] - box[:, :2], axis=1) for box in (a, b))
    union = area_a + area_b - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
