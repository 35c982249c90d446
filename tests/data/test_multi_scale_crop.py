"""Training crops of several scales and shapes."""

import pathlib

import cv2
import from_config
import numpy as np
import pytest
import tensorflow as tf

from ava_jax.data import multi_scale_crop
from ava_jax.errors import UserError

SCALES = (1.0, 0.875, 0.75, 0.66)


def windows(size, scales, clip_side, count):
    size = tf.constant(size)
    draw = tf.function(
        lambda seed: tf.stack(
            multi_scale_crop.draw(tf.unstack(size), scales, clip_side, seed)
        )
    )
    return np.array([draw(tf.constant([0, i])) for i in range(count)])


def test_sizes_and_places():
    drawn = windows((72, 96), SCALES, 32, 600)
    sides = [72, 63, 54, 47]  # 47.52 is cut off
    expected = {
        (sides[i], sides[j]) for i in range(4) for j in range(4) if abs(i - j) <= 1
    }
    assert set(map(tuple, drawn[:, 2:].tolist())) == expected
    # Ten pairs, equally likely: 60 each, with a standard deviation of 7.
    counts = np.unique(drawn[:, 2:], axis=0, return_counts=True)[1]
    assert (np.abs(counts - 60) < 30).all()
    room = np.array([72, 96]) - drawn[:, 2:]
    assert (drawn[:, :2] >= 0).all() and (drawn[:, :2] <= room).all()
    # Both ends are drawn, unlike in the recipe's crop.
    for axis in (0, 1):
        assert (drawn[:, axis] == 0).any()
        assert ((drawn[:, axis] == room[:, axis]) & (room[:, axis] > 0)).any()


@pytest.mark.parametrize(("clip_side", "side"), [(224, 224), (227, 227), (228, 225)])
def test_nearly_the_size_of_the_clip(clip_side, side):
    """As in MMAction2; three quarters of 300 are 225."""
    assert (windows((300, 400), (0.75,), clip_side, 3)[:, 2:] == side).all()


def test_frames_that_are_too_small():
    assert (windows((30, 40), (1.0,), 32, 5)[:, 2:] == 30).all()
    assert (windows((30, 40), (0.001,), 32, 5)[:, 2:] == 1).all()


@pytest.fixture
def white(own):
    """A split of frames with a white rectangle, which is the only person's box."""
    frame = np.zeros((72, 96, 3), np.uint8)
    frame[20:50, 30:70] = 255
    root = pathlib.Path(own.data.root)
    for path in (root / "rawframes/mini_train_00").iterdir():
        cv2.imwrite(str(path), frame, [cv2.IMWRITE_JPEG_QUALITY, 100])
    box = ",".join(str(x) for x in (30 / 96, 20 / 72, 70 / 96, 50 / 72))
    (root / "annotations/mini_train.csv").write_text(f"mini_train_00,102,{box},12,0")
    own.data.no_proposals = "full_frame"
    own.data.min_visible = 0.0
    own.data.crop_scales = SCALES
    return own


def examples(config, positions):
    split = from_config.load_split(config, "train")
    made = from_config.new_examples(split, config)
    # In a graph, as in training.
    training = tf.function(lambda position: made.training(tf.constant(0), position))
    return [
        {
            name: value.numpy()
            for name, value in training(tf.constant(i, tf.int64)).items()
        }
        for i in positions
    ]


def test_pixels_move_as_boxes_do(white):
    white.data.crop = 80  # above every window: what is cut is enlarged
    shapes = set()
    for example in examples(white, range(40)):
        assert example["box_mask"].tolist() == [True] + 7 * [False]
        assert example["clip"].shape == (4, 80, 80, 3)
        x1, y1, x2, y2 = example["boxes"][0]
        ys, xs = np.nonzero(example["clip"][0, :, :, 0] > 127)
        found = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        # A box ends at the middle of the window's last pixel, which is up to
        # 80 / 47 pixels wide here; the rest is interpolation.
        np.testing.assert_allclose(found, [x1, y1, x2, y2], atol=80 / 47 + 1)
        shapes.add((round(float(x2 - x1)), round(float(y2 - y1))))
    # Neither size nor shape is always the same.
    assert len(shapes) > 10
    assert len({round(width / height, 1) for width, height in shapes}) > 2


def test_boxes_are_clamped_and_scaled(white):
    """The box of the whole frame shows the window's size: (side - 1) crop / side."""
    box = "0,0,1,1"
    path = pathlib.Path(white.data.root, "annotations/mini_train.csv")
    path.write_text(f"mini_train_00,102,{box},12,0")
    white.data.flip = 0.0
    white.data.crop_scales = (0.5,)  # 36 of 72
    for example in examples(white, range(3)):
        expected = 35 * 64 / 36
        np.testing.assert_allclose(
            example["boxes"][0], [0, 0, expected, expected], rtol=1e-6
        )


def test_people_of_whom_too_little_is_left(white):
    white.data.crop_scales = (0.5,)

    def people(share):
        white.data.min_visible = share
        made = examples(white, range(12))
        return [int(example["box_mask"].sum()) for example in made]

    assert people(0.0) == [1] * 12  # never dropped by default
    # The window has 36 x 36 pixels, the person 40 x 30.
    some = people(0.5)
    assert 0 < sum(some) < 12
    assert people(1.0) == [0] * 12


def test_the_same_place_in_the_stream_is_the_same(tiny_config):
    def batches(scales, seed=0, first_step=0, steps=1):
        tiny_config.data.crop_scales, tiny_config.seed = scales, seed
        split = from_config.load_split(tiny_config, "train")
        rows = range(tiny_config.train.batch)
        return list(
            from_config.train_batches(
                split, tiny_config, first_step=first_step, steps=steps, rows=rows
            )
        )

    first, second = batches(SCALES, steps=2)
    (resumed,) = batches(SCALES, first_step=1, steps=2)
    for name in second:
        np.testing.assert_array_equal(second[name], resumed[name])
    (other,), (off,) = batches(SCALES, seed=1), batches(())
    for changed in (second, other, off):
        assert (first["boxes"] != changed["boxes"]).any()
        assert (first["clip"] != changed["clip"]).any()


@pytest.mark.parametrize(
    "scales",
    [(0.0,), (-0.5,), (1.0, 1.01), (float("nan"),), (True,), ("0.5",), (1.0, None)],
    ids=str,
)
def test_scales_without_meaning(tiny_config, scales):
    tiny_config.data.crop_scales = scales
    with pytest.raises(UserError, match=r"config\.data\.crop_scales is \(.*expected"):
        from_config.load_split(tiny_config, "train")


def test_whole_numbers_are_scales(tiny_config):
    tiny_config.data.crop_scales = (1, 0.5)
    from_config.load_split(tiny_config, "train")
