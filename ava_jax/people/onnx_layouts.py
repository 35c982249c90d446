"""What families of detectors expect of their input and mean by their outputs.

Read off the exports of YOLOX, YOLOv5, v8, v10 and v11, RT-DETR and DETR: none says
in the file what it is, so the shapes of the outputs must tell.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

Size = tuple[int, int]  # width and height of the network's input, pixels
# Outputs without their batch axis -> (N, 4) xyxy in pixels of the input, (N,) scores.
Decoder = Callable[[Sequence[np.ndarray], Size], tuple[np.ndarray, np.ndarray]]

_STRIDES = (8, 16, 32)
_MOST_QUERIES = 1000  # of networks without anchors; the others have thousands
_CLASS_SCORES = 80  # of COCO


@dataclasses.dataclass(frozen=True)
class Layout:
    """One family.

    Attributes:
      fit: how the picture gets into the input: 'corner' and 'centre' keep its
        proportions and fill the rest with grey, 'stretch' does not.
      decode: the meaning of the outputs.
      bgr: channel order is blue, green, red.
      unit: the input is 0..1, not 0..255.
      imagenet: the input is normalised with ImageNet's mean and deviation.
    """

    fit: str
    decode: Decoder
    bgr: bool = False
    unit: bool = True
    imagenet: bool = False


def recognise(outputs: Sequence[np.ndarray], size: Size) -> Layout | None:
    """The family that gives outputs of these shapes; None: none known.

    Args:
      outputs: of one picture, without their batch axis.
      size: of the input.
    """
    if len(outputs) == 1 and outputs[0].ndim == 2:
        return _of_one_output(*outputs[0].shape, size)
    if len(outputs) == 2 and all(output.ndim == 2 for output in outputs):
        return _of_logits(outputs)
    shapes = sorted(output.shape for output in outputs)
    if len(shapes) == 3 and shapes[:2] == [shapes[2][:1]] * 2 and shapes[2][1:] == (4,):
        return Layout("stretch", _selected)
    return None


def _of_one_output(rows: int, columns: int, size: Size) -> Layout | None:
    if rows < columns:  # channels first: YOLOv8 and v11
        return Layout("centre", _transposed_yolo) if rows >= 5 else None
    anchors = len(_anchors(size))
    if rows == anchors and columns == 4 + _CLASS_SCORES:
        return Layout("centre", _yolo)
    if rows == anchors and columns > 5:
        return Layout("corner", _yolox, bgr=True, unit=False)
    if rows == 3 * anchors and columns > 5:  # YOLOv5 has three boxes a cell
        return Layout("centre", _yolox)
    if rows <= _MOST_QUERIES and columns == 6:
        return Layout("centre", _end_to_end)
    if rows <= _MOST_QUERIES and columns > 4:
        return Layout("stretch", _rt_detr)
    return None


def _of_logits(outputs: Sequence[np.ndarray]) -> Layout | None:
    boxes, logits = _boxes_first(outputs)
    if boxes.shape[1] != 4 or len(boxes) != len(logits) or logits.shape[1] < 1:
        return None
    coco_ids = logits.shape[1] in (91, 92)
    return Layout("stretch", _detr, imagenet=coco_ids)


def _boxes_first(outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    return sorted(outputs, key=lambda output: output.shape[1] != 4)


def _yolo(outputs, size):
    """Rows of centre, size, and one score for every class; person is class 0."""
    return _corners(outputs[0][:, :4]), outputs[0][:, 4]


def _transposed_yolo(outputs, size):
    return _yolo([outputs[0].T], size)


def _yolox(outputs, size):
    """Rows of centre, size, probability of an object, then of the classes."""
    table = outputs[0]
    boxes = table[:, :4]
    # Exports without decoding have centres in cells from the anchor's own, and
    # logarithms of sizes; decoded centres are spread over the picture.
    if np.median(boxes[:, 0]) < size[0] / 8:
        anchors = _anchors(size)
        strides = anchors[:, 2:]
        centre = (boxes[:, :2] + anchors[:, :2]) * strides
        boxes = np.hstack([centre, np.exp(boxes[:, 2:]) * strides])
    return _corners(boxes), table[:, 4] * table[:, 5]


def _anchors(size: Size) -> np.ndarray:
    """(N, 3): column and row of every cell of the three grids, and its stride."""
    grids = []
    for stride in _STRIDES:
        row, column = np.indices((size[1] // stride, size[0] // stride))
        cells = [column.ravel(), row.ravel(), np.full(row.size, stride)]
        grids.append(np.stack(cells, axis=1))
    return np.concatenate(grids).astype(np.float32)


def _end_to_end(outputs, size):
    """Rows of corners, score and class; others than people score 0."""
    table = outputs[0]
    boxes = table[:, :4]
    if boxes.size and np.abs(boxes).max() <= 2:  # fractions
        boxes = boxes * (size * 2)
    return boxes, table[:, 4] * (table[:, 5] == 0)


def _rt_detr(outputs, size):
    """Rows of centre and size as fractions, and one score for every class."""
    return _corners(outputs[0][:, :4]) * (size * 2), outputs[0][:, 4]


def _detr(outputs, size):
    """Fractions and logits of 80 classes, of 91 COCO ids, or with 'nothing' last."""
    boxes, logits = _boxes_first(outputs)
    person = 1 if logits.shape[1] in (91, 92) else 0
    if logits.shape[1] == 92:
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores = shifted[:, person] / shifted.sum(axis=1)
    else:
        scores = 1 / (1 + np.exp(-logits[:, person]))
    return _corners(boxes) * (size * 2), scores


def _selected(outputs, size):
    """RT-DETR's own export: classes, corners in pixels, and scores."""
    boxes = next(output for output in outputs if output.ndim == 2)
    flat = [output for output in outputs if output.ndim == 1]
    flat.sort(key=lambda output: output.dtype.kind == "f")
    classes, scores = flat
    return boxes, scores * (classes == 0)


def _corners(boxes: np.ndarray) -> np.ndarray:
    """Corners of boxes (N, 4) that are given by centre and size."""
    half = boxes[:, 2:] / 2
    return np.hstack([boxes[:, :2] - half, boxes[:, :2] + half])
