"""A training step on the boxes that MMAction2 stored."""

import flax.traverse_util
import jax
import numpy as np

from ava_jax.checkpoints.pytorch import key_names
from ava_jax.models import action_loss, action_metrics, build_detector


def batch(arrays, clips):
    """Boxes as they reach MMAction2's head, padded to one number a clip.

    Args:
      arrays: with 'head/rois' and 'head/labels'.
      clips: how many.

    Returns:
      Boxes, labels and mask.
    """
    clip = arrays["head/rois"][:, 0].astype(int)
    count = np.bincount(clip)
    boxes = np.zeros((clips, count.max(), 4), np.float32)
    labels = np.zeros((clips, count.max(), arrays["head/labels"].shape[1]), np.float32)
    mask = np.arange(count.max()) < count[:, None]
    boxes[mask] = arrays["head/rois"][:, 1:]
    labels[mask] = arrays["head/labels"]
    # Padding that would be noticed.
    labels[~mask] = 1
    return boxes, labels, mask


def step(config, variables, clips, boxes, labels, mask, bank=None):
    """(loss, (logits, metrics, statistics)), gradients."""
    detector = build_detector(config)

    def loss_fn(params, clips):
        logits, new = detector.apply(
            variables | {"params": params},
            clips,
            boxes,
            True,
            mask,
            bank,
            mutable=["batch_stats"],
        )
        loss = action_loss(
            logits,
            labels,
            mask,
            focal_alpha=config.focal_alpha,
            focal_gamma=config.focal_gamma,
            multilabel=config.multilabel,
            background_class=config.background_class,
        )
        metrics = action_metrics(logits, labels, mask, multilabel=config.multilabel)
        return loss, (logits, metrics, new["batch_stats"])

    compute = jax.jit(jax.value_and_grad(loss_fn, has_aux=True))
    return jax.tree.map(np.asarray, compute(variables["params"], clips))


def by_key(tree, collection="params"):
    """A tree's arrays by MMAction2's keys, in torch's layout."""
    return {
        key_names.to_key((collection, *path)): key_names.to_torch_layout(
            np.asarray(value)
        )
        for path, value in flax.traverse_util.flatten_dict(tree).items()
    }


def norm(value):
    """Of all elements, in double precision."""
    return np.linalg.norm(value.astype(np.float64).ravel())
