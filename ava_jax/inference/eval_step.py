"""The evaluation step: scores clips on the devices."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from ava_jax.models import action_scores
from ava_jax.models.preprocessing import Normalization
from ava_jax.runtime import sharding


def make_eval_step(
    module: nn.Module,
    normalize: Normalization,
    mesh: Mesh,
    *,
    multilabel: bool = True,
    flip: bool = False,
) -> Callable[[dict[str, Any], jax.Array, jax.Array], jax.Array]:
    """Scores (B, N, num_classes) of the boxes (B, N, 4) in uint8 clips.

    Args:
      module: the detector.
      normalize: of the clips.
      mesh: the devices.
      multilabel: sigmoid scores; softmax if not.
      flip: score mirror images too, and return the mean of both scores.
    """

    def score(variables, clips, boxes):
        logits = module.apply(variables, clips, boxes, train=False)
        return action_scores(logits, multilabel=multilabel)

    def eval_step(variables, clips, boxes):
        clips = normalize(clips)
        scores = score(variables, clips, boxes)
        if flip:
            scores = (scores + score(variables, *_mirrored(clips, boxes))) / 2
        return scores

    everywhere, rows = sharding.replicated(mesh), sharding.split(mesh)
    return jax.jit(
        eval_step, in_shardings=(everywhere, rows, rows), out_shardings=everywhere
    )


def _mirrored(clips: jax.Array, boxes: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Flips clips (B, T, H, W, 3) and boxes (B, N, 4) horizontally."""
    x1, y1, x2, y2 = jnp.moveaxis(boxes, -1, 0)
    width = clips.shape[3]
    return clips[..., ::-1, :], jnp.stack([width - x2, y1, width - x1, y2], axis=-1)
