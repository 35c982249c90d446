"""Colour jitter of training clips: MMAction2's `ColorJitter`.

Source: MMAction2 v0.24.1, `mmaction/datasets/pipelines/augmentations.py`, with
`color_space_aug=True`. MMAction2 keeps the result in floating point; here it is
rounded and clamped to 0 .. 255, because clips go to the device as uint8.
"""

import dataclasses
import math

import tensorflow as tf

# Ranges: brightness of 255; contrast and saturation around 1; hue in half turns.
_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = 32.0, 0.4, 0.4, 18.0
# Principal components of ImageNet's colours, for PCA noise (AlexNet).
_NOISE = 0.1
_EIGENVALUES = (55.46, 4.794, 1.148)
_EIGENVECTORS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)
_GREY = (0.299, 0.587, 0.114)
_TO_YIQ = (_GREY, (0.596, -0.274, -0.321), (0.211, -0.523, 0.311))
_FROM_YIQ = ((1.0, 0.956, 0.621), (1.0, -0.272, -0.647), (1.0, -1.107, 1.705))


@dataclasses.dataclass(frozen=True)
class Change:
    """How the colours of a clip change.

    Attributes:
      brightness: () added to every value.
      contrast: () factor of every value.
      saturation: () 1 keeps the colours, 0 makes them grey.
      hue: () rotation in half turns.
      noise: (3,) added to red, green and blue of all frames.
      used: (T, 4) bool, which of the first four apply to each frame, each with
        probability 0.5.
    """

    brightness: tf.Tensor
    contrast: tf.Tensor
    saturation: tf.Tensor
    hue: tf.Tensor
    noise: tf.Tensor
    used: tf.Tensor


def draw(clip_len: int, seed: tf.Tensor) -> Change:
    """A random change.

    Args:
      clip_len: frames of the clip.
      seed: (2,) integer, of `tf.random.stateless_uniform`.
    """
    seeds = tf.random.split(seed, 3)
    signs = tf.unstack(tf.random.stateless_uniform([4], seeds[0], -1.0, 1.0))
    weights = tf.random.stateless_normal([3], seeds[1], stddev=_NOISE)
    return Change(
        brightness=_BRIGHTNESS * signs[0],
        contrast=1 + _CONTRAST * signs[1],
        saturation=1 + _SATURATION * signs[2],
        hue=_HUE * signs[3],
        noise=tf.linalg.matvec(_EIGENVECTORS * weights, _EIGENVALUES),
        used=tf.random.stateless_uniform([clip_len, 4], seeds[2]) > 0.5,
    )


def apply(clip: tf.Tensor, change: Change) -> tf.Tensor:
    """Changes the colours of a clip, (T, H, W, 3) uint8, RGB."""
    # All changes are linear in a pixel's colour, so their sequence is one matrix.
    # Contrast is a scalar factor: whether it comes first or last, which MMAction2
    # draws at random, makes no difference.
    one = tf.eye(3)
    grey = tf.tile([_GREY], [3, 1])
    saturation = change.saturation * one + (1 - change.saturation) * grey
    brightness, contrast, saturated, turned = tf.unstack(change.used, axis=1)
    matrix = tf.matmul(
        tf.where(turned[:, None, None], _turn(change.hue), one),
        tf.where(saturated[:, None, None], saturation, one),
    )
    matrix *= tf.where(contrast, change.contrast, 1.0)[:, None, None]
    offset = tf.where(brightness, change.brightness, 0.0)[:, None]
    offset = offset * tf.reduce_sum(matrix, axis=2) + change.noise
    colours = tf.reshape(tf.cast(clip, tf.float32), [tf.shape(clip)[0], -1, 3])
    colours = tf.matmul(colours, matrix, transpose_b=True) + offset[:, None]
    colours = tf.clip_by_value(tf.round(colours), 0, 255)
    return tf.reshape(tf.cast(colours, tf.uint8), tf.shape(clip))


def _turn(hue: tf.Tensor) -> tf.Tensor:
    """(3, 3) rotation of colours around the grey axis."""
    cos, sin = tf.cos(hue * math.pi), tf.sin(hue * math.pi)
    turn = tf.stack([[1.0, 0, 0], [0.0, cos, -sin], [0.0, sin, cos]])
    return tf.matmul(tf.matmul(_FROM_YIQ, turn), _TO_YIQ)
