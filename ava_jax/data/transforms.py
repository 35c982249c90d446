"""Resizes, crops and flips clips with their boxes, as MMAction2 does.

Clips are (T, H, W, 3) uint8, boxes (N, 4) float32 xyxy in pixels of the clip.
Sources: MMAction2 v0.24.1, `mmaction/datasets/pipelines/augmentations.py`, and
mmcv's `rescale_size`.
"""

import tensorflow as tf

from ava_jax.video import resize as frame_resize


def size_for_short_side(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Height and width after scaling the shorter of them to `short_side`.

    Works on Python integers and on int32 tensors.
    """
    if not isinstance(height, tf.Tensor):
        return frame_resize.size_for_short_side(height, width, short_side)
    # float64, because 213 x 511 at 256 is too close to a half for float32.
    scale = tf.cast(short_side, tf.float64) / tf.cast(
        tf.minimum(height, width), tf.float64
    )
    return tuple(
        tf.cast(tf.cast(side, tf.float64) * scale + 0.5, tf.int32)
        for side in (height, width)
    )


def to_pixels(boxes: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Converts boxes from fractions of the frame, float64, to pixels, float32."""
    size = tf.cast(tf.stack([width, height, width, height]), tf.float64)
    return tf.cast(boxes * size, tf.float32)


def resize_boxes(
    boxes: tf.Tensor,
    size: tuple[tf.Tensor, tf.Tensor],
    new: tuple[tf.Tensor, tf.Tensor],
) -> tf.Tensor:
    """Scales boxes from a frame of `size` (height, width) to one of size `new`."""
    # The factor is rounded to float32 before it is used, as MMAction2 does.
    height, width = (
        tf.cast(tf.cast(b, tf.float64) / tf.cast(a, tf.float64), tf.float32)
        for a, b in zip(size, new, strict=True)
    )
    return boxes * tf.stack([width, height, width, height])


def resize(
    clip: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    window: tuple[tf.Tensor, tf.Tensor, int] | None = None,
) -> tf.Tensor:
    """Bilinear interpolation without antialiasing, rounded to uint8.

    Args:
      clip: (T, H, W, 3).
      height: in pixels, of the result.
      width: in pixels, of the result.
      window: (y, x, size) of a square to keep, as by `crop`; not rounding the rest
        saves a third of the time.
    """
    resized = tf.image.resize(clip, tf.stack([height, width]), method="bilinear")
    if window is not None:
        resized = crop(resized, *window)
    return tf.cast(tf.round(resized), tf.uint8)


def random_crop_offset(
    height: tf.Tensor, width: tf.Tensor, size: int, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """(y, x) of a random window; as in MMAction2, never the last position."""
    room = tf.stack([height, width]) - size
    drawn = tf.random.stateless_uniform([2], seed, dtype=tf.float32)
    # float32 can round drawn * room up to room itself.
    offset = tf.cast(drawn * tf.cast(room, tf.float32), tf.int32)
    offset = tf.maximum(tf.minimum(offset, room - 1), 0)
    return offset[0], offset[1]


def crop(
    clip: tf.Tensor,
    y: tf.Tensor,
    x: tf.Tensor,
    height: tf.Tensor | int,
    width: tf.Tensor | int | None = None,
) -> tf.Tensor:
    """Cuts out the window with the upper left corner (y, x), by default a square."""
    width = height if width is None else width
    return clip[:, y : y + height, x : x + width]


def crop_boxes(
    boxes: tf.Tensor,
    y: tf.Tensor,
    x: tf.Tensor,
    height: tf.Tensor | int,
    width: tf.Tensor | int | None = None,
) -> tf.Tensor:
    """Boxes in the coordinates of a window: clamped to [0, side - 1], never dropped."""
    width = height if width is None else width
    corner = tf.cast(tf.stack([x, y, x, y]), boxes.dtype)
    highest = tf.cast(tf.stack([width, height, width, height]) - 1, boxes.dtype)
    return tf.clip_by_value(boxes - corner, tf.zeros_like(highest), highest)


def flip(clip: tf.Tensor) -> tf.Tensor:
    """Flips a clip horizontally."""
    return tf.reverse(clip, axis=[2])


def flip_boxes(boxes: tf.Tensor, width: int) -> tf.Tensor:
    """Boxes of the flipped clip: x becomes width - x."""
    x1, y1, x2, y2 = tf.unstack(boxes, axis=-1)
    return tf.stack([width - x2, y1, width - x1, y2], axis=-1)
