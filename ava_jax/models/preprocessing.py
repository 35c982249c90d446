"""What happens to a clip on the device, before the network."""

import jax
import jax.numpy as jnp
import ml_collections


def normalise(clips: jax.Array, config: ml_collections.ConfigDict) -> jax.Array:
    """uint8 RGB to zero mean and unit variance per channel, on the device."""
    mean = jnp.asarray(config.data.mean, jnp.float32)
    std = jnp.asarray(config.data.std, jnp.float32)
    return (clips.astype(jnp.float32) - mean) / std
