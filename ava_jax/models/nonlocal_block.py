"""The non-local block: every position looks at every other one."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ava_jax.models.batch_norm import PerReplica
from ava_jax.models.conv import Conv, ConvBlock

NORMAL = nn.initializers.normal(0.01)


class NonLocalBlock(nn.Module):
    """Non-local block of half width (Wang et al., 1711.07971; mmcv `NonLocal3d`).

    It starts as the identity: the scale of its last normalisation is zero.

    Attributes:
      mode: 'softmax': weights softmax(theta . phi / sqrt(channels)), the paper's
        embedded Gaussian, as in mmcv; 'dot_product': theta . phi / positions, as
        in PySlowFast.
      pool: window and stride (time, height, width) of the max pool of `g` and
        `phi`; what does not fill a window is left out. mmcv pools after the
        embedding, PySlowFast before it.
      norm: `BatchNorm.mode` of the last normalisation.
      dtype: of the computation; the softmax is float32.
    """

    mode: str = "softmax"
    pool: tuple[int, int, int] = (1, 2, 2)
    norm: str | PerReplica = "global"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, T, H, W, C) -> the same shape."""
        batch, channels = x.shape[0], x.shape[-1]
        width = channels // 2

        theta = _Embedding(width, self.dtype, name="theta")(x)
        pool_first = self.mode == "dot_product"
        pooled = (width, self.pool, pool_first, self.dtype)
        phi = _PooledEmbedding(*pooled, name="phi")(x)
        g = _PooledEmbedding(*pooled, name="g")(x)
        theta, phi, g = (y.reshape(batch, -1, width) for y in (theta, phi, g))
        products = jnp.einsum(
            "bqc,bkc->bqk",
            theta,
            phi,
            preferred_element_type=jnp.promote_types(x.dtype, jnp.float32),
        )
        if self.mode == "softmax":
            weights = nn.softmax(products / width**0.5)
        else:
            weights = products / phi.shape[1]
        out = weights.astype(x.dtype) @ g
        out = out.reshape(*x.shape[:-1], width)
        out = ConvBlock(
            channels,
            norm=self.norm,
            relu=False,
            zero_scale=True,
            dtype=self.dtype,
            name="conv_out",
        )(out, train)
        return x + out


class _Embedding(nn.Module):
    """A 1x1x1 convolution with bias."""

    width: int
    dtype: str

    @nn.compact
    def __call__(self, x):
        return Conv(
            self.width, bias=True, dtype=self.dtype, kernel_init=NORMAL, name="conv"
        )(x)


class _PooledEmbedding(nn.Module):
    """The same, after a max pool or before it."""

    width: int
    pool: tuple[int, int, int]
    pool_first: bool
    dtype: str

    @nn.compact
    def __call__(self, x):
        embedding = _Embedding(self.width, self.dtype, name="0")
        if self.pool_first:
            return embedding(nn.max_pool(x, self.pool, self.pool))
        return nn.max_pool(embedding(x), self.pool, self.pool)
