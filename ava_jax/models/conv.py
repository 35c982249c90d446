"""Convolutions over time and space, each computed as a 2D one or a product.

Kernels keep the five dimensions (kT, kH, kW, in, out) that checkpoints have.
Compilers have fast code for 2D convolutions in channels-last layout and for
matrix products, but rarely for 3D convolutions: `docs/benchmarks.md` has the
difference.
"""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from ava_jax.models import stem_conv
from ava_jax.models.batch_norm import BatchNorm, PerReplica

# MMAction2's `kaiming_init`: normal with variance 2 / (out * kT * kH * kW).
kaiming = nn.initializers.variance_scaling(
    2.0, "fan_out", "normal", in_axis=-2, out_axis=-1
)


def conv3d(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int, int] = (1, 1, 1),
    dilation: int = 1,
    padding: str = "symmetric",
) -> jax.Array:
    """Convolution with zero padding.

    Args:
      x: (B, T, H, W, in).
      kernel: (kT, kH, kW, in, out), of the dtype of `x`; odd sizes.
      strides: steps in time, height and width.
      dilation: spacing of the kernel's cells in height and width.
      padding: 'symmetric', (k - 1) // 2 * dilation on every side, as torch's models
        have it; 'same', TensorFlow's, which pads less, and less before than after,
        where the stride divides the size.

    Returns:
      (B, T', H', W', out), sizes divided by the strides and rounded up.
    """
    k_t, k_h, k_w = kernel.shape[:3]
    symmetric = padding == "symmetric"
    if symmetric and stem_conv.fits(kernel.shape, strides, dilation):
        return stem_conv.stem_conv(x, kernel)
    effective = (k_t, *((k - 1) * dilation + 1 for k in (k_h, k_w)))
    if symmetric:
        pads = [((k - 1) // 2,) * 2 for k in effective]
    else:
        pads = same_pads(x.shape[1:4], effective, strides)
    if k_h == k_w == 1:
        if strides[1:] != (1, 1):
            # XLA's GPU compiler (of jax 0.11.2, say) aborts when it fuses the slice
            # with the product of the kernel's gradient:
            # https://github.com/openxla/xla/issues/47381
            x = x[:, :, :: strides[1], :: strides[2]]
            x = jax.lax.optimization_barrier(x)
        if k_t == 1:
            return _product(x[:, :: strides[0]], kernel[0, 0, 0])
        return _conv_time(x, kernel[:, 0], strides[0], pads[0])
    if k_t == 1:
        x = x[:, :: strides[0]]
        return _conv_space(x, kernel[0], strides[1:], pads[1:], dilation)
    # Time shifts become channels, which a 2D convolution then sums over.
    x = _stack_shifts(x, k_t, strides[0], pads[0])
    kernel = jnp.moveaxis(kernel, 0, 2).reshape(k_h, k_w, -1, kernel.shape[-1])
    return _conv_space(x, kernel, strides[1:], pads[1:], dilation)


def same_pads(
    sizes: Sequence[int], window: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int]]:
    """TensorFlow's padding 'SAME': cells before and after each axis."""
    pads = []
    for size, k, stride in zip(sizes, window, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + k - size, 0)
        pads.append((total // 2, total - total // 2))
    return pads


def _conv_space(x, kernel, strides, pads, dilation):
    """2D convolution of every frame; `kernel` (kH, kW, in, out)."""
    frames = x.reshape(-1, *x.shape[2:])
    out = _conv2d(frames, kernel, strides, pads, dilation)
    return out.reshape(*x.shape[:2], *out.shape[1:])


def _conv_time(x, kernel, stride, pad):
    """Convolution along time; `kernel` (kT, 1, in, out)."""
    batch, time, height, width, channels = x.shape
    columns = x.reshape(batch, time, height * width, channels)
    out = _conv2d(columns, kernel, (stride, 1), [pad, (0, 0)], 1)
    return out.reshape(batch, -1, height, width, kernel.shape[-1])


def _product(x, kernel):
    """1x1 convolution; `kernel` (in, out)."""
    pixels = x.reshape(1, 1, -1, x.shape[-1])
    out = _conv2d(pixels, kernel[None, None], (1, 1), ((0, 0), (0, 0)), 1)
    return out.reshape(*x.shape[:-1], kernel.shape[-1])


def _convolve(x, kernel, strides, pads, dilation):
    """2D convolution of x (N, H, W, in) with kernel (kH, kW, in, out)."""
    if kernel.shape[:2] == (1, 1):
        return x @ kernel[0, 0]
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        strides,
        pads,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


# The same, with a gradient with respect to the kernel that is written out for CPUs.
_conv2d = jax.custom_vjp(_convolve, nondiff_argnums=(2, 3, 4))


def _conv2d_forward(x, kernel, strides, pads, dilation):
    return _conv2d(x, kernel, strides, pads, dilation), (x, kernel)


def _conv2d_backward(strides, pads, dilation, saved, gradient):
    x, kernel = saved
    conv = functools.partial(_convolve, strides=strides, pads=pads, dilation=dilation)
    _, to_x = jax.vjp(lambda x: conv(x, kernel), x)

    def by_convolution(x, gradient):
        _, to_kernel = jax.vjp(lambda kernel: conv(x, kernel), kernel)
        return to_kernel(gradient)[0]

    def by_products(x, gradient):
        return _kernel_gradient(x, gradient, kernel, strides, pads, dilation)

    # Few channels make products too thin to gain anything; halves need even ones.
    narrower = min(kernel.shape[2:])
    if narrower < 32 or narrower % 2:
        by_products = by_convolution
    kernel_gradient = jax.lax.platform_dependent(
        x, gradient, cpu=by_products, default=by_convolution
    )
    return to_x(gradient)[0], kernel_gradient


_conv2d.defvjp(_conv2d_forward, _conv2d_backward)


def _kernel_gradient(x, gradient, kernel, strides, pads, dilation):
    """Matrix products over pixels: one for each cell of the kernel.

    XLA's CPU code for this gradient is a convolution whose kernel is as large as
    the map: several times slower. A product over pixels needs one side
    transposed: the narrower one. The products are done in a loop because XLA
    computes what enters a loop once; otherwise it would merge every transposition
    with all the elementwise work before it, and repeat that work.
    """
    k_h, k_w, inputs, outputs = kernel.shape
    height, width = gradient.shape[1:3]
    if (k_h, k_w) == (1, 1):
        x, gradient = x.reshape(-1, inputs), gradient.reshape(-1, outputs)
        if outputs <= inputs:
            return _transposed_product(gradient, x).T.reshape(kernel.shape)
        return _transposed_product(x, gradient).reshape(kernel.shape)
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    gradient = gradient.reshape(-1, outputs).T
    window = (x.shape[0], (height - 1) * strides[0] + 1, (width - 1) * strides[1] + 1)

    def one_cell(cell):
        start = (0, cell // k_w * dilation, cell % k_w * dilation, 0)
        pixels = jax.lax.dynamic_slice(x, start, (*window, inputs))
        pixels = pixels[:, :: strides[0], :: strides[1]].reshape(-1, inputs)
        return (gradient @ pixels).T

    return jax.lax.map(one_cell, jnp.arange(k_h * k_w)).reshape(kernel.shape)


def _transposed_product(a, b):
    """a.T @ b in two halves; (N, even), (N, M)."""
    half = a.shape[1] // 2

    def product(i):
        return jax.lax.dynamic_slice_in_dim(a, i * half, half, 1).T @ b

    return jax.lax.map(product, jnp.arange(2)).reshape(-1, b.shape[1])


def _stack_shifts(x, size, stride, pad):
    """Every window of `size` frames, side by side in the channels."""
    frames = (x.shape[1] - 1) // stride + 1
    x = jnp.pad(x, ((0, 0), pad, (0, 0), (0, 0), (0, 0)))
    last = (frames - 1) * stride + 1
    shifts = [x[:, i : i + last : stride] for i in range(size)]
    return jnp.concatenate(shifts, axis=-1)


class Conv(nn.Module):
    """A convolution's parameters: `kernel`, and `bias` when asked for.

    Attributes:
      features: output channels.
      kernel_size: (kT, kH, kW).
      strides: in time, height and width.
      dilation: of height and width.
      padding: of `conv3d`.
      bias: whether there is one.
      dtype: of the computation; parameters are float32.
      kernel_init: initialiser of the kernel.
    """

    features: int
    kernel_size: tuple[int, int, int] = (1, 1, 1)
    strides: tuple[int, int, int] = (1, 1, 1)
    dilation: int = 1
    padding: str = "symmetric"
    bias: bool = False
    dtype: str = "float32"
    kernel_init: nn.initializers.Initializer = kaiming

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, T, H, W, in) -> (B, T', H', W', features)."""
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        x = x.astype(self.dtype)
        kernel = kernel.astype(self.dtype)
        x = conv3d(x, kernel, self.strides, self.dilation, self.padding)
        if self.bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            x = x + bias.astype(self.dtype)
        return x


class ConvBlock(nn.Module):
    """Convolution, batch normalisation, ReLU (mmcv's `ConvModule`).

    Attributes:
      features, kernel_size, strides, dilation, dtype: of `Conv`.
      norm: statistics of the normalisation (`BatchNorm.mode`), or '' for none.
      relu: whether a ReLU follows.
      zero_scale: start the normalisation's scale at zero, not one.
    """

    features: int
    kernel_size: tuple[int, int, int] = (1, 1, 1)
    strides: tuple[int, int, int] = (1, 1, 1)
    dilation: int = 1
    norm: str | PerReplica = "global"
    relu: bool = True
    zero_scale: bool = False
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, T, H, W, in) -> (B, T', H', W', features)."""
        x = Conv(
            self.features,
            self.kernel_size,
            self.strides,
            self.dilation,
            dtype=self.dtype,
            name="conv",
        )(x)
        if self.norm:
            x = BatchNorm(self.norm, self.zero_scale, name="bn")(x, train)
        return nn.relu(x) if self.relu else x


def max_pool(x: jax.Array) -> jax.Array:
    """The stem's pool, 3x3 with stride 2 and padding 1, over (B, T, H, W, C).

    As a maximum of nine shifted maps: the gradient of XLA's windowed maximum is
    slow, on CPUs six times as slow.
    """
    height, width = x.shape[2:4]
    pads = ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0))
    x = jnp.pad(x, pads, constant_values=-jnp.inf)
    # Window i starts at row 2 i of the padded map; the last one at height - 1 or
    # just before.
    shifts = [
        x[:, :, i : i + height : 2, j : j + width : 2]
        for i in range(3)
        for j in range(3)
    ]
    return functools.reduce(jnp.maximum, shifts)


def max_pool_same(
    x: jax.Array, window: tuple[int, int, int], strides: tuple[int, int, int]
) -> jax.Array:
    """Max pool over (B, T, H, W, C) with TensorFlow's padding 'SAME'.

    One axis after the other, as a maximum of shifted maps: see `max_pool`.
    """
    pads = same_pads(x.shape[1:4], window, strides)
    for axis, size, stride, pad in zip((1, 2, 3), window, strides, pads):
        cells = -(-x.shape[axis] // stride)
        widths = [pad if i == axis else (0, 0) for i in range(5)]
        padded = jnp.pad(x, widths, constant_values=-jnp.inf)
        last = (cells - 1) * stride + 1
        shifts = [
            jax.lax.slice_in_dim(padded, i, i + last, stride, axis) for i in range(size)
        ]
        x = functools.reduce(jnp.maximum, shifts)
    return x
