"""Person detectors that users have, as ONNX files."""

import ast
import os
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from ava_jax.errors import UserError
from ava_jax.people import onnx_layouts
from ava_jax.people.onnx_decoders import Size
from ava_jax.people.onnx_layouts import LAYOUTS, Network
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
# Inputs beside the picture, by the end of their names: they scale the boxes, here to
# the size of the input, as the other networks do.
_SCALE_FACTORS = "scale_factor"  # of PaddleDetection, height and width
_PICTURE_SIZES = "im_shape"  # height and width


class OnnxDetector:
    """Finds people with any network of a known layout, run by onnxruntime.

    `onnx_layouts` has the layouts. Which one a file has is read off its inputs and
    outputs and what it says of itself; where that is not certain, the user must say.
    """

    def __init__(
        self, path: str | os.PathLike, threshold: float = 0.5, layout: str = ""
    ):
        """Loads the network and runs it once, to see what it gives.

        Args:
          path: the .onnx file.
          threshold: boxes with a lower score are left out; 0 to 1.
          layout: a name in `onnx_layouts.LAYOUTS`; '': find out.

        Raises:
          UserError: onnxruntime is missing, the file is no network, none of its classes
            is a person, or its layout is not known, or not certain.
        """
        self._path = os.fspath(path)
        self._threshold = threshold
        self._session = _open_session(self._path)
        self._picture, self._type, self._axes, self._size = self._read_input()
        network = self._look(self._run_once())
        self._check_numbers(network.outputs)
        self._layout = LAYOUTS[self._recognise(network, layout)]
        self._people = self._person_classes(network)
        self._decode(network.outputs)

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """The people of one picture.

        Args:
          frame: (H, W, 3) uint8 RGB.

        Returns:
          (N, 5) float32: x1, y1, x2, y2 in pixels, inside the frame, and the
          network's score; the best first.

        Raises:
          UserError: the network gives NaN.
        """
        picture, scale, shift = _fit(frame, self._size, self._layout.fit)
        boxes, scores = self._decode(self._run(self._prepare(picture)))
        boxes = (boxes - (shift * 2)) / (scale * 2)
        height, width = frame.shape[:2]
        boxes = np.clip(boxes, 0, (width, height) * 2)
        return suppress(boxes, scores, self._threshold, _OVERLAP)

    def _read_input(self) -> tuple[Any, type, str, Size]:
        """The input of the picture, its number type, its axes, and its size."""
        nodes = self._session.get_inputs()
        pictures = [node for node in nodes if len(node.shape) > 2]
        others = [node for node in nodes if len(node.shape) <= 2]
        first = pictures[0] if len(pictures) == 1 else None
        axes = _axes(first.shape) if first else ""
        of_sizes = all(node.shape[-1:] == [2] for node in others)
        if not axes or first.type not in _TYPES or not of_sizes:
            raise UserError(
                f"{self._path}: inputs that are not understood: {_declared(nodes)}. "
                "Expected is one picture of 3 channels, (1, 3, height, width) or (1, "
                "height, width, 3)."
            )
        sides = dict(zip(axes, first.shape, strict=True))
        size = tuple(
            sides[axis] if isinstance(sides[axis], int) else _DEFAULT_SIDE
            for axis in "WH"
        )
        return first, _TYPES[first.type], axes, size

    def _run_once(self) -> dict[str, np.ndarray]:
        width, height = self._size
        # Grey to networks that expect 0 to 1, black to the others: probabilities and
        # fractions are in their ranges for both.
        grey = _GREY if self._type == np.uint8 else _GREY / 255
        try:
            return self._run(np.full((height, width, 3), grey, np.float32))
        # onnxruntime has no public base class of its errors.
        except Exception as error:
            raise UserError(
                f"{self._path}: cannot be run on a picture of {width} x {height} "
                f"({error}); export the detector again, with this size or a fixed one"
            ) from error

    def _look(self, outputs: Mapping[str, np.ndarray]) -> Network:
        said = self._session.get_modelmeta().custom_metadata_map
        return Network(
            size=self._size,
            inputs=[node.name for node in self._session.get_inputs()],
            outputs=outputs,
            class_names=_class_names(said.get("names", "")),
            task=said.get("task"),
        )

    def _recognise(self, network: Network, layout: str) -> str:
        """Name of the layout: the given one if it fits, or the one that is certain."""
        certain, possible = onnx_layouts.recognise(network)
        shapes = ", ".join(
            f"{name} {list(output.shape)}" for name, output in network.outputs.items()
        )
        if layout and not LAYOUTS[layout].match(network):
            raise UserError(
                f"{self._path}: its outputs ({shapes}, without their batch axis) are "
                f"not those of {layout}. Leave {layout} out, or export it again."
            )
        if layout or certain:
            return layout or certain
        if possible:
            raise UserError(
                f"{self._path}: its outputs ({shapes}) may be those of "
                f"{', '.join(possible)}, and nothing in the file says which. Say it: "
                f"onnx:{possible[0]}:FILE. Another one would find the wrong people."
            )
        raise UserError(
            f"{self._path}: outputs that are not understood: {shapes} (without their "
            f"batch axis). Known are {', '.join(LAYOUTS)}; export the network without "
            "other outputs, name its layout (onnx:yolov8:FILE), or give the boxes as a "
            "file."
        )

    def _person_classes(self, network: Network) -> tuple[int, ...]:
        people = onnx_layouts.person_classes(network, self._layout)
        if not people:
            names = ", ".join(network.class_names[:20])
            raise UserError(
                f"{self._path}: none of its classes is a person (found: {names}). Give "
                "a detector of people."
            )
        return people

    def _prepare(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) RGB, 0..255, in the range and order of the layout."""
        values = picture[..., ::-1] if self._layout.bgr else picture
        if self._type == np.uint8:
            return values
        values = values.astype(np.float32)
        if self._layout.imagenet:
            return (values / 255 - _MEAN) / _STD
        return values / 255 if self._layout.unit else values

    def _run(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs for (H, W, 3) prepared values, without their batch axis."""
        if "C" in self._axes[:-1]:
            values = values.transpose(2, 0, 1)
        if len(self._axes) == 4:
            values = values[None]
        feed = {self._picture.name: np.ascontiguousarray(values, self._type)}
        for node in self._session.get_inputs():
            if node.name != self._picture.name:
                feed[node.name] = self._sizes(node)
        names = [node.name for node in self._session.get_outputs()]
        outputs = map(np.asarray, self._session.run(None, feed))
        return _without_batch(dict(zip(names, outputs, strict=True)))

    def _sizes(self, node: Any) -> np.ndarray:
        kind = np.float32 if "float" in node.type else np.int64
        if node.name.endswith(_SCALE_FACTORS):
            return np.ones((1, 2), kind)
        in_rows = node.name.endswith(_PICTURE_SIZES)
        return np.array([self._size[::-1] if in_rows else self._size], kind)

    def _decode(self, outputs: Mapping[str, np.ndarray]):
        """Boxes in pixels of the input, and scores of people."""
        self._check_numbers(outputs)
        try:
            return self._layout.decode(outputs, self._size, self._people)
        except UserError as error:
            raise UserError(f"{self._path}: {error}") from None

    def _check_numbers(self, outputs: Mapping[str, np.ndarray]) -> None:
        for name, output in outputs.items():
            if output.dtype.kind == "f" and np.isnan(output).any():
                raise UserError(
                    f"{self._path}: its output {name} is NaN, which exports in half "
                    "precision may give. Export the network in float32."
                )


def _axes(shape: Sequence[int | str | None]) -> str:
    """'NCHW', 'NHWC', 'CHW' or 'HWC' of a picture with three channels, otherwise ''."""
    batch = "N" * (len(shape) == 4)
    if len(shape) not in (3, 4):
        return ""
    if shape[-3] == 3:
        return batch + "CHW"
    return batch + "HWC" if shape[-1] == 3 else ""


def _without_batch(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Drops the batch axis. Some exports have none: their boxes have two axes."""
    if not any(out.ndim == 3 and len(out) == 1 for out in outputs.values()):
        return outputs
    return {
        name: output[0] if output.ndim and len(output) == 1 else output
        for name, output in outputs.items()
    }


def _class_names(text: str) -> list[str] | None:
    """The class names that Ultralytics writes into a file, as "{0: 'person'}"."""
    try:
        names = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[i] for i in range(len(names))]
    return list(map(str, names)) if isinstance(names, list) and names else None


def _declared(nodes: Sequence[Any]) -> str:
    """Names and declared shapes of inputs."""
    return ", ".join(f"{node.name} {node.shape}" for node in nodes)


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
