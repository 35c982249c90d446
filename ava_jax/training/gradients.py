"""Loss and gradients of a global batch: at once, accumulated, or per replica.

The loss is always divided by the number of labelled boxes in the whole batch, so the
losses and gradients of all parts add up to those of the batch. Only the batch of the
batch normalisation differs: the whole batch; one part, when accumulating (running
statistics are then updated once a part, as in torch); or the rows of one device, for
'per_replica'. Every part draws its own dropout.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from ava_jax.errors import UserError
from ava_jax.models import action_loss, labelled_boxes
from ava_jax.models.long_term import bank_of
from ava_jax.models.preprocessing import Normalization
from ava_jax.runtime import sharding

Batch = dict[str, jax.Array]


class Gradients(NamedTuple):
    """Results of the forward and backward pass of a batch."""

    loss: jax.Array  # () float32
    grads: Any  # like the parameters
    batch_stats: Any  # the new running statistics
    logits: jax.Array  # (B, N, num_classes) float32


def make_gradients(
    module: nn.Module,
    normalize: Normalization,
    mesh: Mesh,
    *,
    model: ml_collections.ConfigDict,
    train: ml_collections.ConfigDict,
    class_weights: np.ndarray | None = None,
) -> Callable[[Any, Any, Batch, jax.Array], Gradients]:
    """A function of (parameters, batch_stats, batch, dropout key), to be jitted.

    Args:
      module: from `build_detector`.
      normalize: of the clips.
      mesh: the devices.
      model: `config.model`, of the loss and the batch normalisation.
      train: `config.train`, of the batch and its parts.
      class_weights: of `action_loss`.

    Raises:
      UserError: a device's clips cannot be divided into `train.accumulate` parts.
    """
    _check_parts(train.accumulate, train.batch, mesh.size)
    compute = _make_plain(module, normalize, model, class_weights)
    if train.accumulate > 1:
        compute = _in_parts(compute, train.accumulate)
    if model.bn == "per_replica":
        compute = _by_device(compute, mesh)

    def gradients(params, batch_stats, batch, dropout):
        labelled = labelled_boxes(batch["labels"][..., 1:], batch["box_mask"])
        return compute(params, batch_stats, batch, dropout, labelled.sum())

    return gradients


def _check_parts(parts: int, batch: int, devices: int) -> None:
    if parts < 1 or batch % (devices * parts):
        unit = devices * max(parts, 1)
        raise UserError(
            f"config.train.accumulate is {parts}: a batch of {batch} clips on "
            f"{devices} devices cannot be divided into equal parts. Give a "
            f"divisor of {batch // devices}, the clips of a device, or "
            f"--config.train.batch={-(-batch // unit) * unit}"
        )


def _make_plain(module, normalize, model, class_weights):
    """All rows in one pass."""

    def compute(params, batch_stats, batch, dropout, count):
        def loss_fn(params):
            logits, updates = module.apply(
                {"params": params, "batch_stats": batch_stats},
                normalize(batch["clip"]),
                batch["boxes"],
                train=True,
                box_mask=batch["box_mask"],
                bank=bank_of(batch),
                mutable=["batch_stats"],
                rngs={"dropout": dropout},
            )
            loss = action_loss(
                logits,
                batch["labels"],
                batch["box_mask"],
                focal_alpha=model.focal_alpha,
                focal_gamma=model.focal_gamma,
                multilabel=model.multilabel,
                background_class=model.background_class,
                class_weights=class_weights,
                count=count,
            )
            return loss, (updates["batch_stats"], logits)

        value_and_grad = jax.value_and_grad(loss_fn, has_aux=True)
        (loss, (new_stats, logits)), grads = value_and_grad(params)
        return Gradients(loss, grads, new_stats, logits)

    return compute


def _in_parts(compute, parts: int):
    """The parts one after the other: the memory of one part."""

    def compute_in_parts(params, batch_stats, batch, dropout, count):
        def add(carry, part):
            total, batch_stats = carry
            rows, i = part
            # The same key would drop the same features in every part.
            key = jax.random.fold_in(dropout, i)
            new = compute(params, batch_stats, rows, key, count)
            total = jax.tree.map(jnp.add, total, new.grads)
            return (total, new.batch_stats), (new.loss, new.logits)

        rows = jax.tree.map(lambda x: _divide(x, parts), batch)
        zeros = jax.tree.map(jnp.zeros_like, params)
        (grads, batch_stats), (losses, logits) = jax.lax.scan(
            add, (zeros, batch_stats), (rows, jnp.arange(parts))
        )
        return Gradients(losses.sum(), grads, batch_stats, _join(logits))

    return compute_in_parts


def _divide(x: jax.Array, parts: int) -> jax.Array:
    """(B, ...) -> (parts, B / parts, ...); part i has the rows i, i + parts, ....

    This divides the rows of each device, so no row moves to another device.
    """
    return jnp.swapaxes(x.reshape(-1, parts, *x.shape[1:]), 0, 1)


def _join(x: jax.Array) -> jax.Array:
    """The inverse of `_divide`."""
    return jnp.swapaxes(x, 0, 1).reshape(-1, *x.shape[2:])


def _by_device(compute, mesh: Mesh):
    """Every device computes its rows; losses and gradients are summed at the end."""

    def compute_rows(params, batch_stats, batch, dropout, count):
        # Marks the parameters as different on each device. Otherwise JAX sums the
        # gradient of every layer and part over the devices separately.
        params = jax.lax.pcast(params, sharding.AXIS, to="varying")
        dropout = jax.random.fold_in(dropout, jax.lax.axis_index(sharding.AXIS))
        new = compute(params, batch_stats, batch, dropout, count)
        loss, grads = jax.lax.psum((new.loss, new.grads), sharding.AXIS)
        return Gradients(loss, grads, new.batch_stats, new.logits)

    same, rows = PartitionSpec(), PartitionSpec(sharding.AXIS)
    return jax.shard_map(
        compute_rows,
        mesh=mesh,
        in_specs=(same, same, rows, same, same),
        out_specs=Gradients(same, same, same, rows),
    )
