"""Which detector an ONNX file is, and what its input expects.

Read off what the projects' own exports write. Some shapes belong to several
detectors that expect different pictures: such a file is recognised by what it says
of itself (class names, task, names of inputs and outputs) or by values, or its user
must say which it is. A guess would find the wrong people in silence.
"""

import dataclasses
import enum
from collections.abc import Callable, Sequence

import numpy as np

from ava_jax.people import onnx_decoders as decoders
from ava_jax.people.boxes import PERSON_NAMES
from ava_jax.people.onnx_decoders import Decoder, Outputs, Size

# Rows of networks without anchors; those with anchors have thousands.
_LEAST_QUERIES, _MOST_QUERIES = 50, 1000
_COCO = 80  # classes
_COCO_IDS = (91, 92)  # COCO's own ids, which have gaps; perhaps with 'nothing'
_UPRIGHT = (None, "detect", "segment", "pose")  # tasks; 'obb' has rotated boxes


@dataclasses.dataclass(frozen=True)
class Network:
    """What is known of a file.

    Attributes:
      size: width and height of the input, pixels.
      inputs: names.
      outputs: those for a grey picture, without their batch axis.
      class_names: in the order of their ids; None: the file has none.
      task: what Ultralytics calls it: 'detect', 'pose', ...; None: not said.
    """

    size: Size
    inputs: Sequence[str]
    outputs: Outputs
    class_names: Sequence[str] | None = None
    task: str | None = None


class Match(enum.IntEnum):
    """Whether a network is of a layout."""

    NO = 0
    POSSIBLE = 1
    CERTAIN = 2


@dataclasses.dataclass(frozen=True)
class Layout:
    """One way to give a picture and to give boxes.

    Attributes:
      decode: the meaning of the outputs.
      match: whether a network is of this kind.
      fit: how the picture gets into the input: 'corner' and 'centre' keep its
        proportions and fill the rest with grey, 'stretch' does not.
      bgr: channel order is blue, green, red.
      unit: the input is 0..1, not 0..255.
      imagenet: the input is normalised with ImageNet's mean and deviation.
      person: id of the class of people, where the file has no class names.
    """

    decode: Decoder
    match: Callable[[Network], Match]
    fit: str = "centre"
    bgr: bool = False
    unit: bool = True
    imagenet: bool = False
    person: int = 0


def recognise(network: Network) -> tuple[str, list[str]]:
    """The layout of a network, '' if none is certain, and those that are possible."""
    matches = {name: layout.match(network) for name, layout in LAYOUTS.items()}
    certain = [name for name, match in matches.items() if match == Match.CERTAIN]
    possible = certain or [name for name, match in matches.items() if match]
    return certain[0] if len(certain) == 1 else "", possible


def person_classes(network: Network, layout: Layout) -> tuple[int, ...]:
    """Ids of the classes that are people; none, if the file names only others."""
    if network.class_names is not None:
        names = [name.lower() for name in network.class_names]
        return tuple(index for index, name in enumerate(names) if name in PERSON_NAMES)
    found = decoders.pair(network.outputs)
    if found is not None and found[1].shape[1] in _COCO_IDS:
        return (1,)
    return (layout.person,)


def _yolox(network: Network) -> Match:
    rows = _rows_of_cells(network)
    # Objects that are certain everywhere, even in a grey picture, are YOLOv6's.
    if rows is None or rows.shape[1] < 6 or (rows[:, 4] == 1).all():
        return Match.NO
    if _has_classes(network, rows.shape[1] - 4):  # YOLOv8's
        return Match.NO
    named = list(network.outputs) == ["output"]
    is_coco = _has_classes(network, rows.shape[1] - 5)
    return Match.CERTAIN if named or is_coco else Match.POSSIBLE


def _yolox_legacy(network: Network) -> Match:
    return min(_yolox(network), Match.POSSIBLE)


def _yolov5(network: Network) -> Match:
    rows = _rows_of_cells(network, boxes=3)
    return _certain(rows is not None and rows.shape[1] > 5)


def _yolov6(network: Network) -> Match:
    rows = _rows_of_cells(network)
    return _certain(
        rows is not None and rows.shape[1] > 5 and bool((rows[:, 4] == 1).all())
    )


