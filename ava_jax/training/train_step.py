"""The training step."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jax.sharding import Mesh

from ava_jax.models import action_metrics
from ava_jax.models.long_term import COLUMNS
from ava_jax.models.preprocessing import Normalization
from ava_jax.runtime import sharding
from ava_jax.training.gradients import Batch, make_gradients
from ava_jax.training.train_state import TrainState


def batch_spec(
    data: ml_collections.ConfigDict,
    *,
    batch: int,
    num_classes: int,
    mesh: Mesh,
    bank_width: int = 0,
) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes, dtypes and shardings of the global batch of a training step.

    Args:
      data: `config.data`.
      batch: clips.
      num_classes: `config.model.num_classes`.
      mesh: the devices.
      bank_width: channels of long-term features; 0 without `data.feature_bank`.
    """
    shapes = {
        "clip": ((data.clip_len, data.crop, data.crop, 3), jnp.uint8),
        "boxes": ((data.max_boxes, 4), jnp.float32),
        "box_mask": ((data.max_boxes,), jnp.bool),
        "labels": ((data.max_boxes, num_classes), jnp.float32),
    }
    if bank_width:
        shapes["bank_features"] = (data.bank_rows, bank_width), jnp.float16
        shapes["bank_columns"] = (data.max_boxes, COLUMNS), jnp.int32
    return {
        name: jax.ShapeDtypeStruct(
            (batch, *shape), dtype, sharding=sharding.split(mesh)
        )
        for name, (shape, dtype) in shapes.items()
    }


def make_train_step(
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    normalize: Normalization,
    mesh: Mesh,
    *,
    model: ml_collections.ConfigDict,
    train: ml_collections.ConfigDict,
    seed: int,
    class_weights: np.ndarray | None = None,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """Forward, backward and update on a global batch; the old state is donated.

    The batch has `clip` (B, T, H, W, 3) uint8, `boxes` (B, N, 4) float32 pixels,
    `box_mask` (B, N) bool and `labels` (B, N, num_classes) float32; with long-term
    features also the arrays of `batch_spec`. The metrics are
    scalars: MMAction2's loss, recalls and precisions, the gradient's norm before
    clipping, and that of the new parameters.

    Args:
      module: from `build_detector`.
      optimizer: from `optimizer.make_optimizer`.
      normalize: of the clips.
      mesh: the devices.
      model: `config.model`, of the loss and the batch normalisation.
      train: `config.train`, of the batch, its parts and the moving average.
      seed: of the dropout.
      class_weights: of `action_loss`.

    Raises:
      UserError: a device's clips cannot be divided into `train.accumulate` parts.
    """
    gradients = make_gradients(
        module,
        normalize,
        mesh,
        model=model,
        train=train,
        class_weights=class_weights,
    )

    def train_step(state, batch):
        dropout = jax.random.fold_in(jax.random.key(seed), state.step)
        new = gradients(state.params, state.batch_stats, batch, dropout)
        updates, opt_state = optimizer.update(new.grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics = {
            "loss": new.loss,
            "grad_norm": optax.tree.norm(new.grads),
            "param_norm": optax.tree.norm(params),
            **action_metrics(
                new.logits,
                batch["labels"],
                batch["box_mask"],
                multilabel=model.multilabel,
            ),
        }
        new_state = TrainState(
            step=state.step + 1,
            params=params,
            batch_stats=new.batch_stats,
            opt_state=opt_state,
            ema=_averaged(state, params, train.ema),
        )
        return new_state, metrics

    everywhere = sharding.replicated(mesh)
    return jax.jit(
        train_step,
        in_shardings=(everywhere, sharding.split(mesh)),
        out_shardings=everywhere,
        donate_argnums=0,
    )


def _averaged(state: TrainState, params: Any, decay: float) -> Any:
    """The moving average after a step, or None.

    The decay starts low, as in TensorFlow's `ExponentialMovingAverage` with
    `num_updates`, so that the initial parameters do not dominate a short run.
    """
    if state.ema is None:
        return None
    step = state.step.astype(jnp.float32)
    decay = jnp.minimum(decay, (1 + step) / (10 + step))
    # Not optax's weighted sum, whose rounding would change frozen parameters.
    return jax.tree.map(
        lambda old, new: old + (1 - decay) * (new - old), state.ema, params
    )
