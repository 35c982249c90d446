import builtins

import numpy as np
import onnx_networks
import pytest
from onnx import TensorProto
from onnx_networks import HEIGHT, WIDTH

from ava_jax import errors
from ava_jax.people import OnnxDetector, open_detector

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


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# Rows of the input that the frame covers in one way of fitting it alone.
CORNER, MIDDLE, STRETCHED = 2, 52, 62
NORMALISED = (SCORE - 0.485) / 0.229
CLASSES_AND_REST = (
    1 + 90 * np.exp(-9) * np.exp(-2 * NORMALISED) + np.exp(-2 * NORMALISED)
)


@pytest.mark.parametrize(
    ("outputs", "pixel", "score"),
    [
        (yolox(), (0, 2, CORNER, 9), SCORE),
        (yolox(raw=True), (0, 2, CORNER, 9), SCORE),
        (yolox(boxes_of_cell=3), (0, 0, MIDDLE, 9), SCORE),
        (yolov8(), (0, 0, MIDDLE, 9), SCORE),
        (yolov8(transposed=False), (0, 0, MIDDLE, 9), SCORE),
        (end_to_end(), (0, 0, MIDDLE, 9), SCORE),
        (end_to_end(in_fractions=True), (0, 0, MIDDLE, 9), SCORE),
        (rt_detr_of_ultralytics(), (0, 0, STRETCHED, 9), SCORE),
        (rt_detr(), (0, 0, STRETCHED, 9), SCORE),
        (detr(80, 0, 2.0), (0, 0, STRETCHED, 9), sigmoid(2 * SCORE)),
        (detr(91, 1, 2.0), (0, 0, STRETCHED, 9), sigmoid(2 * NORMALISED)),
        (detr(92, 1, 2.0), (0, 0, STRETCHED, 9), 1 / CLASSES_AND_REST),
    ],
    ids=[
        *("yolox", "yolox-raw", "yolov5", "yolov8", "yolov8-rows", "yolov10"),
        *("rt-detr-fractions", "rt-detr-ultralytics", "rt-detr"),
        *("logits-80", "logits-91", "logits-92"),
    ],
)
def test_finds_the_person(tmp_path, outputs, pixel, score):
    sizes = "labels" in outputs
    path = onnx_networks.save(tmp_path / "a.onnx", outputs, pixel, sizes=sizes)
    found = open_detector(f"onnx:{path}")(FRAME)
    assert found.shape == (1, 5) and found.dtype == np.float32
    # Boxes and scores went through float32 alone: 1e-3 of a pixel.
    np.testing.assert_allclose(found[0, :4], PERSON, atol=1e-3)
    np.testing.assert_allclose(found[0, 4], score, rtol=1e-5)


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
        ({"map": zeros(4, 8)}, r"map \[1, 4, 8\]"),
        (
            {"a": zeros(300, 80), "b": zeros(300, 5)},
            r"a \[1, 300, 80\], b \[1, 300, 5\]",
        ),
        ({"a": zeros(300, 80), "b": zeros(100, 4)}, "YOLOX"),
        ({"a": zeros(5000, 85)}, r"a \[1, 5000, 85\]"),
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
