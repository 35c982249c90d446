"""Frame indices of key frames and clips, as TensorFlow operations."""

import ml_collections
import numpy as np
import tensorflow as tf

from ava_jax.video.clip_sampling import ClipSampling


def clock(data: ml_collections.ConfigDict) -> tuple[float, float]:
    """How many frames a timestamp has for each unit, and that of the first frame.

    Args:
      data: `config.data`, whose timestamps are seconds or numbers of frames.
    """
    return 1 if data.frame_numbers else data.fps, data.timestamp_start


def centre_frames(
    seconds: np.ndarray,
    fps: float,
    timestamp_start: float,
    origin: np.ndarray | int = 1,
) -> np.ndarray:
    """Indices of key frames.

    Args:
      seconds: (K,) their timestamps.
      fps: frames a second; see `clock`.
      timestamp_start: timestamp of the first frame.
      origin: (K,) its index; 1 in MMAction2's frame folders.

    Returns:
      (K,) int64.
    """
    offset = (np.asarray(seconds) - timestamp_start) * fps
    return np.floor(offset + 0.5).astype(np.int64) + origin


def jitter(sampling: ClipSampling, seed: tf.Tensor) -> tf.Tensor:
    """Training's offset of every frame, from [-interval // 2, (interval + 1) // 2).

    Args:
      sampling: of the clip.
      seed: (2,) int64 of `tf.random.stateless_uniform`.

    Returns:
      (clip_len,) int64.
    """
    return tf.random.stateless_uniform(
        [sampling.clip_len],
        seed,
        minval=-sampling.interval // 2,
        maxval=(sampling.interval + 1) // 2,
        dtype=tf.int64,
    )


def frame_indices(
    centre: tf.Tensor, first: tf.Tensor, last: tf.Tensor, offsets: tf.Tensor
) -> tf.Tensor:
    """Frames around a key frame, clamped to the movie.

    Args:
      centre: () int64, index of the key frame.
      first: () int64, lowest index of the movie.
      last: () int64, highest.
      offsets: (T,) int64 from the key frame (`ClipSampling.offsets`, with `jitter`
        in training).

    Returns:
      (T,) int64.
    """
    return tf.clip_by_value(centre + offsets, first, last)
