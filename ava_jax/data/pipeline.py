"""Batches of clips, sharded by host, in an order that machines do not change.

Example i of step s is a function of (seed, s, i) alone, so any number of hosts sees the
same global batches, and a run that resumes at step s continues exactly there.
"""

from collections.abc import Callable, Iterable, Iterator

import ml_collections
import numpy as np
import tensorflow as tf

from ava_jax.data import eval_clips, repeat_factors
from ava_jax.data.examples import Examples
from ava_jax.data.split import Split
from ava_jax.errors import BadFrame, UserError

# TensorFlow only reads data; the accelerators belong to JAX.
tf.config.set_visible_devices([], "GPU")

Rows = dict[str, np.ndarray]
# (movie, frame index) of the frames that an example is made of.
Frames = Iterable[tuple[int, int]]


def steps_per_epoch(split: Split, batch: int) -> int:
    """Steps that see every key frame as often as it is repeated, rounded up."""
    return -(-repeat_factors.epoch_size(split.repeats) // batch)


def train_batches(
    split: Split,
    data: ml_collections.ConfigDict,
    *,
    batch: int,
    seed: int,
    first_step: int,
    steps: int,
    rows: range,
) -> Iterator[Rows]:
    """This host's rows of the global batches of steps first_step .. steps - 1.

    Args:
      split: the training split.
      data: `config.data`, of the clips and their augmentation.
      batch: size of the global batch.
      seed: of the order and the augmentation.
      first_step: step of the first batch.
      steps: step at which to end.
      rows: rows of the global batch that this host reads.

    Yields:
      `clip` (R, T, crop, crop, 3) uint8; `boxes` (R, N, 4) float32 xyxy in pixels
      of the clip; `box_mask` (R, N) bool; `labels` (R, N, num_classes) float32.

    Raises:
      UserError: a frame is missing or damaged.
    """
    examples = Examples(split, data, seed)
    epochs = repeat_factors.Epochs(split.repeats, seed)

    def place(n):
        """Key frame and position in the global stream of this host's n-th example."""
        position = (n // len(rows)) * batch + rows.start + n % len(rows)
        return epochs.key_frame(position), position

    def frames(n: int) -> Frames:
        key_frame, position = place(tf.constant(n, tf.int64))
        video = int(split.video[int(key_frame)])
        return ((video, int(i)) for i in examples.indices(key_frame, position))

    # Numbered over all steps, so that a resumed run draws what it would have drawn.
    numbers = tf.data.Dataset.range(first_step * len(rows), steps * len(rows))
    batches = numbers.map(lambda n: examples.training(*place(n)), tf.data.AUTOTUNE)
    return _iterate(
        batches.batch(len(rows), drop_remainder=True),
        lambda step: (
            frame
            for n in range(len(rows))
            for frame in frames((first_step + step) * len(rows) + n)
        ),
        split,
    )


def key_frames(split: Split, step: int, *, batch: int, seed: int) -> np.ndarray:
    """(B,) int64: the rows of `split` in the global batch of a step, from 0."""
    first = step * batch
    epochs = repeat_factors.Epochs(split.repeats, seed)
    return np.array(
        [
            epochs.key_frame(tf.constant(position, tf.int64)).numpy()
            for position in range(first, first + batch)
        ]
    )


def eval_batches(
    split: Split,
    data: ml_collections.ConfigDict,
    *,
    batch: int,
    short_side: int,
    rows: range,
) -> Iterator[Rows]:
    """This host's rows of the batches that hold every proposal of a split once.

    Frames keep their aspect, so a batch holds movies of one frame shape; a
    key frame with more than max_boxes proposals takes several rows. Frames that
    neighbouring clips of a movie share are decoded once.

    Args:
      split: the split to score.
      data: `config.data`, of the clips.
      batch: size of the global batch.
      short_side: of the clips, in pixels.
      rows: rows of the global batch that this host reads; the same number on all
        hosts.

    Yields:
      Of the global batch: `first_box` (B,) int64, the row of
      `split.proposal_boxes` of box 0, and `count` (B,) int64, the number of boxes (0
      in padding rows). Of this host: `clip` (R, T, H, W, 3) uint8 and
      `boxes` (R, N, 4) float32 xyxy in pixels of the clip.

    Raises:
      UserError: a frame is missing or damaged.
    """
    examples = Examples(split, data)
    groups = eval_clips.plan(
        split, batch, len(rows), short_side=short_side, max_boxes=data.max_boxes
    )
    for shape, batches in groups:
        local = batches[:, rows.start : rows.stop]

        # `local` is bound now: the function is called when the loop has moved on.
        def frames(number: int, local=local) -> Frames:
            for key_frame in local[number, :, 0]:
                video = int(split.video[key_frame])
                yield from ((video, int(i)) for i in examples.indices(key_frame))

        read = eval_clips.read(examples, local, shape, data.clip_len)
        clips = _iterate(read, frames, split)
        for table, arrays in zip(batches, clips, strict=True):
            yield {"first_box": table[:, 1], "count": table[:, 2], **arrays}


def _iterate(
    batches: tf.data.Dataset, frames: Callable[[int], Frames], split: Split
) -> Iterator[Rows]:
    """The batches as NumPy arrays; `frames(n)` lists the frames of batch n."""
    n = 0
    try:
        for batch in batches.prefetch(2).as_numpy_iterator():
            yield batch
            # Only for the error below: the batch that fails is the one after these.
            n += 1
    except tf.errors.OpError as error:
        raise UserError(_what_is_bad(error, frames(n), split)) from error


def _what_is_bad(error, frames: Frames, split: Split) -> str:
    """Finds the bad frame by reading all of them again: TensorFlow does not name it."""
    remedy = (
        "Every bad frame is listed by: ava-jax check --config FILE "
        "--frames. --config.data.on_bad_frame=nearest shows the nearest good one "
        "instead."
    )
    for frame in frames:
        try:
            split.frames.read(*frame)
        except BadFrame as bad:
            return f"{bad}. {remedy}"
    return f"Frames could not be read: {error.message}. {remedy}"
