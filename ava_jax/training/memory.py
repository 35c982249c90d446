"""A training step that a device has no memory for: how it is told, what may help."""

import dataclasses
import re

import jax
import ml_collections

from ava_jax.errors import UserError
from ava_jax.training.step_cost import GIB, Plan

# The share of a device's memory that a suggestion may fill: what a step needs is
# not quite proportional to its clips.
_FILL = 0.95
# XLA:TPU's words when a program does not fit.
_USED = re.compile(r"Used ([\d.]+)([KMG]) of ([\d.]+)([KMG])")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


def device_bytes() -> int | None:
    """Bytes that JAX may use of this host's first device; None if not known."""
    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")


def check(plan: Plan, config: ml_collections.ConfigDict) -> None:
    """Compares what a step needs with what a device has.

    Args:
      plan: of the training step.
      config: the whole configuration, for suggestions.

    Raises:
      UserError: it does not fit.
    """
    if plan.device_bytes and plan.bytes_per_device > plan.device_bytes:
        raise UserError(_too_large(plan, config))


def explain(error: Exception, plan: Plan, config: ml_collections.ConfigDict) -> None:
    """Tells what may help, if an error of the compiler or a device is of memory.

    Args:
      error: what was raised.
      plan: as far as it is known.
      config: the whole configuration, for suggestions.

    Raises:
      UserError: it is of memory.
    """
    if "RESOURCE_EXHAUSTED" not in str(error):
        return
    # A plan that seemed to fit explains nothing: only the error's own figures do.
    needs, has = 0, None
    used = _USED.search(str(error))
    if used:
        needs, has = (int(float(used[i]) * _UNITS[used[i + 1]]) for i in (1, 3))
    plan = dataclasses.replace(plan, bytes_per_device=needs, device_bytes=has)
    raise UserError(_too_large(plan, config)) from error


def _too_large(plan: Plan, config) -> str:
    needs = "does not fit into a device's memory"
    if plan.device_bytes:
        needs = (
            f"needs {plan.bytes_per_device / GIB:.1f} GiB on every device, of which "
            f"JAX may use {plan.device_bytes / GIB:.1f}"
        )
    devices = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    return (
        f"A training step of {config.train.batch} clips on {devices} {needs}. "
        "Try:\n  " + "\n  ".join(_remedies(plan, config))
    )


def _remedies(plan: Plan, config) -> list[str]:
    """What may make the step fit, the least change first."""
    remedies = []
    parts = _parts_that_fit(plan, config)
    if parts:
        remedies.append(
            f"--config.train.accumulate={parts}: the same batch, one part after the "
            "other"
        )
    batch = _batch_that_fits(plan, config)
    if batch:
        remedies.append(
            f"--config.train.batch={batch}: the learning rate is scaled with it"
        )
    stages = [i for i in (2, 3, 4, 5) if i not in config.model.remat]
    if stages:
        remat = tuple(sorted({*config.model.remat, stages[0]}))
        remedies.append(
            f'"--config.model.remat={remat}": activations of res{stages[0]} are '
            "computed twice instead of kept"
        )
    if config.model.dtype == "float32":
        remedies.append("--config.model.dtype=bfloat16: half the activations")
    if not remedies:
        remedies.append("a smaller config.model.width, config.data.crop or clip_len")
    if jax.default_backend() == "gpu":
        remedies.append(
            "XLA_PYTHON_CLIENT_MEM_FRACTION=0.95 in the environment: JAX uses only "
            "three quarters of a GPU otherwise"
        )
    return remedies


def _parts_that_fit(plan: Plan, config) -> int | None:
    """The least `train.accumulate` for which the step should fit."""
    clips = config.train.batch // jax.device_count()
    # One more copy of the gradients, to add them up in.
    fixed = plan.state_bytes + 4 * plan.parameters
    for parts in range(config.train.accumulate + 1, clips + 1):
        if clips % parts == 0 and _fits(plan, config, fixed, clips / parts):
            return parts
    return None


def _batch_that_fits(plan: Plan, config) -> int | None:
    """The largest batch for which the step should fit."""
    unit = jax.device_count() * config.train.accumulate
    for batch in range(config.train.batch - unit, 0, -unit):
        if _fits(plan, config, plan.state_bytes, batch / unit):
            return batch
    return None


def _fits(plan: Plan, config, fixed: int, clips: float) -> bool:
    """Whether a device can hold `fixed` bytes and a pass over so many clips.

    Without the compiler's figures, half as many clips are taken to fit.
    """
    clips_now = config.train.batch / jax.device_count() / config.train.accumulate
    if not plan.device_bytes:
        return clips <= clips_now / 2
    of_a_clip = (plan.bytes_per_device - plan.state_bytes) / clips_now
    return fixed + of_a_clip * clips <= _FILL * plan.device_bytes
