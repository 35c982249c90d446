"""The precision of sums that a narrow type would spoil."""

import jax
import jax.numpy as jnp


def at_least_float32(x: jax.Array) -> jax.Array:
    """`x` as float32, or as float64 if that is what it is."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
