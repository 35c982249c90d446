"""A training step of a small network: inputs, and what eight devices make of them.

    python step_cases.py OUT.npz

runs on eight virtual devices and writes what `test_train_step` compares with one
device. The network has the project's blocks, but compiles in a second.
"""

import os
import sys

if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "0"  # see `runtime.compilation_cache`

import flax
import flax.linen as nn
import from_config
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ava_jax import config as ava_config
from ava_jax.models.batch_norm import PerReplica
from ava_jax.models.conv import ConvBlock
from ava_jax.runtime import sharding
from ava_jax.training import gradients
from ava_jax.training.train_state import init_state

STEPS = 3
SIGNS = np.array([-0.3, 0.3], np.float32)
BATCH = 16


class SmallNetwork(nn.Module):
    """Two convolutions and a linear layer; called as a detector is."""

    norm: str | PerReplica
    num_classes: int

    @nn.compact
    def __call__(
        self,
        clips: jax.Array,
        boxes: jax.Array,
        train: bool,
        box_mask: jax.Array | None = None,
        bank: None = None,
    ) -> jax.Array:
        """(B, T, H, W, 3), (B, N, 4) -> (B, N, num_classes)."""
        x = ConvBlock(8, (1, 3, 3), (1, 2, 2), norm=self.norm, name="space")(
            clips, train
        )
        x = ConvBlock(8, (3, 1, 1), norm=self.norm, name="time")(x, train)
        x = jnp.repeat(x.mean((1, 2, 3))[:, None], boxes.shape[1], axis=1)
        x = jnp.concatenate([x, boxes / clips.shape[2]], axis=-1)
        return nn.Dense(self.num_classes, name="linear")(x)


def small_detector(model, axis_name=sharding.AXIS) -> SmallNetwork:
    """In place of `build_detector`."""
    norm = PerReplica(axis_name) if model.bn == "per_replica" else model.bn
    return SmallNetwork(norm, model.num_classes)


def small_network(config) -> SmallNetwork:
    """The network of a configuration."""
    return small_detector(config.model)


def small_config(**changes) -> ml_collections.ConfigDict:
    """Clips of 2 x 16 x 16; `changes` are by dotted name."""
    config = ava_config.default()
    config.model.num_classes = 5
    config.data.clip_len, config.data.crop, config.data.max_boxes = 2, 16, 3
    config.train.batch = config.optim.lr_batch = BATCH
    config.optim.lr, config.optim.warmup_epochs = 0.1, 0
    config.update_from_flattened_dict(changes)
    return config


def small_variables(config) -> dict:
    """Random ones, NumPy."""
    return variables_of(config.model)


def variables_of(model) -> dict:
    """In place of `init_variables`."""
    rng = np.random.default_rng(1)
    clips, boxes = np.zeros((1, 2, 16, 16, 3), np.float32), np.zeros((1, 1, 4))
    shapes = jax.eval_shape(
        lambda: small_detector(model).init(jax.random.key(0), clips, boxes, False)
    )
    # From 0.5 on, for variances and scales.
    return jax.tree.map(
        lambda leaf: (
            rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
            * (1 if leaf.ndim == 1 else rng.choice(SIGNS, leaf.shape))
        ),
        shapes,
    )


def small_batch(config) -> dict[str, np.ndarray]:
    """A global batch; clips differ in how many boxes are labelled, some have none."""
    rng = np.random.default_rng(2)
    data, batch = config.data, config.train.batch
    corners = rng.uniform(0, data.crop, (2, batch, data.max_boxes, 2))
    boxes = np.concatenate([corners.min(0), corners.max(0)], axis=-1)
    shape = (batch, data.max_boxes, config.model.num_classes)
    return {
        "clip": rng.integers(
            0, 256, (batch, data.clip_len, data.crop, data.crop, 3), dtype=np.uint8
        ),
        "boxes": boxes.astype(np.float32),
        "box_mask": rng.random(shape[:2]) < 0.6,
        "labels": (rng.random(shape) < 0.3).astype(np.float32),
    }


def train(config) -> tuple[list, list]:
    """States, as NumPy, and metrics after each of some steps on all devices."""
    mesh = sharding.make_mesh()
    module = small_network(config)
    sgd = from_config.make_optimizer(config, np.full(STEPS, 0.1))
    variables = jax.device_put(small_variables(config), sharding.replicated(mesh))
    state = init_state(variables, sgd, mesh, ema=config.train.ema > 0)
    step = from_config.make_train_step(module, sgd, config, mesh)
    batch = sharding.to_devices(small_batch(config), mesh)
    states, metrics = [sharding.to_host(state)], []
    for _ in range(STEPS):
        state, new = step(state, batch)
        states.append(sharding.to_host(state))
        metrics.append(sharding.to_host(new))
    return states, metrics


def compile_gradients(config):
    """The compiled program of `make_gradients`, and its arguments."""
    mesh = sharding.make_mesh()
    compute = jax.jit(from_config.make_gradients(small_network(config), config, mesh))
    variables = jax.device_put(small_variables(config), sharding.replicated(mesh))
    batch = sharding.to_devices(small_batch(config), mesh)
    arguments = (*(variables[k] for k in ("params", "batch_stats")), batch)
    arguments += (jax.random.key(0),)
    return compute.lower(*arguments).compile(), arguments


def flat(tree, prefix="") -> dict[str, np.ndarray]:
    """Arrays of nested dicts by path."""
    return {
        f"{prefix}{key}": np.asarray(value)
        for key, value in flax.traverse_util.flatten_dict(tree, sep="/").items()
    }


def as_dict(result: gradients.Gradients) -> dict[str, np.ndarray]:
    """Arrays of `Gradients` by path."""
    return flat(jax.tree.map(np.asarray, result._asdict()))


def main(out: str) -> None:
    """Everything on eight devices."""
    assert jax.device_count() == 8
    arrays = {}
    states, metrics = train(small_config())
    arrays |= flat(states[-1].variables, "global/") | flat(metrics[-1], "global/")
    for name, changes in (
        ("per_replica", {"model.bn": "per_replica"}),
        ("parts", {"train.accumulate": 2}),
        ("per_replica_parts", {"model.bn": "per_replica", "train.accumulate": 2}),
    ):
        program, arguments = compile_gradients(small_config(**changes))
        arrays[f"{name}/program"] = np.array(program.as_text())
        result = as_dict(program(*arguments))
        arrays |= {f"{name}/{key}": value for key, value in result.items()}
    np.savez(out, **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
