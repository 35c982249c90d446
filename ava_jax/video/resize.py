"""Scales frames and boxes to the input size of the model, for prediction.

Evaluation does the same with TensorFlow (`data.transforms`). Sources: `rescale_size`
and `imresize` of mmcv, `Resize` of MMAction2 v0.24.1.
"""

import cv2
import numpy as np


def size_for_short_side(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Height and width after scaling the shorter of them to `short_side`."""
    scale = short_side / min(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def resize_frame(frame: np.ndarray, short_side: int) -> np.ndarray:
    """Scales a (H, W, 3) uint8 frame; its shorter side becomes `short_side`.

    Bilinear without antialiasing. OpenCV computes in fixed point, so values differ from
    those of evaluation by up to 1.
    """
    height, width = size_for_short_side(*frame.shape[:2], short_side)
    if (height, width) == frame.shape[:2]:
        return frame
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)


def resize_boxes(
    boxes: np.ndarray, size: tuple[int, int], new: tuple[int, int]
) -> np.ndarray:
    """Scales the boxes of a frame along with the frame.

    Args:
      boxes: (N, 4) float32 xyxy in pixels.
      size: (height, width) of the frame before scaling.
      new: (height, width) of the frame after scaling.
    """
    # The factor is rounded to float32 before it is used, as MMAction2 does.
    height, width = (np.float32(b / a) for a, b in zip(size, new, strict=True))
    return boxes * np.array([width, height, width, height], np.float32)
