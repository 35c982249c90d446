"""Crops of several sizes and shapes: MMAction2's `MultiScaleCrop`.

Source: MMAction2 v0.24.1, `mmaction/datasets/pipelines/augmentations.py`, with
`random_crop=True` and `max_wh_scale_gap=1`.
"""

from collections.abc import Sequence

import tensorflow as tf

# Largest distance between the positions of height and width in the list of scales.
_MAX_GAP = 1
# A side this close to that of the clip becomes it, which avoids interpolation.
_NEAR = 3


def draw(
    size: tuple[tf.Tensor, tf.Tensor],
    scales: Sequence[float],
    clip_side: int,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """A random window of a frame; every window of the drawn size is equally likely.

    Args:
      size: height and width of the frame.
      scales: fractions of the short side; height and width take the same or
        neighbouring ones.
      clip_side: side of the clip that the window is resized to.
      seed: (2,) integer, of `tf.random.stateless_uniform`.

    Returns:
      y and x of the upper left corner, height and width; () int32, in pixels.
    """
    seeds = tf.random.split(seed, 3)
    levels = range(len(scales))
    pairs = [(i, j) for i in levels for j in levels if abs(i - j) <= _MAX_GAP]
    pair = tf.constant(pairs)[_below(len(pairs), seeds[0])]
    height, width = tf.unstack(tf.gather(_sides(size, scales, clip_side), pair))
    # Unlike the square crop, this one may touch the far edge.
    y = _below(size[0] - height + 1, seeds[1])
    x = _below(size[1] - width + 1, seeds[2])
    return y, x, height, width


def _sides(size, scales, clip_side) -> tf.Tensor:
    """(S,) int32, the side of a window for each scale."""
    short = tf.minimum(*size)
    sides = tf.cast(short, tf.float64) * tf.constant(scales, tf.float64)
    sides = tf.maximum(tf.cast(sides, tf.int32), 1)
    # MMAction2 fails if the frame is smaller than the clip.
    near = (tf.abs(sides - clip_side) < _NEAR) & (clip_side <= short)
    return tf.where(near, clip_side, sides)


def _below(end: tf.Tensor | int, seed: tf.Tensor) -> tf.Tensor:
    """() int32 from [0, end)."""
    return tf.random.stateless_uniform([], seed, 0, end, tf.int32)
