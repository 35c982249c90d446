"""The first convolution: few channels in, 7x7 with stride 2, any odd depth in time.

Each frame is convolved once, for all time taps of the kernel at a time, and the
results are added up over time. So the 2D convolution has kT times the output
channels of the layer, which fills the machine's vectors (SlowFast's fast stem has
only 8), and no frame is copied kT times.
"""

import functools

import jax
import jax.numpy as jnp

_SIZE = 7
_PAD = _SIZE // 2


def fits(
    kernel_shape: tuple[int, ...], strides: tuple[int, int, int], dilation: int
) -> bool:
    """Whether `stem_conv` computes a convolution of these parameters."""
    k_t, k_h, k_w, inputs, _ = kernel_shape
    return (
        k_t % 2 == 1
        and (k_h, k_w) == (_SIZE, _SIZE)
        and inputs <= 4
        and strides == (1, 2, 2)
        and dilation == 1
    )


def _stem_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolution with stride (1, 2, 2) and padding (kT // 2, 3, 3).

    Args:
      x: (B, T, H, W, in), `in` at most 4.
      kernel: (kT, 7, 7, in, out), kT odd, of the dtype of `x`.

    Returns:
      (B, T, (H + 1) // 2, (W + 1) // 2, out).
    """
    k_t, outputs = kernel.shape[0], kernel.shape[-1]
    taps = jnp.moveaxis(kernel, 0, 3).reshape(_SIZE, _SIZE, -1, k_t * outputs)
    out = jax.lax.conv_general_dilated(
        x.reshape(-1, *x.shape[2:]),
        taps,
        (2, 2),
        [(_PAD, _PAD)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    out = out.reshape(*x.shape[:2], *out.shape[1:3], k_t, outputs)
    return sum(_shift(out[..., i, :], k_t // 2 - i) for i in range(k_t))


# The same, with a gradient with respect to the kernel that is written out for CPUs.
stem_conv = jax.custom_vjp(_stem_conv)


def _forward(x, kernel):
    return stem_conv(x, kernel), (x, kernel)


def _backward(saved, gradient):
    x, kernel = saved
    _, transpose = jax.vjp(_stem_conv, x, kernel)
    to_kernel = jax.lax.platform_dependent(
        x,
        gradient,
        cpu=functools.partial(_kernel_gradient, kernel.shape),
        default=lambda x, gradient: transpose(gradient)[1],
    )
    return transpose(gradient)[0], to_kernel


stem_conv.defvjp(_forward, _backward)


def _shift(x, steps):
    """Moves the frames of (B, T, ...) by `steps` in time; zeros come in."""
    if not steps:
        return x
    steps = max(-x.shape[1], min(steps, x.shape[1]))
    kept = x[:, max(-steps, 0) : x.shape[1] - max(steps, 0)]
    pads = [(0, 0), (max(steps, 0), max(-steps, 0))] + [(0, 0)] * (x.ndim - 2)
    return jnp.pad(kept, pads)


def _kernel_gradient(shape, x, gradient):
    """One matrix product a frame: all windows of the frame times its gradient.

    XLA's CPU code for this gradient is a convolution whose kernel is the map. The
    frame's even and odd rows and columns are laid out as planes first, so that
    each cell of the kernel sees a contiguous part of one plane.
    """
    k_t, _, _, inputs, outputs = shape
    height, width = gradient.shape[2:4]
    taps = [_shift(gradient, i - k_t // 2) for i in range(k_t)]
    taps = jnp.concatenate(taps, -1).reshape(-1, height * width, k_t * outputs)
    planes = _planes(x.reshape(-1, *x.shape[2:]), height, width)

    def add_frame(total, frame):
        planes, taps = frame
        windows = [
            planes[i % 2, j % 2, :, i // 2 : i // 2 + height, j // 2 : j // 2 + width]
            for i in range(_SIZE)
            for j in range(_SIZE)
        ]
        windows = jnp.stack(windows).reshape(-1, height * width)
        product = jnp.matmul(windows, taps, preferred_element_type=total.dtype)
        return total + product, None

    shape = (_SIZE * _SIZE * inputs, k_t * outputs)
    # `like` because under `shard_map` each device has its own.
    zeros = jnp.zeros_like(x, _sum_dtype(x), shape=shape)
    total, _ = jax.lax.scan(add_frame, zeros, (planes, taps))
    total = total.reshape(_SIZE, _SIZE, inputs, k_t, outputs)
    return jnp.moveaxis(total, 3, 0).astype(x.dtype)


def _sum_dtype(x):
    return jnp.promote_types(x.dtype, jnp.float32)


def _planes(frames, height, width):
    """(N, H, W, C) -> (N, 2, 2, C, height + 3, width + 3): padded, rows and columns.

    Plane (i, j) holds the rows of parity i and the columns of parity j.
    """
    size = (2 * (height + _PAD), 2 * (width + _PAD))
    pads = [
        (_PAD, side - now - _PAD)
        for side, now in zip(size, frames.shape[1:3], strict=True)
    ]
    padded = jnp.pad(frames, [(0, 0), *pads, (0, 0)])
    split = padded.reshape(frames.shape[0], size[0] // 2, 2, size[1] // 2, 2, -1)
    return split.transpose(0, 2, 4, 5, 1, 3)
