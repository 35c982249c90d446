"""Compiles the training step ahead of time, and reports its cost."""

import dataclasses
import functools
import time
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections

from ava_jax.models.detector import cpu_device
from ava_jax.models.long_term import bank_of
from ava_jax.training import memory
from ava_jax.training.step_cost import StepCost
from ava_jax.training.train_state import TrainState
from ava_jax.training.train_step import Batch


class CompiledStep:
    """The compiled training step and its cost."""

    def __init__(
        self,
        program: Any,
        cost: StepCost,
        train: ml_collections.ConfigDict,
        model: ml_collections.ConfigDict,
    ):
        """Takes `program` from `compile_step`."""
        self.cost = cost
        self._program = program
        self._train, self._model = train, model
        self._ran = False

    def __call__(self, state: TrainState, batch: Batch):
        """The next state, and metrics.

        Raises:
          UserError: the first step runs out of memory.
        """
        if self._ran:
            return self._program(state, batch)
        try:
            result = jax.block_until_ready(self._program(state, batch))
        except jax.errors.JaxRuntimeError as error:
            memory.explain(error, self.cost, self._train, self._model)
            raise
        self._ran = True
        return result


def compile_step(
    module: nn.Module,
    train_step: Any,
    state: TrainState,
    batch: dict[str, jax.ShapeDtypeStruct],
    *,
    train: ml_collections.ConfigDict,
    model: ml_collections.ConfigDict,
) -> CompiledStep:
    """Compiles the training step for batches of one shape.

    Args:
      module: from `build_detector`.
      train_step: from `train_step.make_train_step`.
      state: the state, on the devices.
      batch: from `train_step.batch_spec`.
      train: `config.train`, for suggestions.
      model: `config.model`, for suggestions.

    Raises:
      UserError: it does not fit into the memory of a device; suggests what would.
    """
    cost = StepCost(
        parameters=sum(x.size for x in jax.tree.leaves(state.params)),
        state_bytes=sum(x.nbytes for x in jax.tree.leaves(state)),
        gflops_per_clip=_forward_gflops(module, state, batch),
        compile_seconds=0.0,
        bytes_per_device=0,
        device_bytes=memory.device_bytes(),
    )
    since = time.perf_counter()
    try:
        program = train_step.lower(state, batch).compile()
    except jax.errors.JaxRuntimeError as error:
        memory.explain(error, cost, train, model)
        raise
    cost = dataclasses.replace(
        cost,
        compile_seconds=time.perf_counter() - since,
        bytes_per_device=_planned_bytes(program),
    )
    memory.check(cost, train, model)
    return CompiledStep(program, cost, train, model)


def _forward_gflops(module, state, batch) -> float:
    """GFLOP of a clip; 0 if JAX_PLATFORMS excludes the CPU, for which it is counted.

    The compilers for GPUs and TPUs count nothing before they have compiled.
    """
    cpu = cpu_device()
    if cpu is None:
        return 0.0
    clips = batch["clip"].update(dtype=jnp.float32)
    arguments = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype),
        (state.variables, clips, batch["boxes"], bank_of(batch)),
    )
    apply = functools.partial(module.apply, train=False)
    forward = jax.jit(lambda *inputs, bank: apply(*inputs, bank=bank))
    with jax.default_device(cpu):
        lowered = forward.lower(*arguments[:3], bank=arguments[3])
    return lowered.cost_analysis()["flops"] / clips.shape[0] / 1e9


def _planned_bytes(program) -> int:
    sizes = program.memory_analysis()
    if sizes is None:
        return 0
    arguments = sizes.argument_size_in_bytes + sizes.output_size_in_bytes
    working = sizes.temp_size_in_bytes + sizes.generated_code_size_in_bytes
    return arguments - sizes.alias_size_in_bytes + working
