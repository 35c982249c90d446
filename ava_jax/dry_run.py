"""Builds, compiles and runs two steps on random data: does it fit, how fast?"""

import time

import jax
import ml_collections
import numpy as np

from ava_jax import optimizer, parallel, steps
from ava_jax.models import build_detector, init_variables

_STEPS = 2


def run(config: ml_collections.ConfigDict) -> dict[str, float]:
    """Prints, and returns, what a training step takes on the local devices.

    Args:
      config: the whole configuration; the data set is not needed.

    Returns:
      `parameters`, `gflops_per_clip` (forward pass, a multiplication and an
      addition counted as two, from the compiler), `compile_seconds`,
      `bytes_per_device` (what the compiler plans for a training step; 0 where it
      does not say), `clips_per_second`.
    """
    rows = parallel.rows_of_this_host(config.train.batch, "config.train.batch")
    mesh = parallel.make_mesh()
    module = build_detector(config.model)
    sgd = optimizer.sgd(config, optimizer.learning_rates(config, steps_per_epoch=1000))
    variables = init_variables(config.model, jax.random.key(config.seed))
    state = steps.init_state(
        jax.device_put(variables, parallel.replicated(mesh)), sgd, mesh
    )
    batch = parallel.to_devices(_random_batch(config, len(rows)), mesh)
    result = {
        "parameters": sum(x.size for x in jax.tree.leaves(state.params)),
        "gflops_per_clip": _forward_gflops(config, module, mesh, state, batch),
    }

    since = time.perf_counter()
    train_step = steps.make_train_step(module, sgd, config, mesh)
    compiled = train_step.lower(state, batch).compile()
    result["compile_seconds"] = time.perf_counter() - since
    result["bytes_per_device"] = _planned_bytes(compiled)

    since = time.perf_counter()
    for _ in range(_STEPS):
        state, metrics = compiled(state, batch)
    jax.block_until_ready(metrics)
    seconds = (time.perf_counter() - since) / _STEPS
    result["clips_per_second"] = config.train.batch / seconds
    _print(config, result, float(metrics["loss"]))
    return result


def _random_batch(config, rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(config.seed)
    data, side = config.data, config.data.crop
    corners = rng.uniform(0, side, (2, rows, data.max_boxes, 2))
    classes = config.model.num_classes
    labels = rng.random((rows, data.max_boxes, classes)) < 2 / classes
    return {
        "clip": rng.integers(
            0, 256, (rows, data.clip_len, side, side, 3), dtype=np.uint8
        ),
        "boxes": np.concatenate(
            [corners.min(0), corners.max(0)], axis=-1, dtype=np.float32
        ),
        "box_mask": np.ones((rows, data.max_boxes), bool),
        "labels": labels.astype(np.float32),
    }


def _forward_gflops(config, module, mesh, state, batch) -> float:
    score_step = steps.make_score_step(module, config, mesh)
    lowered = score_step.lower(state.variables, batch["clip"], batch["boxes"])
    return lowered.cost_analysis()["flops"] / config.train.batch / 1e9


def _planned_bytes(compiled) -> int:
    plan = compiled.memory_analysis()
    if plan is None:
        return 0
    arguments = plan.argument_size_in_bytes + plan.output_size_in_bytes
    return arguments + plan.temp_size_in_bytes - plan.alias_size_in_bytes


def _print(config, result, loss) -> None:
    shape = (config.data.clip_len, config.data.crop, config.data.crop)
    print(
        f"{config.name}, {config.train.batch} clips of {'x'.join(map(str, shape))}\n"
        f"devices          {jax.device_count()} x {jax.devices()[0].device_kind}\n"
        f"parameters       {result['parameters'] / 1e6:.2f} M\n"
        f"forward          {result['gflops_per_clip']:.1f} GFLOP a clip\n"
        f"compilation      {result['compile_seconds']:.1f} s\n"
        f"memory           {result['bytes_per_device'] / 2**30:.2f} GiB a device\n"
        f"training         {result['clips_per_second']:.2f} clips/s\n"
        f"loss             {loss:.4f} after {_STEPS} steps"
    )
