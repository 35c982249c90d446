"""Scaled dot-product attention, by the fastest program of each platform."""

import functools

import jax
import jax.numpy as jnp


def attention(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
    """softmax(q k / sqrt(width)) v of every head.

    Takes and returns (B, tokens, heads, width) of one type; the softmax is float32.
    """
    plain = jax.nn.dot_product_attention
    if query.dtype != jnp.bfloat16 or not has_flash_attention():
        return plain(query, key, value)
    # A program that is exported from here may be for another platform.
    flash = functools.partial(plain, implementation="cudnn")
    return jax.lax.platform_dependent(query, key, value, cuda=flash, default=plain)


@functools.cache
def has_flash_attention() -> bool:
    """Whether this host's GPUs run cuDNN's attention, which is for half precision."""
    if jax.default_backend() != "gpu":
        return False
    device = jax.local_devices()[0]
    if "cuda" not in device.client.platform_version:
        return False
    return float(device.compute_capability) >= 8.0
