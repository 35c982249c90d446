"""Precise BN: recomputes running statistics for the evaluated parameters.

The running mean and variance of training lag behind the parameters, and do not belong
to a moving average of them. Before an evaluation PySlowFast therefore replaces them by
their mean over some training batches
(fvcore `nn/precise_bn.py`; Wu and Johnson, arXiv:2105.07576, section 3).
"""

from collections.abc import Callable, Iterator
from typing import Any

import flax
import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from ava_jax.models.batch_norm import MOMENTS
from ava_jax.models.long_term import bank_of
from ava_jax.models.preprocessing import Normalization
from ava_jax.runtime import sharding
from ava_jax.training.train_state import TrainState


class PreciseStatistics:
    """Replaces the running statistics of a state; does nothing for 0 batches."""

    def __init__(
        self,
        module: nn.Module,
        batches: Callable[[int, int], Iterator[dict[str, np.ndarray]]],
        normalize: Normalization,
        mesh: Mesh,
        *,
        steps: int,
        bn: str,
    ):
        """Compiles nothing yet.

        Args:
          module: from `build_detector`.
          batches: function (first step, end) that iterates over this host's rows of the
            training batches.
          normalize: of the clips.
          mesh: the devices.
          steps: number of batches; 0: the statistics stay as they are.
          bn: `config.model.bn`.
        """
        self._batches = batches
        self._steps = steps
        self._mesh = mesh
        self._moments = make_moments_step(module, normalize, mesh, bn)

    def update(self, state: TrainState) -> TrainState:
        """The state with the statistics of `state.variables` over some batches.

        The batches are those of the next training steps, so that the result is a
        function of the state alone. Frozen normalisations keep their statistics.
        """
        if not self._steps:
            return state
        first = int(state.step)
        batches = self._batches(first, first + self._steps)
        moments = [self._moments_of(state.variables, batch) for batch in batches]
        # float64, because it sums over many batches.
        mean = jax.tree.map(lambda *x: np.mean(x, 0, np.float64), *moments)
        old = flax.traverse_util.flatten_dict(state.batch_stats)
        for key, value in flax.traverse_util.flatten_dict(mean).items():
            value = value.astype(old[key].dtype)
            old[key] = sharding.place(value, sharding.replicated(self._mesh))
        return state.replace(batch_stats=flax.traverse_util.unflatten_dict(old))

    def _moments_of(self, variables, batch):
        rows = {name: value for name, value in batch.items() if name != "labels"}
        rows = sharding.to_devices(rows, self._mesh)
        return sharding.to_host(self._moments(variables, rows))


def make_moments_step(
    module: nn.Module, normalize: Normalization, mesh: Mesh, bn: str
) -> Callable[[dict[str, Any], dict[str, jax.Array]], Any]:
    """Mean and unbiased variance of the input of every BatchNorm in a batch.

    Takes variables and a batch of `pipeline.train_batches`, labels apart; returns a
    tree like `batch_stats`, without the frozen normalisations. For 'per_replica' it is
    the mean over the devices, as in training.
    """

    def moments(variables, batch):
        _, updates = module.apply(
            variables,
            normalize(batch["clip"]),
            batch["boxes"],
            train=True,
            box_mask=batch["box_mask"],
            bank=bank_of(batch),
            mutable=["batch_stats", MOMENTS],
            # Dropout is after every normalisation: its key has no effect.
            rngs={"dropout": jax.random.key(0)},
        )
        return updates.get(MOMENTS, {})

    if bn == "per_replica":
        same, rows = PartitionSpec(), PartitionSpec(sharding.AXIS)
        moments = jax.shard_map(
            moments, mesh=mesh, in_specs=(same, rows), out_specs=same
        )
    everywhere, rows = sharding.replicated(mesh), sharding.split(mesh)
    return jax.jit(moments, in_shardings=(everywhere, rows), out_shardings=everywhere)