def _yolov8(network: Network) -> Match:
    rows = decoders.table(network.outputs)
    if rows is None or network.task not in _UPRIGHT:
        return Match.NO
    if rows.shape[1] in decoders.cells_per_picture(network.size):
        return _certain(len(rows) > 4)  # no other export has a column for a cell
    by_row = _rows_of_cells(network) is not None
    if by_row and _has_classes(network, rows.shape[1] - 4):
        return Match.CERTAIN
    return Match.POSSIBLE if by_row and rows.shape[1] > 4 else Match.NO


def _end_to_end(network: Network) -> Match:
    rows = decoders.table(network.outputs)
    if rows is None or len(rows) > _MOST_QUERIES or _paddle(network):
        return Match.NO
    more = network.task in ("segment", "pose") and rows.shape[1] > 6
    return _certain(rows.shape[1] == 6 or more)


def _yolov7_end_to_end(network: Network) -> Match:
    rows = decoders.table(network.outputs)
    if rows is None or rows.shape[1] != 7 or _efficientdet(network):
        return Match.NO
    named = list(network.outputs)[0] in ("output", "outputs")
    return Match.CERTAIN if named else Match.NO


def _rt_detr_table(network: Network) -> Match:
    rows = decoders.table(network.outputs)
    if rows is None or not _LEAST_QUERIES <= len(rows) <= _MOST_QUERIES:
        return Match.NO
    if rows.shape[1] < 5:
        return Match.NO
    # Fractions and probabilities.
    if not _between(rows, 0, 2) or network.task not in (None, "detect"):
        return Match.NO
    if _end_to_end(network) or _paddle(network):
        return Match.NO
    known = _has_classes(network, rows.shape[1] - 4)
    return Match.CERTAIN if known else Match.POSSIBLE


def _rt_detr(network: Network) -> Match:
    shapes = sorted(output.shape for output in network.outputs.values())
    return _certain(
        "orig_target_sizes" in network.inputs
        and len(shapes) == 3
        and shapes[:2] == [shapes[2][:1]] * 2
        and shapes[2][1:] == (4,)
    )


def _logits_of(*counts: int) -> Callable[[Network], Match]:
    """For boxes as fractions, and logits: certain with one of these counts."""

    def match(network: Network) -> Match:
        found = decoders.pair(network.outputs)
        if found is None:
            return Match.NO
        boxes, logits = found
        # Probabilities come from other networks, with other boxes.
        if not _between(boxes, 0, 2) or _between(logits, 0, 1):
            return Match.NO
        return Match.CERTAIN if logits.shape[1] in counts else Match.POSSIBLE

    return match


def _corners_and_probabilities(network: Network) -> Match:
    found = decoders.pair(network.outputs)
    if found is None or _between(found[0], -2, 2) or not _between(found[1], 0, 1):
        return Match.NO
    return Match.POSSIBLE


def _damo_yolo(network: Network) -> Match:
    match = _corners_and_probabilities(network)
    # Its converter names the first output, the scores, and not the boxes.
    first = next(iter(network.outputs))
    scores_first = network.outputs[first].shape[1:] != (4,)
    return Match.CERTAIN if match and first == "output" and scores_first else match


def _yolo_nas(network: Network) -> Match:
    return max(_super_gradients(network), _corners_and_probabilities(network))


def _super_gradients(network: Network) -> Match:
    rows = decoders.table(network.outputs)
    flat = decoders.output_named(network.outputs, "flat_predictions")
    if flat is not None and rows is not None:
        return _certain(rows.shape[1] == 7)
    names = decoders.SUPER_GRADIENTS
    return _certain(decoders.output_named(network.outputs, *names) is not None)


def _yolo_world(network: Network) -> Match:
    names = decoders.output_named(network.outputs, *decoders.COUNTED)
    # The same export writes networks that expect other pictures: RTMDet, YOLOX.
    return Match.POSSIBLE if names else _corners_and_probabilities(network)


def _paddle(network: Network) -> Match:
    if not {"scale_factor", "im_shape"} & set(network.inputs):
        return _paddle_without_nms(network)
    rows = decoders.table(network.outputs)
    if rows is not None and rows.shape[1] == 6:
        return Match.POSSIBLE
    return _paddle_without_nms(network)


