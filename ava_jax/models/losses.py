"""The loss of the action scores, and what MMAction2 logs beside it.

Sums over labelled boxes are divided by their number at the end, so that a
batch spread over many devices gives what it gives on one.
"""

import jax
import jax.numpy as jnp
import optax

from ava_jax.models.precision import at_least_float32

TOP_K = (3, 5)


def action_loss(
    logits: jax.Array,
    labels: jax.Array,
    box_mask: jax.Array,
    *,
    focal_alpha: float = 1.0,
    focal_gamma: float = 0.0,
    multilabel: bool = True,
    background_class: bool = True,
    class_weights: jax.Array | None = None,
    count: jax.Array | None = None,
) -> jax.Array:
    """Cross-entropy, perhaps focal (MMAction2 `BBoxHeadAVA.loss`).

    Class 0 takes no part, nor does a box without labels. An entry's loss l
    becomes alpha (1 - exp(-l))^gamma l (Lin et al., 1708.02002).

    Args:
      logits: (B, N, classes).
      labels: (B, N, classes), 0 or 1.
      box_mask: (B, N), true for real boxes.
      focal_alpha: factor of the focal loss.
      focal_gamma: exponent of the focal loss; 0 leaves cross-entropy.
      multilabel: binary cross-entropy for every class, averaged over boxes and
        classes; else softmax cross-entropy, averaged over boxes.
      class_weights: (classes - 1,) factor of the loss of each class where a box has
        it, as torch's `pos_weight`; with softmax, of a box the mean over its labels.
        The focal loss takes its probabilities from the loss without them. None: 1.
      background_class: make the labels of softmax cross-entropy sum to 1. As in
        MMAction2 1.x, they stay as they are for models without a class 0.
      count: labelled boxes of the batch that this is a part of: then the losses
        of its parts add up to the batch's.

    Returns:
      Scalar float32; 0 if no box is labelled.
    """
    logits = at_least_float32(logits[..., 1:])
    labels = labels[..., 1:].astype(logits.dtype)
    labelled = labelled_boxes(labels, box_mask)
    if multilabel:
        loss = optax.sigmoid_binary_cross_entropy(logits, labels)
    else:
        if background_class:
            labels = labels / jnp.maximum(labels.sum(-1, keepdims=True), 1.0)
        loss = optax.softmax_cross_entropy(logits, labels)[..., None]
    if focal_gamma:
        # Away from 0, where a power below 1 has no finite slope.
        miss = jnp.maximum(-jnp.expm1(-loss), jnp.finfo(jnp.float32).tiny)
        loss = miss**focal_gamma * loss
    if class_weights is not None:
        loss *= _weights(labels, class_weights, multilabel)
    return focal_alpha * _mean(loss.mean(-1), labelled, count)


def _weights(labels, class_weights, multilabel):
    """Factors of the losses: of every entry, or with softmax (..., 1) of a box."""
    class_weights = jnp.asarray(class_weights, labels.dtype)
    if multilabel:
        return jnp.where(labels > 0, class_weights, 1)
    total = (labels * class_weights).sum(-1, keepdims=True)
    return total / jnp.maximum(labels.sum(-1, keepdims=True), 1e-6)


def action_metrics(
    logits: jax.Array,
    labels: jax.Array,
    box_mask: jax.Array,
    *,
    multilabel: bool = True,
) -> dict[str, jax.Array]:
    """Recall and precision of single boxes, averaged (MMAction2 `BBoxHeadAVA`).

    Predicted are the classes whose score is above 0.5, with softmax the highest one
    (`recall@thr=0.5`, `prec@thr=0.5`), or the k highest (`recall@top3`, `prec@top3`,
    ...; left out where there are no k classes). Class 0 takes no part, nor does a
    box without labels.

    Args:
      logits: (B, N, classes).
      labels: (B, N, classes), 0 or 1.
      box_mask: (B, N), true for real boxes.
      multilabel: as for `action_loss`.

    Returns:
      Scalars by MMAction2's names; all 0 if no box is labelled.
    """
    scores = action_scores(logits, multilabel=multilabel)[..., 1:]
    labels = labels[..., 1:] > 0.5
    labelled = labelled_boxes(labels, box_mask)
    predictions = {"thr=0.5": scores > 0.5}
    top_k = {f"top{k}": k for k in TOP_K}
    if not multilabel:
        top_k["thr=0.5"] = 1
    # Not `top_k`, for which the scores of all devices would be gathered on each.
    order = jnp.argsort(scores, descending=True)
    for name, k in top_k.items():
        if k <= scores.shape[-1]:
            hot = jax.nn.one_hot(order[..., :k], scores.shape[-1], dtype=jnp.bool)
            predictions[name] = hot.any(-2)
    metrics = {}
    for name, predicted in predictions.items():
        correct = (predicted & labels).sum(-1)
        recall = correct / jnp.maximum(labels.sum(-1), 1)
        precision = correct / (predicted.sum(-1) + 1e-6)
        metrics[f"recall@{name}"] = _mean(recall, labelled)
        metrics[f"prec@{name}"] = _mean(precision, labelled)
    return metrics


def action_scores(logits: jax.Array, *, multilabel: bool = True) -> jax.Array:
    """Probabilities of the actions, float32, in the shape of `logits`.

    Args:
      logits: (..., classes).
      multilabel: a sigmoid for every class. If not, a softmax over all classes
        but the reserved class 0, which scores 0.
    """
    logits = at_least_float32(logits)
    if multilabel:
        return jax.nn.sigmoid(logits)
    scores = jax.nn.softmax(logits[..., 1:])
    return jnp.concatenate([jnp.zeros_like(logits[..., :1]), scores], axis=-1)


def labelled_boxes(labels: jax.Array, box_mask: jax.Array) -> jax.Array:
    """Which boxes are trained: real ones that have a label; (B, N) bool."""
    return (labels > 0).any(-1) & (box_mask > 0)


def _mean(values, mask, count=None):
    """Mean over all entries where `mask` holds; 0 if it never does."""
    count = mask.sum() if count is None else count
    return jnp.where(mask, values, 0).sum() / jnp.maximum(count, 1)
