"""RoI features -> action logits."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ava_jax.models.precision import at_least_float32

Initializer = nn.initializers.Initializer


def uniform(inputs: int) -> Initializer:
    """Weight and bias of torch's linear layers: U(+-1 / sqrt(inputs))."""
    bound = inputs**-0.5

    def init(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def linear_init(kind: str, inputs: int) -> tuple[Initializer, Initializer]:
    """How the kernel and the bias of a linear layer of the head start.

    Args:
      kind: `config.model.head_init`: 'uniform', torch's default, or 'xavier', normal
        with a bias of zero, as in MMAction2 1.x.
      inputs: of the layer.
    """
    if kind == "xavier":
        return nn.initializers.glorot_normal(), nn.initializers.zeros
    return uniform(inputs), uniform(inputs)


class MLP(nn.Module):
    """Two linear layers with a ReLU between them; the names are torch's numbers.

    Attributes:
      num_classes: outputs; the hidden layer is as wide as the input.
      head_init: of `linear_init`.
    """

    num_classes: int
    head_init: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., C) -> (..., num_classes)."""
        hidden = nn.relu(_linear(x, x.shape[-1], self.head_init, "0"))
        self.sow("intermediates", "hidden", hidden)
        return _linear(hidden, self.num_classes, self.head_init, "2")


class BoxHead(nn.Module):
    """RoI features -> logits (MMAction2 `BBoxHeadAVA`).

    Attributes:
      num_classes: with the reserved class 0.
      dropout: rate, of every element before the pool.
      mlp: score by an `MLP`, not by one linear layer.
      head_init: of `linear_init`.
    """

    num_classes: int
    dropout: float
    mlp: bool
    head_init: str

    @nn.compact
    def __call__(self, features: jax.Array, train: bool) -> jax.Array:
        """(B, N, R, R, C) -> (B, N, num_classes) float32."""
        dropout = nn.Dropout(self.dropout, deterministic=not train)
        vector = dropout(features).max((2, 3))
        self.sow("intermediates", "head_vector", vector)
        vector = at_least_float32(vector)
        if self.mlp:
            return MLP(self.num_classes, self.head_init, name="fc_cls")(vector)
        return _linear(vector, self.num_classes, self.head_init, "fc_cls")


def _linear(x, outputs, init, name):
    kernel, bias = linear_init(init, x.shape[-1])
    return nn.Dense(outputs, kernel_init=kernel, bias_init=bias, name=name)(x)
