"""Compiling the training step before training, and what the compiler says of it."""

import dataclasses
import functools
import time
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
from jax.sharding import Mesh

from ava_jax.models.detector import cpu_device
from ava_jax.training import memory
from ava_jax.training.step_cost import Plan
from ava_jax.training.train_state import TrainState
from ava_jax.training.train_step import Batch, batch_spec


class CompiledStep:
    """The compiled training step: what runs is what was planned."""

    def __init__(self, program: Any, plan: Plan, config: ml_collections.ConfigDict):
        """Takes `program` from `compile_step`."""
        self.plan = plan
        self._program = program
        self._config = config
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
            memory.explain(error, self.plan, self._config)
            raise
        self._ran = True
        return result


def compile_step(
    module: nn.Module,
    train_step: Any,
    state: TrainState,
    config: ml_collections.ConfigDict,
    mesh: Mesh,
) -> CompiledStep:
    """Compiles the training step for batches of `train_step.batch_spec`.

    Args:
      module: from `build_detector`.
      train_step: from `train_step.make_train_step`.
      state: the state, laid out on the devices.
      config: the whole configuration.
      mesh: of the devices.

    Raises:
      UserError: a device does not have the memory; suggests what would fit.
    """
    batch = batch_spec(config, mesh)
    plan = Plan(
        parameters=sum(x.size for x in jax.tree.leaves(state.params)),
        state_bytes=sum(x.nbytes for x in jax.tree.leaves(state)),
        gflops_per_clip=_forward_gflops(module, state, batch, config),
        compile_seconds=0.0,
        bytes_per_device=0,
        device_bytes=memory.device_bytes(),
    )
    since = time.perf_counter()
    try:
        program = train_step.lower(state, batch).compile()
    except jax.errors.JaxRuntimeError as error:
        memory.explain(error, plan, config)
        raise
    plan = dataclasses.replace(
        plan,
        compile_seconds=time.perf_counter() - since,
        bytes_per_device=_planned_bytes(program),
    )
    memory.check(plan, config)
    return CompiledStep(program, plan, config)


def _forward_gflops(module, state, batch, config) -> float:
    """Of a clip; 0 if JAX_PLATFORMS leaves out the CPU, for which it is counted.

    The compilers for GPUs and TPUs count nothing before they have compiled.
    """
    cpu = cpu_device()
    if cpu is None:
        return 0.0
    clips = batch["clip"].update(dtype=jnp.float32)
    arguments = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype),
        (state.variables, clips, batch["boxes"]),
    )
    forward = jax.jit(functools.partial(module.apply, train=False))
    with jax.default_device(cpu):
        lowered = forward.lower(*arguments)
    return lowered.cost_analysis()["flops"] / config.train.batch / 1e9


def _planned_bytes(program) -> int:
    sizes = program.memory_analysis()
    if sizes is None:
        return 0
    arguments = sizes.argument_size_in_bytes + sizes.output_size_in_bytes
    working = sizes.temp_size_in_bytes + sizes.generated_code_size_in_bytes
    return arguments - sizes.alias_size_in_bytes + working
