"""Feature bank operators: a box's features beside those of a minute around it.

Wu et al., Long-Term Feature Banks (1812.05038); MMAction2 `FBOHead`.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ava_jax.models.conv import Conv

# 60 seconds of 5 features each; what is missing is a column of zeros.
SECONDS, SLOTS = 60, 5
COLUMNS = SECONDS * SLOTS
# `config.model.shared_head` -> operator.
OPERATORS = {"fbo_max": "max", "fbo_avg": "avg", "fbo_non_local": "non_local"}
_LATENT = 512
_DROPOUT = 0.2
_EPSILON = 1e-5
Bank = tuple[jax.Array, jax.Array]
# Arrays of a batch, in the order of a `Bank`.
NAMES = ("bank_features", "bank_columns")


def bank_of(batch: Mapping[str, Any]) -> Any:
    """The `Bank` among the arrays of a batch; None without one."""
    return tuple(map(batch.get, NAMES)) if NAMES[0] in batch else None


class LongTerm(nn.Module):
    """The operator between the boxes' features and the head (`roi_head.shared_head`).

    Attributes:
      kind: 'max', 'avg' or 'non_local'.
      dropout: whether the non-local operator drops features in training.
      dtype: of the computation.
    """

    kind: str
    dropout: bool
    dtype: str

    @nn.compact
    def __call__(self, rois: jax.Array, bank: Bank, train: bool) -> jax.Array:
        """Short-term features with what the operator makes of the long-term ones.

        Args:
          rois: (B, N, R, R, C), features of the boxes.
          bank: (B, M, W) long-term features of each clip, and (B, N, COLUMNS) int32
            which of them a box has in its columns; M for a column of zeros.
          train: drop features.

        Returns:
          (B, N, 1, 1, C + W), or C + 512 of the non-local operator.
        """
        short = rois.max((2, 3))
        features, columns = bank
        features = features.astype(self.dtype)
        rate = _DROPOUT if train and self.dropout else 0.0
        if self.kind == "non_local":
            operator = NonLocal(rate, self.dtype, name="fbo")
            pooled = operator(short, features, columns)
        else:
            found = _take(_with_zeros(features), columns)
            pooled = found.max(2) if self.kind == "max" else found.mean(2)
            self.sow("intermediates", "fbo", pooled)
        out = jnp.concatenate([short, pooled.astype(short.dtype)], -1)
        return out[:, :, None, None]


def _with_zeros(features):
    """(B, M, W) -> (B, M + 1, W): the last one is what missing columns have."""
    return jnp.pad(features, ((0, 0), (0, 1), (0, 0)))


def _take(features, columns):
    """(B, M, W), (B, N, K) -> (B, N, K, W)."""
    return jax.vmap(lambda rows, index: rows[index])(features, columns)


class NonLocal(nn.Module):
    """Two layers of attention from the boxes to their columns (`FBONonLocal`).

    Attributes:
      dropout: rate, 0 out of training.
      dtype: of the computation.
    """

    dropout: float
    dtype: str

    @nn.compact
    def __call__(
        self, short: jax.Array, features: jax.Array, columns: jax.Array
    ) -> jax.Array:
        """(B, N, C), (B, M, W), (B, N, K) -> (B, N, 512)."""
        x = _pointwise(short, "st_feat_conv", self.dtype)
        rows = _pointwise(_with_zeros(features), "lt_feat_conv", self.dtype)
        x = _drop(x, self.dropout)
        if self.dropout:
            # Each column of each box drops its own.
            rows = _drop(_take(rows, columns), self.dropout)
        for i in (1, 2):
            layer = NonLocalLayer(self.dropout, self.dtype, name=f"non_local_layer_{i}")
            x = x + layer(x, rows, columns)
        return x


class NonLocalLayer(nn.Module):
    """Attention, normalisation, ReLU, convolution (`NonLocalLayer`).

    Attributes:
      dropout, dtype: see `NonLocal`.
    """

    dropout: float
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
        """What is added to x (B, N, 512).

        Args:
          x: features of the boxes.
          rows: (B, M, 512), which `columns` select from; or (B, N, K, 512).
          columns: (B, N, K).
        """
        query = _ConvModule(self.dtype, name="st_feat_conv")(x)
        key = _ConvModule(self.dtype, name="lt_feat_conv")(rows)
        value = _ConvModule(self.dtype, name="global_conv")(rows)
        if rows.ndim == 3:
            key, value = _take(key, columns), _take(value, columns)
        logits = jnp.einsum("bnc,bnkc->bnk", query, key) * _LATENT**-0.5
        x = jnp.einsum("bnk,bnkc->bnc", nn.softmax(logits), value)
        x = nn.relu(_LayerNorm(name="ln")(x))
        return _drop(_ConvModule(self.dtype, name="out_conv")(x), self.dropout)


class _ConvModule(nn.Module):
    """mmcv's module of the name, around a pointwise convolution."""

    dtype: str

    @nn.compact
    def __call__(self, x):
        return _pointwise(x, "conv", self.dtype)


class _LayerNorm(nn.Module):
    """Over the channels; its parameters have torch's shape (512, 1, 1, 1)."""

    @nn.compact
    def __call__(self, x):
        shape = (x.shape[-1], 1, 1, 1)
        scale = self.param("scale", nn.initializers.ones, shape).reshape(-1)
        bias = self.param("bias", nn.initializers.zeros, shape).reshape(-1)
        mean = x.mean(-1, keepdims=True)
        var = jnp.square(x - mean).mean(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(var + _EPSILON) * scale + bias


def _pointwise(x, name, dtype):
    """A 1 x 1 x 1 convolution with a bias over the last axis of x."""
    conv = Conv(_LATENT, bias=True, dtype=dtype, name=name)
    x = x.reshape(1, 1, 1, -1, x.shape[-1]), x.shape[:-1]
    return conv(x[0]).reshape(*x[1], _LATENT)


def _drop(x, rate):
    if not rate:
        return x
    return nn.Dropout(rate, deterministic=False)(x)
