import builtins

import numpy as np
import onnx_networks
import pytest
from onnx import TensorProto
from onnx_networks import HEIGHT, WIDTH

from ava_jax import errors
from ava_jax.people import OnnxDetector, open_detector
from ava_jax.people.onnx_layouts import LAYOUTS

# The person in a frame of 320 x 160, twice as wide as high. The input is 96 x 64:
# shrunk to 96 x 48 and put into the upper corner, or in the middle, or stretched.
PERSON = (100, 40, 160, 120)
RED = 242  # 0.95 of 255
FRAME = np.full((160, 320, 3), (RED, 60, 0), np.uint8)
SCORE = RED / 255


def centre(shift=0.0, scale=(0.3, 0.3)):
    """The person's centre and size in pixels of the input."""
    x1, y1, x2, y2 = np.array(PERSON) * (scale * 2) + (0, shift, 0, shift)
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])


def fractions():
    return centre(scale=(1 / 320, 1 / 160))


def everywhere(rows, columns):
    """Boxes of nobody, one in every cell, and how the person's score is made."""
    x, y, stride = onnx_networks.anchors().T
    table = np.zeros((len(x), columns), np.float32)
    table[:, :4] = np.stack([x * stride, y * stride, stride, stride], axis=1)
    table = np.tile(table, (rows // len(table), 1))
    return table, np.zeros_like(table)


def yolox(raw=False, boxes_of_cell=1):
    table, gains = everywhere(126 * boxes_of_cell, 85)
    row = 50
    if raw:
        table[:, :4] = 0
        x, y, stride = onnx_networks.anchors()[row]
        cx, cy, w, h = centre()
        table[row, :4] = (
            cx / stride - x,
            cy / stride - y,
            *np.log([w, h]) - np.log(stride),
        )
    else:
        table[row, :4] = centre(shift=8 if boxes_of_cell == 3 else 0)
    table[row, 4] = 1.0
    # A surer dog elsewhere.
    table[90, [4, 5 + 16]] = 1.0
    gains[row, 5] = 1 if boxes_of_cell == 3 else 1 / 255
    return {"output": (table, gains)}


def yolov8(transposed=True):
    table, gains = everywhere(126, 84)
    table[[50, 51], :4] = centre(shift=8)
    table[51, :2] += 1  # the same person again, a little less sure
    table[90, 4 + 16] = 1.0
    gains[[50, 51], 4] = 1, 0.9
    return {"output0": (table.T, gains.T) if transposed else (table, gains)}


def end_to_end(in_fractions=False):
    cx, cy, w, h = centre(shift=8)
    table = np.zeros((300, 6), np.float32)
    table[0] = (0, 0, 50, 50, 0.99, 16)
    table[1] = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, 0, 0)
    if in_fractions:
        table[:, :4] /= (WIDTH, HEIGHT) * 2
    gains = np.zeros_like(table)
    gains[1, 4] = 1
    return {"output0": (table, gains)}


def rt_detr_of_ultralytics():
    table = np.zeros((300, 84), np.float32)
    table[7, :4] = fractions()
    table[8, [2, 3, 4 + 16]] = 1.0
    gains = np.zeros_like(table)
    gains[7, 4] = 1
    return {"output0": (table, gains)}


def detr(classes, person, gain):
    boxes = np.full((100, 4), 0.5, np.float32)
    boxes[7] = fractions()
    logits = np.full((100, classes), -9.0, np.float32)
    logits[8, person + 16] = 9.0
    gains = np.zeros_like(logits)
    logits[7, person], gains[7, person] = 0, gain
    if classes == 92:
        logits[:, -1] = 0
    return {"logits": (logits, gains), "pred_boxes": (boxes, None)}


def rt_detr():
    cx, cy, w, h = centre(scale=(0.3, 0.4))
    boxes = np.zeros((300, 4), np.float32)
    boxes[7:9] = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
    classes = np.zeros(300, np.int64)
    classes[8] = 16
    scores = np.zeros(300, np.float32)
    scores[8] = 0.99
    gains = np.zeros_like(scores)
    gains[7] = 1
    return {
        "labels": (classes, None),
        "boxes": (boxes, None),
        "scores": (scores, gains),
    }


def corners(shift=0.0, scale=(0.3, 0.3)):
    """The person's corners in pixels of the input."""
    return np.array(PERSON) * (scale * 2) + (0, shift, 0, shift)


STRETCH = (0.3, 0.4)


def rows(*columns, count=20, score, value=1.0):
    """Rows of which the second is the person, and the first a surer dog."""
    table = np.zeros((count, len(columns)), np.float32)
    table[1] = columns
    gains = np.zeros_like(table)
    gains[1, score] = value
    return table, gains


def with_dog(table, score, kind):
    table[0] = table[1]
    table[0, score], table[0, kind] = 0.99, 16
    return table


def yolov6():
    table, gains = everywhere(126, 85)
    table[:, 4] = 1.0
    table[50, :4] = centre(shift=8)
    table[90, 5 + 16] = 1.0
    gains[50, 5] = 1
    return {"outputs": (table, gains)}


def yolov7():
    table, gains = rows(0, *corners(8), 0, 0, score=6)
    return {"output": (with_dog(table, 6, 5), gains)}


def flat_yolo_nas():
    table, gains = rows(0, *corners(8), 0, 0, score=5)
    return {"graph2_flat_predictions": (with_dog(table, 5, 6), gains)}


def lists(names, box, gain=1.0, person=0, count=None):
    """Outputs of boxes, scores and classes, by their names in this order."""
    boxes = np.zeros((20, 4), np.float32)
    boxes[:2] = box
    scores, gains = np.zeros(20, np.float32), np.zeros(20, np.float32)
    scores[0], gains[1] = 0.99, gain
    classes = np.full(20, 16, np.float32)
    classes[1:] = person
    values = [(boxes, None), (scores, gains), (classes, None)]
    if count is not None:
        values.insert(0, (np.array([count]), None))
    return dict(zip(names, values, strict=True))


def pair(scores_first, box, gain, scores_name="scores", transposed=False):
    """Corners and probabilities, one for each of COCO's classes."""
    boxes, scores = np.full((126, 4), 50, np.float32), np.zeros((126, 80), np.float32)
    boxes[[5, 6]] = box
    scores[5, 16] = 0.99
    gains = np.zeros_like(scores)
    gains[6, 0] = gain
    found = (scores.T, gains.T) if transposed else (scores, gains)
    names = [("boxes", (boxes, None)), (scores_name, found)]
    return dict(reversed(names) if scores_first else names)


def paddle():
    table, gains = rows(0, 0, *corners(scale=STRETCH), score=1)
    table[2:, 0] = -1  # empty
    return {"multiclass_nms3_0.tmp_0": (with_dog(table, 1, 0), gains)}


def efficientdet():
    x1, y1, x2, y2 = corners()
    table, gains = rows(0, y1, x1, y2, x2, 0, 1, score=5, value=1 / 255)
    return {"detections": (with_dog(table, 5, 6), gains)}


def tensorflow():
    x1, y1, x2, y2 = np.array(PERSON) / (320, 160, 320, 160)
    names = ("detection_boxes", "detection_scores", "detection_classes:0")
    return lists(names, (y1, x1, y2, x2), gain=1 / 255, person=1)


def pose():
    table, gains = rows(*corners(8), 0, 0, *[0.5] * 51, count=300, score=4)
    return {"output0": (table, gains)}


def named(*names, task="detect"):
    return {"names": str(dict(enumerate(names))), "task": task}


def two_classes():
    """YOLOv8 of dogs and people."""
    table, gains = everywhere(126, 6)
    table[50, :4] = centre(shift=8)
    table[90, 4] = 1.0
    gains[50, 5] = 1
    return {"output0": (table.T, gains.T)}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# Rows of the input that the frame covers in one way of fitting it alone.
CORNER, MIDDLE, STRETCHED = 2, 52, 62
NORMALISED = (SCORE - 0.485) / 0.229
CLASSES_AND_REST = (
    1 + 90 * np.exp(-9) * np.exp(-2 * NORMALISED) + np.exp(-2 * NORMALISED)
)
LAST = (1, HEIGHT, WIDTH, 3)  # channels
BYTES = {"shape": LAST, "kind": TensorProto.UINT8}
COUNTED = ("num_dets", "boxes", "scores", "labels")
SUPER_GRADIENTS = ("num_predictions", "pred_boxes", "pred_scores", "pred_classes")
NO_BATCH = {"batched": False}

# Name -> layout that the user must name, outputs, pixel, score, options of `save`.
NETWORKS = {
    "yolox": ("", yolox(), (0, 2, CORNER, 9), SCORE, {}),
    "yolox raw": ("", yolox(raw=True), (0, 2, CORNER, 9), SCORE, {}),
    "yolox legacy": (
        "yolox_legacy",
        {"output": (yolox()["output"][0], yolox()["output"][1] * 100)},
        (0, 0, CORNER, 9),
        NORMALISED * 100 / 255,
        {},
    ),
    "yolov5": ("", yolox(boxes_of_cell=3), (0, 0, MIDDLE, 9), SCORE, {}),
    "yolov6": ("", yolov6(), (0, 0, MIDDLE, 9), SCORE, {}),
    "yolov7": ("", yolov7(), (0, 0, MIDDLE, 9), SCORE, NO_BATCH),
    "yolov8": ("", yolov8(), (0, 0, MIDDLE, 9), SCORE, {}),
    "yolov8 rows": ("", yolov8(transposed=False), (0, 0, MIDDLE, 9), SCORE, {}),
    "two classes": (
        "",
        two_classes(),
        (0, 0, MIDDLE, 9),
        SCORE,
        {"says": named("dog", "Person")},
    ),
    "yolov10": ("", end_to_end(), (0, 0, MIDDLE, 9), SCORE, {}),
    "fractions": ("", end_to_end(in_fractions=True), (0, 0, MIDDLE, 9), SCORE, {}),
    "pose": (
        "",
        pose(),
        (0, 0, MIDDLE, 9),
        SCORE,
        {"says": named("person", task="pose")},
    ),
    "yolo-nas": (
        "yolo_nas",
        pair(False, corners(8), 1.0),
        (0, 0, MIDDLE, 9),
        SCORE,
        {},
    ),
    "yolo-nas flat": ("", flat_yolo_nas(), (0, 0, MIDDLE, 9), SCORE, NO_BATCH),
    "yolo-nas batch": (
        "",
        lists(SUPER_GRADIENTS, corners(8), count=2),
        (0, 0, MIDDLE, 9),
        SCORE,
        {},
    ),
    "damo-yolo": (
        "",
        pair(True, corners(), 1 / 255, scores_name="output"),
        (0, 0, CORNER, 9),
        SCORE,
        {},
    ),
    "yolo-world": (
        "yolo_world",
        lists(COUNTED, corners(8), count=2),
        (0, 0, MIDDLE, 9),
        SCORE,
        {},
    ),
    "yolo-world raw": (
        "yolo_world",
        pair(True, corners(8), 1.0),
        (0, 0, MIDDLE, 9),
        SCORE,
        {},
    ),
    "pp-yoloe": (
        "ppyoloe",
        paddle(),
        (0, 0, STRETCHED, 9),
        NORMALISED,
        {"sizes": "scale_factor", **NO_BATCH},
    ),
    "pp-yoloe plus": (
        "ppyoloe_plus",
        pair(False, corners(scale=STRETCH), 1.0, transposed=True),
        (0, 0, STRETCHED, 9),
        SCORE,
        {},
    ),
    "rt-detr ultralytics": (
        "",
        rt_detr_of_ultralytics(),
        (0, 0, STRETCHED, 9),
        SCORE,
        {},
    ),
    "rt-detr": (
        "",
        rt_detr(),
        (0, 0, STRETCHED, 9),
        SCORE,
        {"sizes": "orig_target_sizes"},
    ),
    "logits 80": ("", detr(80, 0, 2.0), (0, 0, STRETCHED, 9), sigmoid(2 * SCORE), {}),
    "logits 91": (
        "",
        detr(91, 1, 2.0),
        (0, 0, STRETCHED, 9),
        sigmoid(2 * NORMALISED),
        {},
    ),
    "logits 92": ("", detr(92, 1, 2.0), (0, 0, STRETCHED, 9), 1 / CLASSES_AND_REST, {}),
    "torchvision": (
        "",
        lists(("boxes", "scores", "labels"), corners(), person=1),
        (0, CORNER, 9),
        SCORE,
        {"shape": (3, HEIGHT, WIDTH), **NO_BATCH},
    ),
    "tensorflow": ("", tensorflow(), (0, STRETCHED, 9, 0), SCORE, BYTES),
    "efficientdet": ("", efficientdet(), (0, CORNER, 9, 0), SCORE, BYTES),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_finds_the_person(tmp_path, name):
    layout, outputs, pixel, score, options = NETWORKS[name]
    path = onnx_networks.save(tmp_path / "a.onnx", outputs, pixel, **options)
    given = f"{layout}:{path}" if layout else path
    found = open_detector(f"onnx:{given}")(FRAME)
    assert found.shape == (1, 5) and found.dtype == np.float32
    # Boxes and scores went through float32 alone: 1e-3 of a pixel.
    np.testing.assert_allclose(found[0, :4], PERSON, atol=1e-3)
    np.testing.assert_allclose(found[0, 4], score, rtol=1e-5)


def test_every_layout_is_tested():
    # Three layouts have the names of their networks' outputs alone.
    named_here = {layout for layout, *_ in NETWORKS.values()} - {""}
    assert named_here <= set(LAYOUTS)
    assert len(NETWORKS) > len(LAYOUTS)


@pytest.mark.parametrize("name", [n for n, (layout, *_) in NETWORKS.items() if layout])
def test_what_is_not_certain_is_refused(tmp_path, name):
    layout, outputs, pixel, _, options = NETWORKS[name]
    path = onnx_networks.save(tmp_path / "a.onnx", outputs, pixel, **options)
    if layout == "yolox_legacy":  # other pictures, and nothing shows it
        assert len(OnnxDetector(path)(FRAME)) < 2
        return
    with pytest.raises(errors.UserError, match=rf"may be those of .*{layout}") as error:
        OnnxDetector(path)
    assert all(output in str(error.value) for output in outputs)


def test_another_layout_than_the_files_is_refused(tmp_path):
    path = onnx_networks.save(tmp_path / "a.onnx", yolov8(), (0, 0, MIDDLE, 9))
    with pytest.raises(
        errors.UserError, match=r"output0 \[84, 126\].*not those of detr"
    ):
        open_detector(f"onnx:detr:{path}")


def test_probabilities_of_nobody_are_not_taken_for_logits(tmp_path):
    outputs = pair(True, corners(), 0.0, scores_name="output")
    outputs["output"][0][:] = 0.0
    path = onnx_networks.save(tmp_path / "a.onnx", outputs)
    assert len(OnnxDetector(path)(FRAME)) == 0


def test_the_files_class_names_are_read(tmp_path):
    says = named("dog", "cat")
    path = onnx_networks.save(tmp_path / "a.onnx", two_classes(), says=says)
    with pytest.raises(errors.UserError, match=r"none of its classes.*dog, cat"):
        OnnxDetector(path)


@pytest.mark.parametrize("where", ["grey", "frame"])
def test_nan_is_an_error_and_not_nobody(tmp_path, where):
    table, gains = yolov8()["output0"]
    if where == "grey":
        table[4, 7] = np.nan
    else:
        gains[4, 7] = np.inf  # times the frame's blue, which is 0
    outputs = {"output0": (table, gains)}
    path = onnx_networks.save(tmp_path / "a.onnx", outputs, (0, 2, MIDDLE, 9))
    with pytest.raises(errors.UserError, match=r"output0 is NaN.*float32"):
        OnnxDetector(path)(FRAME)


@pytest.mark.parametrize(
    ("shape", "kind", "pixel", "gain"),
    [
        ((1, 3, "height", "width"), TensorProto.FLOAT, (0, 0, 400, 9), 1),
        (("batch", 3, HEIGHT, WIDTH), TensorProto.FLOAT16, (0, 0, MIDDLE, 9), 1),
        ((1, HEIGHT, WIDTH, 3), TensorProto.UINT8, (0, MIDDLE, 9, 0), 1 / 255),
    ],
)
def test_inputs(tmp_path, shape, kind, pixel, gain):
    values, gains = end_to_end(in_fractions=True)["output0"]
    outputs = {"output0": (values, gains * gain)}
    path = onnx_networks.save(tmp_path / "a.onnx", outputs, pixel, shape, kind=kind)
    found = OnnxDetector(path)(FRAME)
    # Half precision has eleven bits.
    np.testing.assert_allclose(found[:, 4], [SCORE], rtol=2**-11)


def test_boxes_end_at_the_frame(tmp_path):
    values, gains = rt_detr_of_ultralytics()["output0"]
    values[7, :4] = 0.9, 0.5, 0.4, 2.0
    path = onnx_networks.save(tmp_path / "a.onnx", {"output0": (values, gains)})
    found = OnnxDetector(path)(FRAME)
    np.testing.assert_allclose(found[:, :4], [(224, 0, 320, 160)], atol=1e-3)


def test_threshold(tmp_path):
    path = onnx_networks.save(tmp_path / "a.onnx", yolov8(), (0, 0, MIDDLE, 9))
    assert len(OnnxDetector(path, threshold=0.94)(FRAME)) == 1
    nobody = OnnxDetector(path, threshold=0.96)(FRAME)
    assert nobody.shape == (0, 5) and nobody.dtype == np.float32


def zeros(*shape):
    return np.zeros(shape, np.float32), None


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ({"probabilities": zeros(1000)}, r"probabilities \[1, 1000\]"),
        ({"map": zeros(4, 8)}, r"map \[4, 8\]"),
        (
            {"a": zeros(300, 80), "b": zeros(300, 5)},
            r"a \[300, 80\], b \[300, 5\]",
        ),
        ({"a": zeros(300, 80), "b": zeros(100, 4)}, "yolox"),
        ({"a": zeros(5000, 85)}, r"a \[5000, 85\]"),
        ({f"c{i}": zeros(3, 8, 12, 85) for i in range(3)}, r"c2 \[1, 3, 8, 12, 85\]"),
    ],
)
def test_outputs_that_are_not_understood(tmp_path, outputs, told):
    path = onnx_networks.save(tmp_path / "a.onnx", outputs)
    with pytest.raises(errors.UserError, match=told) as caught:
        OnnxDetector(path)
    assert path in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((1, 1, HEIGHT, WIDTH), {}),
        ((1, 3, HEIGHT, WIDTH), {"kind": TensorProto.INT64}),
    ],
)
def test_inputs_that_are_not_understood(tmp_path, shape, options):
    path = onnx_networks.save(tmp_path / "a.onnx", yolov8(), None, shape, **options)
    with pytest.raises(errors.UserError, match="inputs that are not .*images"):
        OnnxDetector(path)


def test_a_network_that_fails(tmp_path):
    shape = (1, 3, "height", "width")  # but less than 900 rows are too few
    path = onnx_networks.save(tmp_path / "a.onnx", yolov8(), (0, 0, 900, 0), shape)
    with pytest.raises(errors.UserError, match="cannot be run on a picture of 640 x"):
        OnnxDetector(path)


def test_files_that_are_no_networks(tmp_path):
    path = tmp_path / "a.onnx"
    with pytest.raises(errors.UserError, match="no such file"):
        open_detector(str(path))
    path.write_bytes(b"no network")
    with pytest.raises(errors.UserError, match="not a network that onnxruntime"):
        open_detector(str(path))


def test_onnxruntime_is_optional(tmp_path, monkeypatch):
    real_import = builtins.__import__

    def missing(name, *arguments, **options):
        if name == "onnxruntime":
            raise ImportError(name)
        return real_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(errors.UserError, match="pip install onnxruntime"):
        OnnxDetector(tmp_path / "a.onnx")
