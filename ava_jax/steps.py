"""The two programs that run on the devices: a training step and scoring."""

from collections.abc import Callable
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import optax
from jax.sharding import Mesh

from ava_jax import parallel
from ava_jax.models import action_loss, action_metrics, action_scores

Batch = dict[str, jax.Array]


@flax.struct.dataclass
class TrainState:
    """All that training carries from step to step, as plain nested dicts."""

    step: jax.Array  # () int32, number of steps taken
    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """What `module.apply` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def normalise(clips: jax.Array, config: ml_collections.ConfigDict) -> jax.Array:
    """uint8 RGB to zero mean and unit variance per channel, on the device."""
    mean = jnp.asarray(config.data.mean, jnp.float32)
    std = jnp.asarray(config.data.std, jnp.float32)
    return (clips.astype(jnp.float32) - mean) / std


def init_state(
    variables: dict[str, Any], optimizer: optax.GradientTransformation, mesh: Mesh
) -> TrainState:
    """The state before the first step."""

    def init(variables):
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=variables["params"],
            batch_stats=variables["batch_stats"],
            opt_state=optimizer.init(variables["params"]),
        )

    return jax.jit(init, out_shardings=parallel.replicated(mesh))(variables)


def make_train_step(
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    config: ml_collections.ConfigDict,
    mesh: Mesh,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """Forward, backward and update on a global batch; the old state is donated.

    The batch has `clip` (B, T, H, W, 3) uint8, `boxes` (B, N, 4) float32 pixels,
    `box_mask` (B, N) bool and `labels` (B, N, num_classes) float32. The metrics are
    scalars: MMAction2's loss, recalls and precisions, and the gradient's norm
    before clipping.
    """

    def train_step(state, batch):
        dropout = jax.random.fold_in(jax.random.key(config.seed), state.step)

        def loss_fn(params):
            logits, updates = module.apply(
                {"params": params, "batch_stats": state.batch_stats},
                normalise(batch["clip"], config),
                batch["boxes"],
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": dropout},
            )
            loss = action_loss(
                logits,
                batch["labels"],
                batch["box_mask"],
                focal_alpha=config.model.focal_alpha,
                focal_gamma=config.model.focal_gamma,
                multilabel=config.model.multilabel,
            )
            return loss, (logits, updates["batch_stats"])

        (loss, (logits, batch_stats)), grads = jax.value_and_grad(
            loss_fn, has_aux=True
        )(state.params)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        metrics = {
            "loss": loss,
            "grad_norm": optax.global_norm(grads),
            **action_metrics(
                logits,
                batch["labels"],
                batch["box_mask"],
                multilabel=config.model.multilabel,
            ),
        }
        new_state = TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
        )
        return new_state, metrics

    everywhere = parallel.replicated(mesh)
    return jax.jit(
        train_step,
        in_shardings=(everywhere, parallel.split(mesh)),
        out_shardings=everywhere,
        donate_argnums=0,
    )


def make_score_step(
    module: nn.Module, config: ml_collections.ConfigDict, mesh: Mesh
) -> Callable[[dict[str, Any], jax.Array, jax.Array], jax.Array]:
    """Scores (B, N, num_classes) of the boxes (B, N, 4) in uint8 clips."""

    def score_step(variables, clips, boxes):
        logits = module.apply(variables, normalise(clips, config), boxes, train=False)
        return action_scores(logits, multilabel=config.model.multilabel)

    everywhere, rows = parallel.replicated(mesh), parallel.split(mesh)
    return jax.jit(
        score_step, in_shardings=(everywhere, rows, rows), out_shardings=everywhere
    )
