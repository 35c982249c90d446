"""The state of training."""

from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from ava_jax.runtime import sharding


@flax.struct.dataclass
class TrainState:
    """Everything that changes from step to step, as plain nested dicts."""

    step: jax.Array  # () int32, number of steps taken
    params: Any
    batch_stats: Any
    opt_state: Any
    ema: Any = None  # moving average of the parameters, or None

    @property
    def variables(self) -> dict[str, Any]:
        """For evaluation, with the averaged parameters if there are any."""
        params = self.params if self.ema is None else self.ema
        return {"params": params, "batch_stats": self.batch_stats}


def init_state(
    variables: dict[str, Any],
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    *,
    ema: bool = False,
) -> TrainState:
    """The state before the first step.

    Args:
      variables: parameters and statistics.
      optimizer: from `optimizer.make_optimizer`.
      mesh: the devices.
      ema: whether to keep a moving average of the parameters.
    """

    def init(variables):
        params = variables["params"]
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=variables["batch_stats"],
            opt_state=optimizer.init(params),
            # A copy, because params and ema are both donated.
            ema=jax.tree.map(jnp.copy, params) if ema else None,
        )

    return jax.jit(init, out_shardings=sharding.replicated(mesh))(variables)
