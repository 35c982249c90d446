"""Folded convolutions against 3D ones, and the stem's pool."""

import functools
import re

import flax.linen as nn
import jax
import numpy as np
import pytest

from ava_jax.models.conv import conv3d, max_pool, max_pool_same

# Kernel, strides, dilation, channels: each that a detector uses. More than 32
# channels take the hand-written gradient.
CASES = {
    "slow stem": ((1, 7, 7), (1, 2, 2), 1, (3, 64)),
    "fast stem": ((5, 7, 7), (1, 2, 2), 1, (3, 8)),
    "1x1": ((1, 1, 1), (1, 1, 1), 1, (64, 32)),
    "1x1, wider": ((1, 1, 1), (1, 1, 1), 1, (32, 64)),
    "1x1, few channels": ((1, 1, 1), (1, 1, 1), 1, (4, 6)),
    "1x1, odd channels": ((1, 1, 1), (1, 1, 1), 1, (33, 35)),
    "shortcut": ((1, 1, 1), (1, 2, 2), 1, (32, 64)),
    "3x3": ((1, 3, 3), (1, 1, 1), 1, (32, 48)),
    "3x3, few channels": ((1, 3, 3), (1, 1, 1), 1, (5, 4)),
    "3x3, stride": ((1, 3, 3), (1, 2, 2), 1, (48, 32)),
    "3x3, dilated": ((1, 3, 3), (1, 1, 1), 2, (32, 32)),
    "3x3, dilated, stride": ((1, 3, 3), (1, 2, 2), 2, (32, 32)),
    "temporal": ((3, 1, 1), (1, 1, 1), 1, (64, 32)),
    "temporal, few channels": ((3, 1, 1), (1, 1, 1), 1, (8, 4)),
    "lateral of 5": ((5, 1, 1), (8, 1, 1), 1, (8, 16)),
    "lateral of 7": ((7, 1, 1), (4, 1, 1), 1, (32, 64)),
    "3x3x3": ((3, 3, 3), (1, 1, 1), 1, (12, 32)),
    "3x3x3, stride": ((3, 3, 3), (1, 2, 2), 1, (12, 8)),
}
SIZES = [(8, 10, 12), (3, 7, 13), (1, 2, 3)]


def _reference(x, kernel, strides, dilation):
    spacing = (1, dilation, dilation)
    pads = [
        ((k - 1) // 2 * d,) * 2 for k, d in zip(kernel.shape[:3], spacing, strict=True)
    ]
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        strides,
        pads,
        rhs_dilation=spacing,
        dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
    )


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_conv3d_and_gradients(name, size, rng):
    kernel_size, strides, dilation, (inputs, outputs) = CASES[name]
    x = rng.standard_normal((2, *size, inputs)).astype(np.float32)
    kernel = rng.standard_normal((*kernel_size, inputs, outputs)).astype(np.float32)

    options = {"strides": strides, "dilation": dilation}
    reference = functools.partial(_reference, **options)
    shape = jax.eval_shape(reference, x, kernel).shape
    gradient = rng.standard_normal(shape).astype(np.float32)

    @jax.jit
    def value_and_gradients(x, kernel, gradient):
        results = []
        for function in (functools.partial(conv3d, **options), reference):
            value, pull_back = jax.vjp(function, x, kernel)
            results.append((value, *pull_back(gradient)))
        return results

    for a, b in zip(*value_and_gradients(x, kernel, gradient), strict=True):
        assert a.shape == b.shape
        # The same float32 products, summed in another order.
        largest = np.abs(b).max()
        np.testing.assert_allclose(a, b, rtol=0, atol=3e-6 * largest)


