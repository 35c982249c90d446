"""The evaluation step: scores clips on the devices."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
from jax.sharding import Mesh

from ava_jax.models import action_scores, build_detector
from ava_jax.models.backbones import BACKBONES
from ava_jax.models.detector import variable_shapes
from ava_jax.models.preprocessing import Normalization
from ava_jax.runtime import sharding


def make_eval_step(
    module: nn.Module,
    normalize: Normalization,
    mesh: Mesh,
    *,
    multilabel: bool = True,
    flip: bool = False,
    with_bank: bool = False,
) -> Callable[[dict[str, Any], jax.Array, jax.Array], jax.Array]:
    """Scores (B, N, num_classes) of the boxes (B, N, 4) in uint8 clips.

    Args:
      module: the detector.
      normalize: of the clips.
      mesh: the devices.
      multilabel: sigmoid scores; softmax if not.
      flip: score mirror images too, and return the mean of both scores.
      with_bank: take a fourth argument, the `long_term.Bank` of the clips.
    """

    def score(variables, clips, boxes, bank):
        logits = module.apply(variables, clips, boxes, train=False, bank=bank)
        return action_scores(logits, multilabel=multilabel)

    def eval_step(variables, clips, boxes, bank=None):
        clips = normalize(clips)
        scores = score(variables, clips, boxes, bank)
        if flip:
            scores = (scores + score(variables, *_mirrored(clips, boxes), bank)) / 2
        return scores

    everywhere, rows = sharding.replicated(mesh), sharding.split(mesh)
    inputs = (rows, rows, rows) if with_bank else (rows, rows)
    return jax.jit(
        eval_step, in_shardings=(everywhere, *inputs), out_shardings=everywhere
    )


def make_feature_step(
    module: nn.Module, normalize: Normalization, mesh: Mesh
) -> Callable[[dict[str, Any], jax.Array, jax.Array], jax.Array]:
    """Features (B, N, C) of the boxes, as a feature bank has them (`LFBInferHead`).

    The mean over time and the maximum over the bins of RoIAlign.

    Args:
      module: the detector.
      normalize: of the clips.
      mesh: the devices.
    """

    def features(variables, clips, boxes):
        _, taps = module.apply(
            variables, normalize(clips), boxes, mutable=["intermediates"]
        )
        (rois,) = taps["intermediates"]["roi_head"]["roi_feats"]
        return rois.max((2, 3)).astype(jnp.float16)

    everywhere, rows = sharding.replicated(mesh), sharding.split(mesh)
    return jax.jit(
        features, in_shardings=(everywhere, rows, rows), out_shardings=everywhere
    )


def feature_width(model: ml_collections.ConfigDict) -> int:
    """Channels of the features that `make_feature_step` gives.

    Args:
      model: `config.model`.
    """

    def roi_features(variables, clips, boxes):
        module = build_detector(model)
        _, taps = module.apply(variables, clips, boxes, mutable=["intermediates"])
        return taps["intermediates"]["roi_head"]["roi_feats"][0]

    clip = jnp.zeros((1, *BACKBONES[model.backbone].smallest_clip(model), 3))
    shape = jax.eval_shape(
        roi_features, variable_shapes(model), clip, jnp.zeros((1, 1, 4))
    )
    return shape.shape[-1]


def _mirrored(clips: jax.Array, boxes: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Flips clips (B, T, H, W, 3) and boxes (B, N, 4) horizontally."""
    x1, y1, x2, y2 = jnp.moveaxis(boxes, -1, 0)
    width = clips.shape[3]
    return clips[..., ::-1, :], jnp.stack([width - x2, y1, width - x1, y2], axis=-1)
