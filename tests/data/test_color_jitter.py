"""Colour jitter, step by step as MMAction2 does it."""

import itertools

import from_config
import numpy as np
import pytest
import tensorflow as tf

from ava_jax.data import color_jitter


def reference(image, change, used, contrast_first):
    """One image, (H, W, 3) float64, by the formulas of MMAction2's `ColorJitter`."""

    def contrast(image):
        return image * float(change.contrast) if used[1] else image

    if used[0]:
        image = image + float(change.brightness)
    if contrast_first:
        image = contrast(image)
    if used[2]:
        factor = float(change.saturation)
        grey = (image * [0.299, 0.587, 0.114]).sum(2, keepdims=True)
        image = image * factor + grey * (1 - factor)
    if used[3]:
        angle = float(change.hue) * np.pi
        u, w = np.cos(angle), np.sin(angle)
        turn = [[1, 0, 0], [0, u, -w], [0, w, u]]
        to = [[0.299, 0.587, 0.114], [0.596, -0.274, -0.321], [0.211, -0.523, 0.311]]
        back = [[1, 0.956, 0.621], [1, -0.272, -0.647], [1, -1.107, 1.705]]
        image = image @ np.array(back @ np.array(turn) @ to).T
    if not contrast_first:
        image = contrast(image)
    return image + change.noise.numpy()


@pytest.mark.parametrize("contrast_first", [False, True])
def test_every_combination(rng, contrast_first):
    used = np.array(list(itertools.product([False, True], repeat=4)))
    clip = rng.integers(0, 256, (16, 5, 7, 3), np.uint8)
    change = color_jitter.Change(
        brightness=tf.constant(-20.0),
        contrast=tf.constant(1.3),
        saturation=tf.constant(0.7),
        hue=tf.constant(0.2),
        noise=tf.constant([2.0, -3.0, 1.0]),
        used=tf.constant(used),
    )
    expected = [
        reference(image, change, row, contrast_first) for image, row in zip(clip, used)
    ]
    out = color_jitter.apply(tf.constant(clip), change).numpy().astype(float)
    # Rounding is half a level; float32 adds less than 1e-3 to it.
    assert np.abs(out - np.clip(expected, 0, 255)).max() < 0.501


def test_draws():
    def values(seed):
        change = color_jitter.draw(64, tf.constant([0, seed]))
        return {name: np.array(value) for name, value in vars(change).items()}

    draws = [values(seed) for seed in range(100)]
    stacked = {name: np.stack([draw[name] for draw in draws]) for name in draws[0]}
    limits = {
        "brightness": (-32, 32),
        "contrast": (0.6, 1.4),
        "saturation": (0.6, 1.4),
        "hue": (-18, 18),
    }
    for name, (low, high) in limits.items():
        assert low <= stacked[name].min() < 0.9 * low + 0.1 * high
        assert 0.1 * low + 0.9 * high < stacked[name].max() <= high
    # 6,400 coins of each kind; the standard deviation of their mean is 0.006.
    np.testing.assert_allclose(stacked["used"].mean((0, 1)), 0.5, atol=0.03)
    again = values(7)
    assert all((again[name] == draws[7][name]).all() for name in again)


def test_noise_is_along_the_principal_components():
    seeds = tf.stack([tf.zeros(400, tf.int32), tf.range(400)], axis=1)
    noise = np.array([color_jitter.draw(1, seed).noise for seed in seeds])
    # AlexNet's eigenvectors and eigenvalues, as MMAction2 has them.
    axes = [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.814]]
    axes = np.array([*axes, [-0.5836, -0.6948, 0.4203]])
    deviations = (noise @ axes).std(0)
    # The standard error of a deviation of 400 draws is 3.5 %.
    expected = 0.1 * np.array([55.46, 4.794, 1.148])
    np.testing.assert_allclose(deviations, expected, rtol=0.1)


def test_training_uses_it_if_asked_to(tiny_config):
    def batch():
        split = from_config.load_split(tiny_config, "train")
        batches = from_config.train_batches(
            split, tiny_config, first_step=0, steps=1, rows=range(4)
        )
        return next(batches)

    plain = batch()
    tiny_config.data.colour_jitter = True
    jittered = batch()
    assert (plain["clip"] != jittered["clip"]).mean() > 0.5
    # Nothing else is drawn differently.
    for name in ("boxes", "box_mask", "labels"):
        np.testing.assert_array_equal(plain[name], jittered[name])
