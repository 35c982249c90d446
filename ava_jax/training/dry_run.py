"""Builds, compiles and runs two steps on random data: does it fit, how fast?"""

import dataclasses
import time

import jax
import ml_collections
import numpy as np

from ava_jax.models import build_detector, init_variables
from ava_jax.runtime import sharding
from ava_jax.training import compilation, optimizer
from ava_jax.training import step_cost as ava_plan
from ava_jax.training.train_state import init_state
from ava_jax.training.train_step import make_train_step

_STEPS = 2


def run(config: ml_collections.ConfigDict) -> dict[str, float]:
    """Prints, and returns, what a training step takes on the local devices.

    Args:
      config: the whole configuration; the data set is not needed.

    Returns:
      The fields of `step_cost.Plan`, and `clips_per_second`.

    Raises:
      UserError: it does not fit.
    """
    rows = sharding.rows_of_this_host(config.train.batch, "config.train.batch")
    mesh = sharding.make_mesh(config.devices)
    module = build_detector(config.model)
    sgd = optimizer.sgd(config, optimizer.learning_rates(config, steps_per_epoch=1000))
    variables = init_variables(config.model, jax.random.key(config.seed))
    variables = sharding.replicate(variables, mesh)
    state = init_state(variables, sgd, mesh, ema=config.train.ema > 0)
    train_step = make_train_step(module, sgd, config, mesh)
    train_step = compilation.compile_step(module, train_step, state, config, mesh)

    batch = sharding.to_devices(random_batch(config, len(rows)), mesh)
    since = time.perf_counter()
    for _ in range(_STEPS):
        state, metrics = train_step(state, batch)
    jax.block_until_ready(metrics)
    seconds = (time.perf_counter() - since) / _STEPS
    speed = config.train.batch / seconds
    _print(config, train_step.plan, mesh, speed, float(metrics["loss"]))
    return dataclasses.asdict(train_step.plan) | {"clips_per_second": speed}


def random_batch(config: ml_collections.ConfigDict, rows: int) -> dict[str, np.ndarray]:
    """A training batch of so many clips; every box is labelled or almost so."""
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


def _print(config, plan, mesh, speed, loss) -> None:
    shape = (config.data.clip_len, config.data.crop, config.data.crop)
    lines = ava_plan.plan_lines(plan, config, mesh) | {
        "training": f"{speed:.2f} clips/s",
        "loss": f"{loss:.4f} after {_STEPS} steps",
    }
    print(f"{config.name}, clips of {'x'.join(map(str, shape))}")
    print(ava_plan.as_table(lines))
