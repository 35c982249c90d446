"""Errors for a training step that does not fit into memory, with remedies."""

import dataclasses
import re

import jax
import ml_collections

from ava_jax.errors import UserError
from ava_jax.training.step_cost import GIB, StepCost

# Share of the memory that a suggestion may fill, because the memory of a step is not
# exactly proportional to its clips.
_FILL = 0.95
# XLA:TPU's message for a program that does not fit.
_USED = re.compile(r"Used ([\d.]+)([KMG]) of ([\d.]+)([KMG])")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


def device_bytes() -> int | None:
    """Bytes that JAX may use on the first device of this host; None if unknown."""
    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")


def check(
    cost: StepCost, train: ml_collections.ConfigDict, model: ml_collections.ConfigDict
) -> None:
    """Compares the memory of a step with that of a device.

    Args:
      cost: of the training step.
      train: `config.train`, for suggestions.
      model: `config.model`, for suggestions.

    Raises:
      UserError: it does not fit.
    """
    if cost.device_bytes and cost.bytes_per_device > cost.device_bytes:
        raise UserError(_too_large(cost, train, model))


def explain(
    error: Exception,
    cost: StepCost,
    train: ml_collections.ConfigDict,
    model: ml_collections.ConfigDict,
) -> None:
    """Turns an out-of-memory error of the compiler or a device into a `UserError`.

    Args:
      error: what was raised.
      cost: as far as known.
      train: `config.train`, for suggestions.
      model: `config.model`, for suggestions.

    Raises:
      UserError: it is one.
    """
    if "RESOURCE_EXHAUSTED" not in str(error):
        return
    # The planned cost seemed to fit, so only the figures in the error are of use.
    needs, has = 0, None
    used = _USED.search(str(error))
    if used:
        needs, has = (int(float(used[i]) * _UNITS[used[i + 1]]) for i in (1, 3))
    cost = dataclasses.replace(cost, bytes_per_device=needs, device_bytes=has)
    raise UserError(_too_large(cost, train, model)) from error


def _too_large(cost: StepCost, train, model) -> str:
    needs = "does not fit into a device's memory"
    if cost.device_bytes:
        needs = (
            f"needs {cost.bytes_per_device / GIB:.1f} GiB on every device, of which "
            f"JAX may use {cost.device_bytes / GIB:.1f}"
        )
    devices = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    return (
        f"A training step of {train.batch} clips on {devices} {needs}. "
        "Try:\n  " + "\n  ".join(_remedies(cost, train, model))
    )


def _remedies(cost: StepCost, train, model) -> list[str]:
    """Suggestions that make the step fit, the smallest change first."""
    remedies = []
    parts = _parts_that_fit(cost, train)
    if parts:
        remedies.append(
            f"--config.train.accumulate={parts}: the same batch in sequential parts"
        )
    batch = _batch_that_fits(cost, train)
    if batch:
        remedies.append(
            f"--config.train.batch={batch}: the learning rate is scaled with it"
        )
    stages = [i for i in (2, 3, 4, 5) if i not in model.remat]
    if stages:
        remat = tuple(sorted({*model.remat, stages[0]}))
        remedies.append(
            f'"--config.model.remat={remat}": activations of stage {stages[0]} are '
            "recomputed instead of kept"
        )
    if model.dtype == "float32":
        remedies.append("--config.model.dtype=bfloat16: half the activations")
    if not remedies:
        remedies.append("a smaller network, config.data.crop or clip_len")
    if jax.default_backend() == "gpu":
        remedies.append(
            "XLA_PYTHON_CLIENT_MEM_FRACTION=0.95 in the environment: JAX uses only "
            "three quarters of a GPU otherwise"
        )
    return remedies


def _parts_that_fit(cost: StepCost, train) -> int | None:
    """The smallest `train.accumulate` with which the step should fit."""
    clips = train.batch // jax.device_count()
    # Accumulation needs one more copy of the gradients.
    fixed = cost.state_bytes + 4 * cost.parameters
    for parts in range(train.accumulate + 1, clips + 1):
        if clips % parts == 0 and _fits(cost, train, fixed, clips / parts):
            return parts
    return None


def _batch_that_fits(cost: StepCost, train) -> int | None:
    """The largest batch with which the step should fit."""
    unit = jax.device_count() * train.accumulate
    for batch in range(train.batch - unit, 0, -unit):
        if _fits(cost, train, cost.state_bytes, batch / unit):
            return batch
    return None


def _fits(cost: StepCost, train, fixed: int, clips: float) -> bool:
    """Whether a device can hold `fixed` bytes and a pass over `clips` clips.

    If the compiler gives no figures, half of the present clips are assumed to fit.
    """
    clips_now = train.batch / jax.device_count() / train.accumulate
    if not cost.device_bytes:
        return clips <= clips_now / 2
    of_a_clip = (cost.bytes_per_device - cost.state_bytes) / clips_now
    return fixed + of_a_clip * clips <= _FILL * cost.device_bytes
