"""What is known of a training step before it runs, and how it is told."""

import dataclasses

import ml_collections
from jax.sharding import Mesh

from ava_jax.training import optimizer

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Plan:
    """Figures of a compiled training step.

    Attributes:
      parameters: their number.
      state_bytes: parameters, statistics and optimiser, on every device.
      gflops_per_clip: of the forward pass, a multiplication and an addition counted
        as two, from the compiler; 0 where it does not say.
      compile_seconds: of the training step.
      bytes_per_device: what the compiler plans; 0 where it does not say.
      device_bytes: what JAX may use of the device, None where it is not known.
    """

    parameters: int
    state_bytes: int
    gflops_per_clip: float
    compile_seconds: float
    bytes_per_device: int
    device_bytes: int | None


def plan_lines(
    plan: Plan, config: ml_collections.ConfigDict, mesh: Mesh
) -> dict[str, str]:
    """What a user wants to know before training, by name."""
    batch, parts = config.train.batch, config.train.accumulate
    axes = ", ".join(f"{n} along {name!r}" for name, n in mesh.shape.items())
    share = f"{batch} clips a step, {batch // mesh.size} a device"
    has = f" of {plan.device_bytes / GIB:.3g}" if plan.device_bytes else ""
    unknown = "" if has else " (what it has is not known)"
    return {
        "devices": f"{mesh.size} x {mesh.devices.flat[0].device_kind}: {axes}",
        "batch": share + (f" in {parts} parts" if parts > 1 else ""),
        "parameters": f"{plan.parameters / 1e6:.2f} M",
        "forward": f"{plan.gflops_per_clip:.3g} GFLOP a clip"
        if plan.gflops_per_clip
        else "not known",
        "compilation": f"{plan.compile_seconds:.1f} s",
        "memory": f"{plan.bytes_per_device / GIB:.3g}{has} GiB a device{unknown}",
        "learning rate": (
            f"{optimizer.effective_lr(config):.4g}: {config.optim.lr:.4g} at "
            f"{config.optim.lr_batch} clips, scaled to {batch}"
        ),
    }


def as_table(lines: dict[str, str]) -> str:
    """Names and texts in two columns."""
    return "\n".join(f"{name:16} {text}" for name, text in lines.items())
