"""Intersection over union of boxes."""

import numpy as np


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of boxes, with the rounding of AVA's reference evaluators.

    For float32 boxes, sides and areas are float32 and the intersection is float64,
    because the references clip it with float64 zeros.

    Args:
      a: (..., 4) xyxy.
      b: (..., 4) xyxy; its shape must broadcast with that of `a`.

    Returns:
      (...) float64; NaN if neither box has an area.
    """
    shared = 1.0
    for low, high in ((0, 2), (1, 3)):
        end = np.minimum(a[..., high], b[..., high])
        side = end - np.maximum(a[..., low], b[..., low])
        shared = shared * np.maximum(side, 0.0, dtype=np.float64)
    area_a, area_b = (
        (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1]) for box in (a, b)
    )
    with np.errstate(invalid="ignore"):  # 0 / 0
        return shared / (area_a + area_b - shared)


def best_overlaps(
    boxes: np.ndarray,
    starts: np.ndarray,
    others: np.ndarray,
    other_starts: np.ndarray,
) -> np.ndarray:
    """Highest IoU of each box with the other boxes of its key frame.

    Args:
      boxes: (B, 4) xyxy; key frame k has the rows `starts[k]` to `starts[k + 1]`.
      starts: (K + 1,) int64.
      others: (O, 4) xyxy.
      other_starts: (K + 1,) int64, the same for `others`.

    Returns:
      (B,) float64; 0 if the key frame has no other boxes.
    """
    counts = np.diff(other_starts)
    key_frame = np.repeat(np.arange(len(counts)), np.diff(starts))
    # One row for each pair of a box and another box of its key frame. Box i has
    # pairs[i] rows, and `place` counts them from 0: the row number minus the number
    # of rows of all boxes before i.
    pairs = counts[key_frame]
    box = np.repeat(np.arange(len(boxes)), pairs)
    ends = np.cumsum(pairs)
    place = np.arange(len(box)) - np.repeat(ends - pairs, pairs)
    other = other_starts[:-1][key_frame[box]] + place
    best = np.zeros(len(boxes))
    # Unlike `maximum`, `fmax` ignores NaN.
    np.fmax.at(best, box, iou(boxes[box], others[other]))
    return best
