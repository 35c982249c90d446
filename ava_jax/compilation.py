"""Compiling the training step before training, and what the compiler says of it."""

import dataclasses
import os
import pathlib
import time
from typing import Any

import flax.linen as nn
import jax
import ml_collections
from absl import logging
from jax.sharding import Mesh

from ava_jax import memory, steps
from ava_jax.plan import Plan


def use_cache() -> None:
    """Keeps compiled programs on disk for the next start, unless told where already.

    In `$XDG_CACHE_HOME/ava_jax/xla`, or `~/.cache/ava_jax/xla`; JAX's own settings
    (`JAX_COMPILATION_CACHE_DIR`, say) go before. Does nothing if that folder cannot
    be written. To be called when the devices are known, before anything is compiled.

    Several CPU devices use no cache: a program of theirs that comes from it can hang
    in its collectives (jax 0.10.2), whose order is not kept.
    """
    if jax.default_backend() == "cpu" and jax.device_count() > 1:
        jax.config.update("jax_enable_compilation_cache", False)
        return
    if jax.config.jax_compilation_cache_dir is not None:
        return
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(home, "ava_jax", "xla")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if writable:
        jax.config.update("jax_compilation_cache_dir", str(folder))
    else:
        logging.info("Compiled programs are not kept: %s is not writable.", folder)


class CompiledStep:
    """The compiled training step: what runs is what was planned."""

    def __init__(self, program: Any, plan: Plan, config: ml_collections.ConfigDict):
        """Takes `program` from `compile_step`."""
        self.plan = plan
        self._program = program
        self._config = config
        self._ran = False

    def __call__(self, state: steps.TrainState, batch: steps.Batch):
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
    state: steps.TrainState,
    config: ml_collections.ConfigDict,
    mesh: Mesh,
) -> CompiledStep:
    """Compiles the training step for batches of `steps.batch_spec`.

    Args:
      module: from `build_detector`.
      train_step: from `steps.make_train_step`.
      state: the state, laid out on the devices.
      config: the whole configuration.
      mesh: of the devices.

    Raises:
      UserError: a device does not have the memory; suggests what would fit.
    """
    batch = steps.batch_spec(config, mesh)
    plan = Plan(
        parameters=sum(x.size for x in jax.tree.leaves(state.params)),
        state_bytes=sum(x.nbytes for x in jax.tree.leaves(state)),
        gflops_per_clip=_forward_gflops(module, state, batch, config, mesh),
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


def _forward_gflops(module, state, batch, config, mesh) -> float:
    score_step = steps.make_score_step(module, config, mesh)
    lowered = score_step.lower(state.variables, batch["clip"], batch["boxes"])
    return lowered.cost_analysis()["flops"] / config.train.batch / 1e9


def _planned_bytes(program) -> int:
    sizes = program.memory_analysis()
    if sizes is None:
        return 0
    arguments = sizes.argument_size_in_bytes + sizes.output_size_in_bytes
    working = sizes.temp_size_in_bytes + sizes.generated_code_size_in_bytes
    return arguments - sizes.alias_size_in_bytes + working
