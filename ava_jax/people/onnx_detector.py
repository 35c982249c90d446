"""Person detectors that users have, as ONNX files."""

import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from ava_jax.errors import UserError
from ava_jax.people import onnx_layouts
from ava_jax.people.onnx_layouts import Layout, Size
from ava_jax.people.suppression import suppress

_DEFAULT_SIDE = 640  # pixels, where the graph leaves its input's size open
_GREY = 114  # what YOLOs are trained to see around the picture
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_OVERLAP = 0.65
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}


class OnnxDetector:
    """Finds people with any network of a known family, run by onnxruntime.

    Known are the exports of YOLOX (decoded or not), YOLOv5, v8, v10 and v11,
    RT-DETR and DETR, all with COCO's classes or with people first. Size and layout
    of the input come from the graph, the family from the shapes of its outputs.
    """

    def __init__(self, path: str | os.PathLike, threshold: float = 0.5):
        """Loads the network and runs it once, to see what it gives.

        Args:
          path: the .onnx file.
          threshold: boxes with a lower score are left out; 0 to 1.

        Raises:
          UserError: onnxruntime is missing, the file is no network, or its inputs
            or outputs are of no known family.
        """
        self._path = os.fspath(path)
        self._threshold = threshold
        self._session = _open_session(self._path)
        self._type, self._channels_last, self._size = self._read_input()
        height, width = self._size[::-1]
        try:
            outputs = self._run(np.full((height, width, 3), _GREY, np.float32))
        # onnxruntime has no public base class of its errors.
        except Exception as error:
            raise UserError(
                f"{self._path}: cannot be run on a picture of {width} x {height} "
                f"({error}); export the detector again, with this size or a fixed one"
            ) from error
        layout = onnx_layouts.recognise(outputs, self._size)
        if layout is None:
            raise UserError(
                f"{self._path}: outputs that are not understood: "
                f"{_told(self._session.get_outputs(), outputs)}. Expected are "
                "those of YOLOX, YOLOv5/v8/v10/v11, RT-DETR or DETR; export the "
                "network without other outputs, or give the boxes as a file."
            )
        self._layout: Layout = layout

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """The people of one picture.

        Args:
          frame: (H, W, 3) uint8 RGB.

        Returns:
          (N, 5) float32: x1, y1, x2, y2 in pixels, inside the frame, and the
          network's score; the best first.
        """
        picture, scale, shift = _fit(frame, self._size, self._layout.fit)
        outputs = self._run(self._prepare(picture))
        boxes, scores = self._layout.decode(outputs, self._size)
        boxes = (boxes - (shift * 2)) / (scale * 2)
        height, width = frame.shape[:2]
        boxes = np.clip(boxes, 0, (width, height) * 2)
        return suppress(boxes, scores, self._threshold, _OVERLAP)

    def _read_input(self) -> tuple[type, bool, Size]:
        """Number type, whether channels come last, and size of the picture."""
        first, *others = self._session.get_inputs()
        shape = [side if isinstance(side, int) else None for side in first.shape]
        known = len(shape) == 4 and 3 in (shape[1], shape[3]) and first.type in _TYPES
        sizes = [node.name for node in others if node.shape[-1:] == [2]]
        if not known or len(others) != len(sizes) or len(sizes) > 1:
            raise UserError(
                f"{self._path}: inputs that are not understood: "
                f"{_told(self._session.get_inputs())}. Expected is one picture "
                "of 3 channels, (1, 3, height, width) or (1, height, width, 3)."
            )
        channels_last = shape[1] != 3
        height, width = shape[1:3] if channels_last else shape[2:]
        size = (width or _DEFAULT_SIDE, height or _DEFAULT_SIDE)
        return _TYPES[first.type], channels_last, size

    def _prepare(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) RGB, 0..255, in the range and order of the layout."""
        values = picture[..., ::-1] if self._layout.bgr else picture
        if self._type == np.uint8:
            return values
        values = values.astype(np.float32)
        if self._layout.imagenet:
            return (values / 255 - _MEAN) / _STD
        return values / 255 if self._layout.unit else values

    def _run(self, values: np.ndarray) -> list[np.ndarray]:
        """The outputs for (H, W, 3) prepared values, without their batch axis."""
        batch = values[None] if self._channels_last else values.transpose(2, 0, 1)[None]
        picture, *sizes = self._session.get_inputs()
        feed = {picture.name: np.ascontiguousarray(batch, self._type)}
        # RT-DETR scales its boxes itself: to the input's size, as the others do.
        feed |= {node.name: np.array([self._size], np.int64) for node in sizes}
        outputs = self._session.run(None, feed)
        return [
            np.asarray(output)[0] if np.ndim(output) else output for output in outputs
        ]


def _told(nodes: Sequence[Any], values: Sequence[np.ndarray] | None = None) -> str:
    """Names and shapes of inputs or outputs, as declared or as found."""
    shapes = [node.shape for node in nodes]
    if values is not None:
        shapes = [[1, *np.shape(value)] for value in values]
    return ", ".join(f"{node.name} {shape}" for node, shape in zip(nodes, shapes))


def _open_session(path: str):
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{path} needs onnxruntime: pip install onnxruntime") from error
    if not os.path.isfile(path):
        raise UserError(f"{path}: no such file; give the path of a person detector")
    available = onnxruntime.get_available_providers()
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    try:
        return onnxruntime.InferenceSession(
            path, providers=[name for name in wanted if name in available]
        )
    # onnxruntime has no public base class of its errors.
    except Exception as error:
        raise UserError(
            f"{path}: not a network that onnxruntime can run ({error}); export the "
            "detector to ONNX again"
        ) from error


def _fit(
    frame: np.ndarray, size: Size, how: str
) -> tuple[np.ndarray, tuple[float, float], tuple[int, int]]:
    """The frame as the network's input sees it.

    Returns:
      (H, W, 3) uint8; scale in x and y, then shift in pixels, of the frame in it.
    """
    height, width = frame.shape[:2]
    if how == "stretch":
        return _resize(frame, size), (size[0] / width, size[1] / height), (0, 0)
    ratio = min(size[0] / width, size[1] / height)
    inner = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    spare = (size[0] - inner[0], size[1] - inner[1])
    x, y = (spare[0] // 2, spare[1] // 2) if how == "centre" else (0, 0)
    picture = np.full((size[1], size[0], 3), _GREY, np.uint8)
    picture[y : y + inner[1], x : x + inner[0]] = _resize(frame, inner)
    return picture, (inner[0] / width, inner[1] / height), (x, y)


def _resize(frame: np.ndarray, size: Size) -> np.ndarray:
    return cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)