def test_a_shortcut_takes_its_pixels_before_the_product():
    """XLA must not fuse the two: its GPU compiler aborts on the gradient."""
    x = jax.ShapeDtypeStruct((2, 4, 8, 8, 32), jax.numpy.float32)
    kernel = jax.ShapeDtypeStruct((1, 1, 1, 32, 64), jax.numpy.float32)

    def gradient(x, kernel):
        return jax.grad(lambda k: conv3d(x, k, (1, 2, 2)).sum())(kernel)

    lowered = jax.jit(gradient).trace(x, kernel).lower(lowering_platforms=("cuda",))
    program = lowered.as_text()
    # What the product takes has come through the barrier, at a quarter of the size.
    assert re.search(r"optimization_barrier %\S+ : tensor<2x4x4x4x32xf32>", program)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_max_pool_and_gradient(size, rng):
    x = rng.standard_normal((2, *size, 3)).astype(np.float32)

    def reference(x):
        frames = x.reshape(-1, *x.shape[2:])
        pooled = nn.max_pool(frames, (3, 3), (2, 2), ((1, 1), (1, 1)))
        return pooled.reshape(*x.shape[:2], *pooled.shape[1:])

    found, to_x = jax.vjp(max_pool, x)
    expected, to_expected = jax.vjp(reference, x)
    np.testing.assert_array_equal(found, expected)
    gradient = rng.standard_normal(expected.shape).astype(np.float32)
    # A cell that is the largest of several windows sums up to four gradients.
    np.testing.assert_allclose(
        to_x(gradient)[0], to_expected(gradient)[0], rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("size", [*SIZES, (9, 8, 11)], ids=str)
@pytest.mark.parametrize(
    ("kernel_size", "strides"),
    [
        ((7, 7, 7), (2, 2, 2)),
        ((3, 3, 3), (1, 1, 1)),
        ((1, 3, 3), (1, 2, 2)),
        ((3, 1, 1), (2, 1, 1)),
        ((1, 1, 1), (1, 1, 1)),
    ],
)
def test_same_padding_and_gradients(kernel_size, strides, size, rng):
    x = rng.standard_normal((2, *size, 3)).astype(np.float32)
    kernel = rng.standard_normal((*kernel_size, 3, 4)).astype(np.float32)

    def reference(x, kernel):
        layout = ("NDHWC", "DHWIO", "NDHWC")
        return jax.lax.conv_general_dilated(
            x, kernel, strides, "SAME", dimension_numbers=layout
        )

    found, pull_back = jax.vjp(
        functools.partial(conv3d, strides=strides, padding="same"), x, kernel
    )
    expected, expected_pull_back = jax.vjp(reference, x, kernel)
    gradient = rng.standard_normal(expected.shape).astype(np.float32)
    results = (found, *pull_back(gradient))
    references = (expected, *expected_pull_back(gradient))
    for a, b in zip(results, references, strict=True):
        assert a.shape == b.shape
        # The same float32 products, summed in another order.
        np.testing.assert_allclose(a, b, rtol=0, atol=3e-6 * np.abs(b).max())


@pytest.mark.parametrize("size", [*SIZES, (9, 8, 11)], ids=str)
@pytest.mark.parametrize(
    ("window", "strides"),
    [
        ((1, 3, 3), (1, 2, 2)),
        ((3, 3, 3), (2, 2, 2)),
        ((3, 3, 3), (1, 1, 1)),
        ((2, 2, 2), (2, 2, 2)),
    ],
)
def test_max_pool_same_and_gradient(window, strides, size, rng):
    x = rng.standard_normal((2, *size, 3)).astype(np.float32)
    reference = functools.partial(
        nn.max_pool, window_shape=window, strides=strides, padding="SAME"
    )
    pool = functools.partial(max_pool_same, window=window, strides=strides)
    found, to_x = jax.vjp(pool, x)
    expected, to_expected = jax.vjp(reference, x)
    np.testing.assert_array_equal(found, expected)
    gradient = rng.standard_normal(expected.shape).astype(np.float32)
    # A cell that is the largest of several windows sums up to 27 gradients.
    np.testing.assert_allclose(
        to_x(gradient)[0], to_expected(gradient)[0], rtol=0, atol=5e-6
    )
