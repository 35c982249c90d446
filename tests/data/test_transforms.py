"""Resize, crop and flip against MMAction2's pipeline."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from ava_jax.data import transforms

REFERENCE = pathlib.Path(__file__).parent / "reference"
NOTES = json.loads((REFERENCE / "pipeline_notes.json").read_text())


@pytest.fixture(scope="module")
def goldens():
    with np.load(REFERENCE / "pipeline.npz") as file:
        return dict(file)


@pytest.mark.parametrize("as_tensors", [False, True])
@pytest.mark.parametrize("case", NOTES["resize"], ids=str)
def test_size_equals_mmcv(case, as_tensors):
    size = case["size_in"]
    if as_tensors:
        size = [tf.constant(side) for side in size]
    out = transforms.size_for_short_side(*size, 256)
    assert [int(side) for side in out] == case["size_out"]


@pytest.mark.parametrize("index", range(len(NOTES["resize"])))
def test_resized_boxes_equal_mmaction2(goldens, index):
    height, width = NOTES["resize"][index]["size_in"]
    boxes = transforms.to_pixels(goldens["boxes/normalised"], height, width)
    np.testing.assert_array_equal(boxes, goldens[f"resize/{index}/boxes_in"])
    resized = transforms.resize_boxes(
        boxes, (height, width), NOTES["resize"][index]["size_out"]
    )
    np.testing.assert_array_equal(resized, goldens[f"resize/{index}/boxes_out"])


@pytest.mark.parametrize("index", range(len(NOTES["chain"])))
@pytest.mark.parametrize("kind", ["boxes", "gt"])
def test_crop_and_flip_equal_mmaction2(goldens, index, kind):
    case = NOTES["chain"][index]
    x, y = case["crop_bbox"][:2]
    boxes = goldens[f"chain/{index}/{kind}_rescale"]
    cropped = transforms.crop_boxes(boxes, y, x, 256)
    np.testing.assert_array_equal(cropped, goldens[f"chain/{index}/{kind}_crop"])
    if case["flip"]:
        cropped = transforms.flip_boxes(cropped, 256)
    np.testing.assert_array_equal(cropped, goldens[f"chain/{index}/{kind}_flip"])


def test_boxes_that_the_crop_cuts_stay(goldens):
    for index in range(sum(name.endswith("boxes_flipped") for name in goldens)):
        x, y = goldens[f"crop/{index}/crop_bbox"][:2]
        boxes = transforms.crop_boxes(goldens[f"crop/{index}/boxes_in"], y, x, 256)
        np.testing.assert_array_equal(boxes, goldens[f"crop/{index}/boxes_out"])
        np.testing.assert_array_equal(
            transforms.flip_boxes(boxes, 256), goldens[f"crop/{index}/boxes_flipped"]
        )


def test_pixels_are_opencvs_within_a_level(goldens):
    indices = [name.split("/")[1] for name in goldens if name.endswith("/resized")]
    for index in indices:
        expected = goldens[f"pixels/{index}/resized"]
        out = transforms.resize(goldens[f"pixels/{index}/in"], *expected.shape[1:3])
        difference = np.abs(out.numpy().astype(int) - expected)
        # OpenCV interpolates in 11-bit fixed point, so a level may differ.
        assert difference.max() <= 1
        flipped = goldens[f"pixels/{index}/flipped"]
        np.testing.assert_array_equal(transforms.flip(expected), flipped)


@pytest.mark.parametrize("size", [(256, 256), (256, 300), (300, 270)])
def test_crop_offsets_stay_inside_and_exclude_the_last(size):
    offsets = np.array(
        [
            transforms.random_crop_offset(*size, 256, tf.constant([0, i]))
            for i in range(500)
        ]
    )
    room = np.array(size) - 256
    assert (offsets >= 0).all()
    assert (offsets.max(axis=0) == np.maximum(room - 1, 0)).all()


def test_crop_and_flip_move_pixels_as_they_move_boxes():
    clip = np.zeros((2, 40, 60, 3), np.uint8)
    clip[:, 10:20, 30:45] = 255
    cropped = transforms.flip(transforms.crop(clip, 5, 20, 32)).numpy()
    box = transforms.crop_boxes(tf.constant([[30.0, 10, 45, 20]]), 5, 20, 32)
    x1, y1, x2, y2 = transforms.flip_boxes(box, 32).numpy()[0].astype(int)
    ys, xs = np.nonzero(cropped[0, :, :, 0])
    assert (ys.min(), ys.max() + 1, xs.min(), xs.max() + 1) == (y1, y2, x1, x2)
