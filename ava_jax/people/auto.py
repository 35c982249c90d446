"""The best person detector that is available without a choice by the user."""

import importlib.util
import sys

from ava_jax import published
from ava_jax.errors import UserError
from ava_jax.people.hog import HogDetector
from ava_jax.people.onnx_detector import OnnxDetector

_YOLOX = "object_detection_yolox_2022nov"


def auto_detector(threshold: float) -> OnnxDetector | HogDetector:
    """YOLOX if onnxruntime is installed and the file can be fetched; otherwise HOG.

    A line on stderr says why it is HOG, and what is lost by that.

    Args:
      threshold: boxes with a lower score are left out; 0 to 1.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        reason = "onnxruntime is not installed: pip install onnxruntime."
    else:
        try:
            return OnnxDetector(published.fetch(_YOLOX), threshold)
        except UserError as error:
            reason = str(error)
    print(
        "People are found by OpenCV's HOG detector, which misses those who are partly "
        "hidden, sitting, lying or small, and gives them no actions. The better YOLOX "
        f"is not available. {reason}",
        file=sys.stderr,
    )
    return HogDetector(threshold)
