"""What a training step costs: FLOPs, memory and compile time, before it runs."""

import dataclasses

import ml_collections
from jax.sharding import Mesh

from ava_jax.training import optimizer

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class StepCost:
    """Cost of a compiled training step.

    Attributes:
      parameters: number of parameters.
      state_bytes: of parameters, statistics and optimiser state, on every device.
      gflops_per_clip: of the forward pass, by the compiler; a multiply-add counts as
        two. 0 if unknown.
      compile_seconds: of the training step.
      bytes_per_device: planned by the compiler; 0 if unknown.
      device_bytes: memory that JAX may use on the device; None if unknown.
    """

    parameters: int
    state_bytes: int
    gflops_per_clip: float
    compile_seconds: float
    bytes_per_device: int
    device_bytes: int | None


def cost_lines(
    cost: StepCost,
    optim: ml_collections.ConfigDict,
    train: ml_collections.ConfigDict,
    mesh: Mesh,
) -> dict[str, str]:
    """The lines of the summary before training, by name."""
    batch, parts = train.batch, train.accumulate
    axes = ", ".join(f"{n} along {name!r}" for name, n in mesh.shape.items())
    share = f"{batch} clips a step, {batch // mesh.size} a device"
    has = f" of {cost.device_bytes / GIB:.3g}" if cost.device_bytes else ""
    unknown = "" if has else " (what it has is not known)"
    return {
        "devices": f"{mesh.size} x {mesh.devices.flat[0].device_kind}: {axes}",
        "batch": share + (f" in {parts} parts" if parts > 1 else ""),
        "parameters": f"{cost.parameters / 1e6:.2f} M",
        "forward": f"{cost.gflops_per_clip:.3g} GFLOP a clip"
        if cost.gflops_per_clip
        else "not known",
        "compilation": f"{cost.compile_seconds:.1f} s",
        "memory": f"{cost.bytes_per_device / GIB:.3g}{has} GiB a device{unknown}",
        "learning rate": (
            f"{optimizer.effective_lr(optim, batch):.4g}: {optim.lr:.4g} at "
            f"{optim.lr_batch} clips, scaled to {batch}"
        ),
    }


def as_table(lines: dict[str, str]) -> str:
    """Names and values in two columns."""
    return "\n".join(f"{name:16} {text}" for name, text in lines.items())
