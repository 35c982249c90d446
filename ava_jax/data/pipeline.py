"""Batches of clips: which examples, in which order, for which host.

The order does not depend on the machines: example i of step s is a function of
(seed, s, i), so any number of hosts sees the same global batches, and a restart
at step s continues exactly there.
"""

from collections.abc import Iterator

import ml_collections
import numpy as np
import tensorflow as tf

from ava_jax.data import clips, dataset, transforms
from ava_jax.errors import UserError

# TensorFlow only feeds; the accelerators are JAX's.
tf.config.set_visible_devices([], "GPU")

Rows = dict[str, np.ndarray]


def steps_per_epoch(split: dataset.Split, config: ml_collections.ConfigDict) -> int:
    """Steps in which every key-frame is seen once; the last one runs over."""
    return -(-len(split) // config.train.batch)


def train_batches(
    split: dataset.Split,
    config: ml_collections.ConfigDict,
    *,
    first_step: int,
    steps: int,
    rows: range,
) -> Iterator[Rows]:
    """This host's rows of the global batches of steps first_step .. steps - 1.

    Args:
      split: the training split.
      config: the whole configuration.
      first_step: step of the first batch.
      steps: step at which to end.
      rows: rows of the global batch that this host reads.

    Yields:
      `clip` (R, T, crop, crop, 3) uint8; `boxes` (R, N, 4) float32 xyxy in pixels
      of the clip; `box_mask` (R, N) bool; `labels` (R, N, num_classes) float32.

    Raises:
      UserError: a frame is missing or damaged.
    """
    arrays = _constants(split)
    shape = (config.train.batch, len(rows), rows.start)

    def example(n):
        batch, share, first_row = shape
        position = (n // share) * batch + first_row + n % share
        key_frame = _shuffled(position, len(split), config.seed)
        return _train_example(arrays, split, config, key_frame, position)

    examples = tf.data.Dataset.range(first_step * len(rows), steps * len(rows))
    return _iterate(examples.map(example, tf.data.AUTOTUNE), len(rows))


def _shuffled(position: tf.Tensor, size: int, seed: int) -> tf.Tensor:
    """The key-frame at a position in the endless stream of shuffled epochs."""
    epoch, index = position // size, position % size
    return tf.random.experimental.index_shuffle(
        index, tf.stack([seed, epoch]), size - 1
    )


def eval_batches(
    split: dataset.Split, config: ml_collections.ConfigDict, *, rows: range
) -> Iterator[Rows]:
    """This host's rows of the batches that hold every proposal of a split once.

    Frames keep their aspect, so a batch holds movies of one frame shape; a
    key-frame with more than max_boxes proposals takes several rows.

    Args:
      split: the split to score.
      config: the whole configuration.
      rows: rows of the global batch that this host reads.

    Yields:
      For the global batch: `first_box` (B,) int64, the row of
      `split.proposal_boxes` that box 0 is, and `count` (B,) int64, how many there
      are (0: the row is padding). For this host: `clip` (R, T, H, W, 3) uint8 and
      `boxes` (R, N, 4) float32 xyxy in pixels of the clip.
    """
    arrays = _constants(split)
    plan = eval_plan(split, config)
    for height, width in sorted({shape for shape, _ in plan}):
        batches = np.stack([b for shape, b in plan if shape == (height, width)])
        local = batches[:, rows.start : rows.stop].reshape(-1, 3)
        examples = tf.data.Dataset.from_tensor_slices(local).map(
            lambda row, size=(height, width): _eval_example(
                arrays, split, config, row, size
            ),
            tf.data.AUTOTUNE,
        )
        for batch, local_rows in zip(
            batches, _iterate(examples, len(rows)), strict=True
        ):
            yield {"first_box": batch[:, 1], "count": batch[:, 2], **local_rows}


def eval_plan(
    split: dataset.Split, config: ml_collections.ConfigDict
) -> list[tuple[tuple[int, int], np.ndarray]]:
    """Which boxes are scored together, the same on all hosts.

    Returns:
      For each batch the (height, width) of its clips and (B, 3) int64 rows of
      key-frame, first proposal, number of proposals; rows to fill up have 0.
    """
    shapes = [
        transforms.size_for_short_side(*size.tolist(), config.data.test_short_side)
        for size in split.folders.size
    ]
    by_shape = {}
    for k in range(len(split)):
        end = split.proposal_starts[k + 1]
        for first in range(split.proposal_starts[k], end, config.data.max_boxes):
            count = min(config.data.max_boxes, end - first)
            by_shape.setdefault(shapes[split.video[k]], []).append((k, first, count))
    batch = config.eval.batch
    plan = []
    for shape, rows in sorted(by_shape.items()):
        rows += [(rows[-1][0], 0, 0)] * (-len(rows) % batch)
        table = np.array(rows, np.int64).reshape(-1, batch, 3)
        plan += [(shape, part) for part in table]
    return plan


def _constants(split: dataset.Split) -> dict[str, tf.Tensor]:
    """The arrays that examples are looked up in."""
    arrays = {
        name: getattr(split, name)
        for name in ("video", "centre", "truth_starts", "truth_boxes")
    }
    arrays |= {
        name: getattr(split, name)
        for name in ("truth_classes", "proposal_starts", "proposal_boxes")
    }
    folders = split.folders
    arrays |= {"first": folders.first, "last": folders.last, "size": folders.size}
    names = [f"{folders.root}/{video}/{folders.prefix}" for video in folders.videos]
    return {k: tf.constant(v) for k, v in (arrays | {"path": names}).items()}


def _train_example(arrays, split, config, key_frame, position):
    """One augmented clip with its targets."""
    data = config.data
    # One stream a purpose, so that no draw depends on another one's count.
    seeds = tf.random.split(tf.stack([config.seed, position]), 4)
    video = arrays["video"][key_frame]
    clip = _read_clip(arrays, split, config, key_frame, seeds[0])
    boxes = _slice(arrays, "truth_starts", key_frame, "truth_boxes")
    classes = _slice(arrays, "truth_starts", key_frame, "truth_classes")
    proposals = _slice(arrays, "proposal_starts", key_frame, "proposal_boxes")
    # Ground truth and proposals go through the same changes.
    people = tf.concat([boxes, proposals], axis=0)

    low, high = data.train_short_side
    short_side = tf.random.stateless_uniform(
        [], seeds[1], minval=low, maxval=high + 1, dtype=tf.int32
    )
    size = tf.unstack(arrays["size"][video])
    new_size = transforms.size_for_short_side(*size, short_side)
    clip = transforms.resize(clip, *new_size)
    people = transforms.to_pixels(people, *size)
    people = transforms.resize_boxes(people, size, new_size)
    y, x = transforms.random_crop_offset(*new_size, data.crop, seeds[2])
    clip = transforms.crop(clip, y, x, data.crop)
    whole = people
    people = transforms.crop_boxes(people, y, x, data.crop)
    visible = _area(people) >= data.min_visible * _area(whole)
    if tf.random.stateless_uniform([], seeds[3]) < data.flip:
        clip = transforms.flip(clip)
        people = transforms.flip_boxes(people, data.crop)

    count = tf.shape(boxes)[0]
    truth = tf.boolean_mask(people[:count], visible[:count])
    classes = tf.boolean_mask(classes, visible[:count])
    proposals = tf.boolean_mask(people[count:], visible[count:])
    boxes, labels = assign_targets(truth, classes, proposals, data.positive_iou)
    boxes, labels, mask = _pad(data.max_boxes, boxes, labels)
    shape = [data.clip_len, data.crop, data.crop, 3]
    return {
        "clip": tf.ensure_shape(clip, shape),
        "boxes": boxes,
        "box_mask": mask,
        "labels": labels,
    }


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
    a, b = a[:, None], b[None]
    sides = tf.minimum(a[..., 2:], b[..., 2:]) - tf.maximum(a[..., :2], b[..., :2])
    shared = tf.reduce_prod(tf.maximum(sides, 0), axis=-1)
    return tf.math.divide_no_nan(shared, _area(a) + _area(b) - shared)


def _area(boxes: tf.Tensor) -> tf.Tensor:
    return tf.reduce_prod(boxes[..., 2:] - boxes[..., :2], axis=-1)


def _eval_example(arrays, split, config, row, size):
    """One whole clip with some of its proposals."""
    key_frame, first, count = tf.unstack(row)
    clip = _read_clip(arrays, split, config, key_frame, seed=None)
    clip = transforms.resize(clip, *size)
    boxes = arrays["proposal_boxes"][first : first + count]
    original = tf.unstack(arrays["size"][arrays["video"][key_frame]])
    boxes = transforms.to_pixels(boxes, *original)
    boxes = transforms.resize_boxes(boxes, original, size)
    boxes, _ = _pad(config.data.max_boxes, boxes)
    shape = [config.data.clip_len, *size, 3]
    return {"clip": tf.ensure_shape(clip, shape), "boxes": boxes}


def _read_clip(arrays, split, config, key_frame, seed):
    """(T, H, W, 3) uint8 frames around a key-frame; jittered if there is a seed."""
    data = config.data
    video = arrays["video"][key_frame]
    interval = 0 if data.freeze_motion else data.frame_interval
    jitter = seed is not None and data.frame_jitter and not data.freeze_motion
    indices = clips.frame_indices(
        arrays["centre"][key_frame],
        arrays["first"][video],
        arrays["last"][video],
        data.clip_len,
        interval,
        clips.jitter(data.clip_len, interval, seed) if jitter else 0,
    )
    folders = split.folders
    digits = tf.strings.as_string(indices, width=folders.digits, fill="0")
    paths = tf.strings.join([arrays["path"][video], digits, folders.suffix])
    return tf.map_fn(_decode, paths, fn_output_signature=tf.uint8)


def _decode(path):
    # The accurate DCT is what OpenCV, and so MMAction2, decodes with.
    return tf.io.decode_jpeg(
        tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE"
    )


def _slice(arrays, starts, k, name):
    return arrays[name][arrays[starts][k] : arrays[starts][k + 1]]


def _pad(size, *tensors):
    """The first `size` rows of each tensor, zeros after them, and the mask."""
    count = tf.minimum(tf.shape(tensors[0])[0], size)
    padded = [
        tf.ensure_shape(
            tf.pad(x[:size], [[0, size - count], [0, 0]]), [size, x.shape[1]]
        )
        for x in tensors
    ]
    return *padded, tf.sequence_mask(count, size)


def _iterate(examples: tf.data.Dataset, rows: int) -> Iterator[Rows]:
    batches = examples.batch(rows, drop_remainder=True).prefetch(2)
    try:
        yield from batches.as_numpy_iterator()
    except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
        raise UserError(
            f"A frame could not be read: {error.message}. Extract its movie's frames "
            "again."
        ) from error
