"""Which boxes training scores, and with which labels."""

import tensorflow as tf


def assign_targets(
    truth: tf.Tensor, classes: tf.Tensor, proposals: tf.Tensor, positive_iou: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """The boxes that training scores, with their labels.

    Ground truth comes first; then proposals that overlap some ground truth by
    `positive_iou` or more, with the labels of the one they overlap most
    (MMAction2's `MaxIoUAssignerAVA` with ground truth added as proposals).

    Args:
      truth: (G, 4) float32 xyxy.
      classes: (G, num_classes) float32 multi-hot.
      proposals: (P, 4) float32 xyxy.
      positive_iou: least overlap.

    Returns:
      (M, 4) boxes and (M, num_classes) labels.
    """
    if tf.shape(truth)[0] == 0:
        return truth, classes
    overlaps = _iou(proposals, truth)
    best = tf.argmax(overlaps, axis=1)
    positive = tf.reduce_max(overlaps, axis=1) >= positive_iou
    boxes = tf.concat([truth, tf.boolean_mask(proposals, positive)], axis=0)
    taken = tf.gather(classes, tf.boolean_mask(best, positive))
    return boxes, tf.concat([classes, taken], axis=0)


def _iou(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """(P, G) intersection over union; 0 where both have no area."""
    # `metrics.iou` as TensorFlow operations: boxes are assigned after the random crop,
    # inside the graph, where NumPy would make the parallel calls take turns.
    a, b = a[:, None], b[None]
    sides = tf.minimum(a[..., 2:], b[..., 2:]) - tf.maximum(a[..., :2], b[..., :2])
    shared = tf.reduce_prod(tf.maximum(sides, 0), axis=-1)
    return tf.math.divide_no_nan(shared, area(a) + area(b) - shared)


def area(boxes: tf.Tensor) -> tf.Tensor:
    """(...) areas of (..., 4) boxes."""
    return tf.reduce_prod(boxes[..., 2:] - boxes[..., :2], axis=-1)


def pad(size: int, *tensors: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """The first `size` rows of each tensor, zeros after them, and the mask."""
    count = tf.minimum(tf.shape(tensors[0])[0], size)
    padded = [
        tf.ensure_shape(
            tf.pad(x[:size], [[0, size - count], [0, 0]]), [size, x.shape[1]]
        )
        for x in tensors
    ]
    return *padded, tf.sequence_mask(count, size)
