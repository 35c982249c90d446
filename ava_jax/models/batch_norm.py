"""Batch normalisation with torch's running statistics."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from ava_jax.models.precision import at_least_float32

# Collection of a batch's own statistics, for those who make it mutable.
MOMENTS = "batch_moments"
EPSILON = 1e-5
MOMENTUM = 0.1  # weight of the new statistics


@dataclasses.dataclass(frozen=True)
class PerReplica:
    """Mode of `BatchNorm`: each replica normalises by its own rows of the batch.

    Attributes:
      axis_name: of the mapped axis (`jax.shard_map`, `jax.vmap`) over which the
        running statistics are averaged. None: not averaged.
    """

    axis_name: str | None = None


class BatchNorm(nn.Module):
    """Normalises over all axes but the last; statistics are float32.

    As in torch, and not as in Flax, the running variance is the unbiased one
    (the batch is normalised by the biased one), and momentum is the weight of
    the new value. Running statistics are `mean` and `var` of `batch_stats`; what
    they are mixed with in training are `mean` and `var` of
    `batch_moments`.

    Attributes:
      mode: whose statistics normalise in training: 'global', the whole batch
        (over all devices, since under `jit` the array is the global one);
        `PerReplica`, the device's own part; 'frozen', the running ones, which are
        not updated (MMAction2's `norm_eval`).
      zero_scale: start `scale` at zero, not one.
      use_scale: whether there is a `scale`.
      epsilon: added to the variance.
    """

    mode: str | PerReplica = "global"
    zero_scale: bool = False
    use_scale: bool = True
    epsilon: float = EPSILON

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool, mask: jax.Array | None = None
    ) -> jax.Array:
        """Returns `x` normalised, in its own dtype; updates statistics in training.

        Args:
          x: rows of maps, channels last.
          train: whether the batch's statistics count.
          mask: (rows,), true for the rows that enter the statistics; None: all.
        """
        shape = (x.shape[-1],)
        ones, zeros = nn.initializers.ones, nn.initializers.zeros
        scale = 1
        if self.use_scale:
            scale = self.param("scale", zeros if self.zero_scale else ones, shape)
        bias = self.param("bias", zeros, shape)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape)

        mean, var = running_mean.value, running_var.value
        if train and self.mode != "frozen":
            mean, var, count = _moments(x, mask)
            new = (mean, var * (count / (count - 1)))
            if isinstance(self.mode, PerReplica) and self.mode.axis_name:
                new = jax.lax.pmean(new, self.mode.axis_name)
            running_mean.value = _mix(running_mean.value, new[0])
            running_var.value = _mix(running_var.value, new[1])
            for name, value in zip(("mean", "var"), new):
                self.sow(MOMENTS, name, value, reduce_fn=lambda _, value: value)
        factor = scale * jax.lax.rsqrt(var + self.epsilon)
        # One multiply-add an element; the products are float32 whatever x is.
        return (x * factor + (bias - mean * factor)).astype(x.dtype)


def _mix(old, new):
    return (1 - MOMENTUM) * old + MOMENTUM * new


def _moments(x, mask):
    """Mean and biased variance of every channel; their number of values, at least 2."""
    axes = tuple(range(x.ndim - 1))
    x = at_least_float32(x)
    values = x.size // x.shape[-1]
    if mask is None:
        mean = x.mean(axes)
        return mean, jnp.square(x - mean).mean(axes), max(values, 2)
    mask = mask.reshape(-1, *(1,) * (x.ndim - 1)) > 0
    count = mask.sum() * (values // len(x))

    def average(x):
        return jnp.where(mask, x, 0).sum(axes) / jnp.maximum(count, 1)

    mean = average(x)
    return mean, average(jnp.square(x - mean)), jnp.maximum(count, 2)
