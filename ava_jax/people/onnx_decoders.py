"""What the outputs of person detectors mean: boxes and the scores of people.

Each decoder takes the outputs of one picture by name, without their batch axis, the
width and height of the network's input in pixels, and the ids of the classes that
are people. It returns (N, 4) xyxy in pixels of the input and (N,) scores.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ava_jax.annotations.box_checks import in_pixels
from ava_jax.errors import UserError

Size = tuple[int, int]  # width and height of the network's input, pixels
Outputs = Mapping[str, np.ndarray]
Decoded = tuple[np.ndarray, np.ndarray]
Decoder = Callable[[Outputs, Size, Sequence[int]], Decoded]

# Endings of the names of outputs.
COUNTED = ("num_dets", "boxes", "scores", "labels")
SUPER_GRADIENTS = ("num_predictions", "pred_boxes", "pred_scores", "pred_classes")
TENSORFLOW = ("detection_boxes", "detection_scores", "detection_classes")

_STRIDES = (8, 16, 32)
_P6_STRIDES = (*_STRIDES, 64)  # of the networks for large pictures


def table(outputs: Outputs) -> np.ndarray | None:
    """The only output of two axes; None: there is none, or there are several.

    Outputs of more axes are maps and masks, those of fewer are counts.
    """
    tables = [output for output in outputs.values() if output.ndim == 2]
    return tables[0] if len(tables) == 1 else None


def pair(outputs: Outputs, transposed: bool = False) -> Decoded | None:
    """Boxes (N, 4) and scores (N, classes), if these are the outputs.

    Args:
      outputs: of the network.
      transposed: the scores are (classes, N) in the file.
    """
    if len(outputs) != 2 or any(output.ndim != 2 for output in outputs.values()):
        return None
    boxes, scores = sorted(outputs.values(), key=lambda output: output.shape[1] != 4)
    scores = scores.T if transposed else scores
    if boxes.shape[1] != 4 or len(boxes) != len(scores) or not scores.shape[1]:
        return None
    return boxes, scores


def output_named(outputs: Outputs, *endings: str) -> list[np.ndarray] | None:
    """The outputs whose names end so, without TensorFlow's ':0', if all are there."""
    found = []
    for ending in endings:
        matches = [
            output
            for name, output in outputs.items()
            if name.split(":")[0].endswith(ending)
        ]
        if len(matches) != 1:
            return None
        found += matches
    return found


def cells_per_picture(size: Size) -> tuple[int, int]:
    """Number of cells of a YOLO's three grids, and of its four in P6 networks."""
    return len(_cells(size, _STRIDES)), len(_cells(size, _P6_STRIDES))


def yolov8(outputs: Outputs, size: Size, people: Sequence[int]) -> Decoded:
    """Rows or columns of centre, size and one score for every class."""
    rows = table(outputs)
    if len(rows) not in cells_per_picture(size):
        rows = rows.T
    return _corners(rows[:, :4]), _best(rows[:, 4:], people)


def yolov6(outputs: Outputs, size: Size, people: Sequence[int]) -> Decoded:
    """Rows of centre, size, a constant 1, and one score for every class."""
    rows = table(outputs)
    return _corners(rows[:, :4]), rows[:, 4] * _best(rows[:, 5:], people)


yolov5 = yolov6  # with the probability of an object instead of the 1


def yolox(outputs: Outputs, size: Size, people: Sequence[int]) -> Decoded:
    """As YOLOv5's; exports without decoding have centres and sizes in cells."""
    rows = table(outputs)
    boxes = rows[:, :4]
    # Centres in cells are near 0, and sizes are logarithms. Decoded centres are
    # spread over the picture.
    if np.median(boxes[:, 0]) < size[0] / 8:
        cells = _cells(size, _STRIDES)
        strides = cells[:, 2:]
        centre = (boxes[:, :2] + cells[:, :2]) * strides
        boxes = np.hstack([centre, np.exp(boxes[:, 2:]) * strides])
    return _corners(boxes), rows[:, 4] * _best(rows[:, 5:], people)


def end_to_end(outputs: Outputs, size: Size, people: Sequence[int]) -> Decoded:
    """Rows of corners, score, class, and perhaps key-points or mask weights."""
    rows = table(outputs)
    boxes = rows[:, :4]
    if not in_pixels(boxes).any():
        boxes = boxes * (size * 2)
    return boxes, _of_people(rows[:, 4], rows[:, 5], people)


def batched_end_to_end(outputs: Outputs, size: Size, people: Sequence[int]) -> Decoded:
    """Rows of picture, corners, class and score."""
    rows = table(outputs)
    return rows[:, 1:5], _of_people(rows[:, 6], rows[:, 5], people)


def efficientdet(outputs: Outputs, size: Size, people: Sequence[int]) -> Decoded:
    """Rows of picture, corners with y before x, score and class."""
    rows = table(outputs)
    return rows[:, [2, 1, 4, 3]], _of_people(rows[:, 5], rows[:, 6], people)


