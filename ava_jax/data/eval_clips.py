"""Clips of evaluation; overlapping clips share decoded frames.

Every stream reads consecutive key frames and keeps the frames of its last clip. A clip
of 32 frames around a key frame has 15 to 17 in common with that of the next second.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from ava_jax.data import transforms
from ava_jax.data.examples import Examples
from ava_jax.data.split import Split

# Concurrent streams of a host. Each keeps one clip in memory, 8 MB at 256 x 340.
_STREAMS = 16


def plan(
    split: Split, batch: int, rows: int, *, short_side: int, max_boxes: int
) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Groups the boxes into batches, identically on all hosts.

    Args:
      split: the split to score.
      batch: size of the global batch.
      rows: rows of each batch that one host reads.
      short_side: of the clips, in pixels.
      max_boxes: boxes of a clip.

    Yields:
      For each shape of clips: (height, width), and (n, B, 3) int64 rows of
      key frame, first proposal, number of proposals (0 in padding rows).
    """
    shapes = np.array(
        [
            transforms.size_for_short_side(*size, short_side)
            for size in split.frames.size.tolist()
        ]
    )
    table = _table(split, max_boxes)
    of_row = shapes[split.video[table[:, 0]]]
    for shape in np.unique(of_row, axis=0):
        chosen = table[(of_row == shape).all(axis=1)]
        yield tuple(shape.tolist()), _in_batches(chosen, batch, rows)


def _table(split, max_boxes) -> np.ndarray:
    """(n, 3) key frame, first proposal, number of proposals; by key frame."""
    counts = np.diff(split.proposal_starts)
    parts = -(-counts // max_boxes)  # rounded up
    key_frame = np.repeat(np.arange(len(split)), parts)
    # 0, 1, ... within each key frame: the row number less that of the first part.
    part = np.arange(len(key_frame)) - np.repeat(np.cumsum(parts) - parts, parts)
    first = split.proposal_starts[key_frame] + part * max_boxes
    count = np.minimum(split.proposal_starts[key_frame + 1] - first, max_boxes)
    return np.stack([key_frame, first, count], axis=1).astype(np.int64)


def _parts(rows: int) -> int:
    """Number of streams that take turns in one row of the batches."""
    return -(-_STREAMS // rows)


def _in_batches(table: np.ndarray, batch: int, rows: int) -> np.ndarray:
    """(n, B, 3), ordered so that each stream gets consecutive key frames.

    A stream fills one row of every `_parts`-th batch.
    """
    # Padding reads a clip that has just been read, and scores none of its boxes.
    padding = np.repeat(table[-1:] * [1, 0, 0], -len(table) % batch, axis=0)
    table = np.concatenate([table, padding])
    n, turns = len(table) // batch, _parts(rows)
    # Row b of batch t belongs to stream (t % turns, b), as its item t // turns. Sorting
    # by (stream, item) gives the positions that consecutive rows of `table` go to.
    t, b = np.divmod(np.arange(len(table)), batch)
    order = np.lexsort((t // turns, b, t % turns))
    batches = np.empty_like(table)
    batches[order] = table
    return batches.reshape(n, batch, 3)


def read(
    examples: Examples, batches: np.ndarray, shape: tuple[int, int], clip_len: int
) -> tf.data.Dataset:
    """Reads a host's rows of the batches.

    Args:
      examples: of the split.
      batches: (n, R, 3) from `plan`.
      shape: height and width of the clips.
      clip_len: frames of a clip.

    Returns:
      Batches of `clip` (R, T, H, W, 3) uint8 and `boxes` (R, N, 4) float32.
    """
    n, rows, _ = batches.shape
    turns = min(_parts(rows), n)
    # In the order in which `interleave` takes one clip of each: a batch after another.
    places = [(turn, row) for turn in range(turns) for row in range(rows)]
    streams = [batches[turn::turns, row] for turn, row in places]
    table = tf.constant(np.concatenate(streams))
    starts = tf.constant(np.cumsum([0, *map(len, streams)]))
    read_stream = _reader(examples, shape, clip_len)
    clips = tf.data.Dataset.range(len(streams)).interleave(
        lambda stream: read_stream(table[starts[stream] : starts[stream + 1]]),
        cycle_length=len(streams),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return clips.batch(rows, drop_remainder=True)


def _reader(examples: Examples, shape: tuple[int, int], clip_len: int):
    """Makes a function from the rows of a stream to a data set of its clips."""
    # Video, frame indices and frames of the previous clip; video -1 matches none.
    start = (
        tf.constant(-1, tf.int32),
        tf.zeros([clip_len], tf.int64),
        tf.zeros([clip_len, *shape, 3], tf.uint8),
    )

    def step(before, row):
        key_frame = row[0]
        now = examples.video(key_frame), examples.indices(key_frame)
        clip = _next_clip(examples, before, now, key_frame, shape)
        boxes = examples.boxes(key_frame, row[1:], shape)
        bank = examples.bank(key_frame, key_frame)
        return (*now, clip), {"clip": clip, "boxes": boxes} | bank

    def stream(rows):
        return tf.data.Dataset.from_tensor_slices(rows).scan(start, step)

    return stream


def _next_clip(examples, before, now, key_frame, shape) -> tf.Tensor:
    """The clip of a key frame; only frames that the previous clip lacks are read."""
    (old_video, old_indices, old_frames), (video, indices) = before, now
    known = tf.reduce_any(indices[:, None] == old_indices, axis=1)
    known &= video == old_video
    wanted, _ = tf.unique(tf.boolean_mask(indices, ~known))
    if tf.size(wanted) > 0:
        new = examples.frames(key_frame, wanted, shape)
    else:
        new = old_frames[:0]
    # New frames come first, because the old ones may be of another movie with the same
    # indices, and argmax takes the first match.
    found = indices[:, None] == tf.concat([wanted, old_indices], axis=0)
    place = tf.argmax(tf.cast(found, tf.int32), axis=1)
    return tf.gather(tf.concat([new, old_frames], axis=0), place)