def _paddle_without_nms(network: Network) -> Match:
    found = decoders.pair(network.outputs, transposed=True)
    if found is None or _between(found[0], -2, 2) or not _between(found[1], 0, 1):
        return Match.NO
    return Match.POSSIBLE


def _torchvision(network: Network) -> Match:
    names = set(network.outputs)
    # Mask R-CNN has masks beside.
    boxes = {"boxes", "labels", "scores"} <= names <= {*names, "masks"}
    others = "num_dets" in names or "orig_target_sizes" in network.inputs
    return _certain(boxes and not others)


def _tensorflow(network: Network) -> Match:
    names = decoders.TENSORFLOW
    return _certain(decoders.output_named(network.outputs, *names) is not None)


def _efficientdet(network: Network) -> Match:
    rows = decoders.output_named(network.outputs, "detections")
    return _certain(rows is not None and rows[0].shape[1:] == (7,))


def _rows_of_cells(network: Network, boxes: int = 1) -> np.ndarray | None:
    """The output table, if it has `boxes` rows for every cell of a YOLO's grids."""
    rows = decoders.table(network.outputs)
    if rows is None:
        return None
    cells = decoders.cells_per_picture(network.size)
    return rows if len(rows) in [boxes * count for count in cells] else None


def _has_classes(network: Network, count: int) -> bool:
    """Whether this is the number of the file's class names, or else of COCO's."""
    names = network.class_names
    return count == (_COCO if names is None else len(names))


def _between(values: np.ndarray, low: float, high: float) -> bool:
    slack = 1e-3  # half precision rounds to 11 bits
    return bool(((values >= low - slack) & (values <= high + slack)).all())


def _certain(condition: bool) -> Match:
    return Match.CERTAIN if condition else Match.NO


# By the names that a user can give.
LAYOUTS = {
    "yolox": Layout(decoders.yolox, _yolox, "corner", bgr=True, unit=False),
    # YOLOX before version 0.2, and ByteTrack.
    "yolox_legacy": Layout(decoders.yolox, _yolox_legacy, "corner", imagenet=True),
    "yolov5": Layout(decoders.yolov5, _yolov5),  # and YOLOv7
    "yolov6": Layout(decoders.yolov6, _yolov6),
    "yolov7_end_to_end": Layout(decoders.batched_end_to_end, _yolov7_end_to_end),
    "yolov8": Layout(decoders.yolov8, _yolov8),  # and v9, v11, v12, YOLO-World
    "end_to_end": Layout(decoders.end_to_end, _end_to_end),  # v10, or with NMS
    "yolo_nas": Layout(decoders.yolo_nas, _yolo_nas),
    "damo_yolo": Layout(decoders.corners_and_scores, _damo_yolo, "corner", unit=False),
    "yolo_world": Layout(decoders.yolo_world, _yolo_world),  # its authors' export
    "ppyoloe": Layout(decoders.paddle, _paddle, "stretch", imagenet=True),
    "ppyoloe_plus": Layout(decoders.paddle, _paddle, "stretch"),  # Paddle's RT-DETR
    "rt_detr": Layout(decoders.rt_detr, _rt_detr, "stretch"),  # and D-FINE
    "rt_detr_table": Layout(decoders.rt_detr_table, _rt_detr_table, "stretch"),
    "rt_detr_logits": Layout(decoders.sigmoid_logits, _logits_of(80), "stretch"),
    # Deformable and conditional DETR, RF-DETR.
    "deformable_detr": Layout(
        decoders.sigmoid_logits, _logits_of(91), "stretch", imagenet=True
    ),
    "detr": Layout(  # and YOLOS
        decoders.softmax_logits, _logits_of(92), "stretch", imagenet=True
    ),
    # Faster R-CNN, Mask R-CNN, RetinaNet, FCOS, SSD.
    "torchvision": Layout(decoders.torchvision, _torchvision, "corner", person=1),
    # SSD, EfficientDet and Faster R-CNN of the Object Detection API.
    "tensorflow": Layout(
        decoders.tensorflow, _tensorflow, "stretch", unit=False, person=1
    ),
    "efficientdet": Layout(
        decoders.efficientdet, _efficientdet, "corner", unit=False, person=1
    ),
}