def paddle(outputs: Outputs, size: Size, people: Sequence[int]) -> Decoded:
    """Rows of class, score and corners; or, without NMS, corners and scores (C, N).

    Class -1 fills rows that are empty.
    """
    raw = pair(outputs, transposed=True)
    if raw is not None:
        boxes, scores = raw
        return boxes, _best(scores, people)
    rows = table(outputs)
    return rows[:, 2:6], _of_people(rows[:, 1], rows[:, 0], people)


def corners_and_scores(outputs: Outputs, size: Size, people: Sequence[int]) -> Decoded:
    """Corners (N, 4) and scores (N, classes)."""
    boxes, scores = pair(outputs)
    return boxes, _best(scores, people)


def rt_detr_table(outputs: Outputs, size: Size, people: Sequence[int]) -> Decoded:
    """Rows of centre and size as fractions, and one score for every class."""
    rows = table(outputs)
    return _corners(rows[:, :4]) * (size * 2), _best(rows[:, 4:], people)


def sigmoid_logits(outputs: Outputs, size: Size, people: Sequence[int]) -> Decoded:
    """Centre and size as fractions (N, 4), and a logit for every class."""
    boxes, logits = pair(outputs)
    scores = 1 / (1 + np.exp(-_best(logits, people)))
    return _corners(boxes) * (size * 2), scores


def softmax_logits(outputs: Outputs, size: Size, people: Sequence[int]) -> Decoded:
    """The same with 'nothing' as the last class of a softmax."""
    boxes, logits = pair(outputs)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    return _corners(boxes) * (size * 2), _best(probabilities, people)


def rt_detr(outputs: Outputs, size: Size, people: Sequence[int]) -> Decoded:
    """Classes (N,), corners (N, 4) and scores (N,)."""
    boxes = table(outputs)
    flat = [output for output in outputs.values() if output.ndim == 1]
    flat.sort(key=lambda output: output.dtype.kind == "f")
    classes, scores = flat
    return boxes, _of_people(scores, classes, people)


def torchvision(outputs: Outputs, size: Size, people: Sequence[int]) -> Decoded:
    """Outputs `boxes` (N, 4), `labels` (N,) and `scores` (N,)."""
    boxes, labels, scores = output_named(outputs, "boxes", "labels", "scores")
    return boxes, _of_people(scores, labels, people)


def yolo_world(outputs: Outputs, size: Size, people: Sequence[int]) -> Decoded:
    """The same with `num_dets`, or corners and scores (N, classes) without NMS."""
    counted = output_named(outputs, *COUNTED)
    if counted is None:
        return corners_and_scores(outputs, size, people)
    return _counted(*counted, people)


def yolo_nas(outputs: Outputs, size: Size, people: Sequence[int]) -> Decoded:
    """SuperGradients' three formats: batch, flat, and without NMS.

    Rows of the flat one are picture, corners, score and class.
    """
    counted = output_named(outputs, *SUPER_GRADIENTS)
    if counted is not None:
        return _counted(*counted, people)
    rows = table(outputs)
    if rows is None:
        return corners_and_scores(outputs, size, people)
    return rows[:, 1:5], _of_people(rows[:, 5], rows[:, 6], people)


def _counted(
    count: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    people: Sequence[int],
) -> Decoded:
    """The first `count` rows; the others are filling."""
    used = int(count.item())
    return boxes[:used], _of_people(scores[:used], classes[:used], people)


def tensorflow(outputs: Outputs, size: Size, people: Sequence[int]) -> Decoded:
    """`detection_boxes` as fractions with y before x, `_scores` and `_classes`."""
    boxes, scores, classes = output_named(outputs, *TENSORFLOW)
    corners = boxes[:, [1, 0, 3, 2]] * (size * 2)
    return corners, _of_people(scores, classes, people)


def _best(scores: np.ndarray, people: Sequence[int]) -> np.ndarray:
    """(N,): of scores (N, classes), the highest of the classes that are people."""
    if max(people) >= scores.shape[1]:
        raise UserError(
            f"its outputs have {scores.shape[1]} classes, and people are number "
            f"{max(people)}: export it again with its class names"
        )
    return scores[:, list(people)].max(axis=1)


def _of_people(
    scores: np.ndarray, classes: np.ndarray, people: Sequence[int]
) -> np.ndarray:
    """The scores, 0 where the class is no person."""
    wrong = classes[classes != np.round(classes)]
    if wrong.size:
        raise UserError(
            f"a class id of {wrong[0]:g} where whole numbers are expected: the "
            "columns have another meaning"
        )
    return scores * np.isin(classes, people)


def _cells(size: Size, strides: Sequence[int]) -> np.ndarray:
    """(N, 3): column and row of every cell of the grids, and its stride."""
    grids = []
    for stride in strides:
        row, column = np.indices((size[1] // stride, size[0] // stride))
        cells = [column.ravel(), row.ravel(), np.full(row.size, stride)]
        grids.append(np.stack(cells, axis=1))
    return np.concatenate(grids).astype(np.float32)


def _corners(boxes: np.ndarray) -> np.ndarray:
    """Corners of boxes (N, 4) that are given by centre and size."""
    half = boxes[:, 2:] / 2
    return np.hstack([boxes[:, :2] - half, boxes[:, :2] + half])
