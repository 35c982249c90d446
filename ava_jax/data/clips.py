"""Which frames make a clip: MMAction2's `SampleAVAFrames`."""

import numpy as np
import tensorflow as tf


def centre_frame(second: float, fps: int, timestamp_start: float) -> int:
    """Index of a key-frame; the movie's first frame, at timestamp_start, is 1."""
    return int(centre_frames(second, fps, timestamp_start))


def centre_frames(
    seconds: np.ndarray, fps: int, timestamp_start: float, origin: np.ndarray | int = 1
) -> np.ndarray:
    """Indices of key-frames.

    Args:
      seconds: (K,) their timestamps.
      fps: frames a second.
      timestamp_start: timestamp of the first frame.
      origin: (K,) its index; 1 in MMAction2's frame folders.

    Returns:
      (K,) int64.
    """
    offset = (np.asarray(seconds) - timestamp_start) * fps
    return np.trunc(offset + 0.5).astype(np.int64) + origin


def jitter(clip_len: int, frame_interval: int, seed: tf.Tensor) -> tf.Tensor:
    """Training's offset of every frame, from [-interval // 2, (interval + 1) // 2).

    Args:
      clip_len: frames of the clip.
      frame_interval: frames of the movie from one frame of the clip to the next.
      seed: (2,) int64 of `tf.random.stateless_uniform`.

    Returns:
      (clip_len,) int64.
    """
    return tf.random.stateless_uniform(
        [clip_len],
        seed,
        minval=-frame_interval // 2,
        maxval=(frame_interval + 1) // 2,
        dtype=tf.int64,
    )


def frame_indices(
    centre: tf.Tensor,
    first: tf.Tensor,
    last: tf.Tensor,
    clip_len: int,
    frame_interval: int,
    offsets: tf.Tensor | int = 0,
) -> tf.Tensor:
    """Frames around a key-frame, clamped to the movie.

    Args:
      centre: () int64, index of the key-frame.
      first: () int64, lowest index of the movie.
      last: () int64, highest.
      clip_len: frames of the clip.
      frame_interval: frames of the movie from one frame of the clip to the next.
      offsets: (clip_len,) int64 to add (see `jitter`).

    Returns:
      (clip_len,) int64. Frame clip_len // 2 is the key-frame.
    """
    steps = tf.range(clip_len, dtype=tf.int64) - clip_len // 2
    return tf.clip_by_value(centre + frame_interval * steps + offsets, first, last)
