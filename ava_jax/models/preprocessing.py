"""What happens to a clip on the device, before the network."""

import dataclasses

import jax
import jax.numpy as jnp
import ml_collections


@dataclasses.dataclass(frozen=True)
class Normalization:
    """Zero mean and unit variance per channel, as MMAction2's `Normalize`.

    It runs on the device because uint8 crosses to it in a quarter of the bytes.

    Attributes:
      mean: RGB, from 0 to 255.
      std: of each channel.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def from_config(cls, data: ml_collections.ConfigDict) -> "Normalization":
        """The one that `config.data` describes."""
        return cls(tuple(data.mean), tuple(data.std))

    def __call__(self, clips: jax.Array) -> jax.Array:
        """Normalises uint8 RGB clips (..., 3) to float32."""
        mean = jnp.asarray(self.mean, jnp.float32)
        std = jnp.asarray(self.std, jnp.float32)
        return (clips.astype(jnp.float32) - mean) / std
