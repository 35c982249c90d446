"""Repeat-factor sampling: key frames with rare actions come more often in an epoch."""

import numpy as np
import tensorflow as tf


def class_factors(frequency: np.ndarray, threshold: float) -> np.ndarray:
    """Repeat factor of every action (Gupta et al., LVIS, arXiv:1908.03195).

    Args:
      frequency: share of the key frames that show each action.
      threshold: `config.data.repeat_threshold`; 0: all factors are 1.

    Returns:
      max(1, sqrt(threshold / frequency)); 1 for an action that no key frame shows.
    """
    frequency = np.asarray(frequency, np.float64)
    shown = np.where(frequency > 0, frequency, np.inf)
    return np.maximum(1, np.sqrt(threshold / shown))


def frequency(starts: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(C,) share of the key frames in which a box has each class.

    Args:
      starts: (K + 1,) first box of each key frame.
      classes: (G, C) multi-hot, of all boxes.
    """
    return _shown(starts, classes).mean(0)


def repeat_factors(
    starts: np.ndarray, classes: np.ndarray, threshold: float
) -> np.ndarray:
    """(K,) float64: the largest factor of the actions that each key frame shows.

    Args:
      starts: (K + 1,) first box of each key frame.
      classes: (G, C) multi-hot, of all boxes.
      threshold: see `class_factors`.
    """
    factors = class_factors(frequency(starts, classes), threshold)
    return np.where(_shown(starts, classes), factors, 1).max(1)


def _shown(starts, classes):
    """(K, C) bool: which classes some box of each key frame has."""
    key_frame = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    shown = np.zeros((len(starts) - 1, classes.shape[1]), bool)
    box, number = np.nonzero(classes)
    shown[key_frame[box], number] = True
    return shown


class Epochs:
    """Which key frame stands where in the endless stream of shuffled epochs.

    A function of the seed and the position alone. Nothing is drawn in advance, so
    every host finds the same, and a run that resumes anywhere.

    An epoch has as many examples as the factors sum up to, rounded up. Slot j of it
    takes the key frame at j + u of the sums of all factors before it, with one u from
    [0, 1) an epoch: a key frame of factor 2.3 stands there twice or three times, and
    2.3 times in the mean (systematic sampling). So the rounding of a key frame is as
    random as in LVIS, but all epochs have one length.
    """

    def __init__(self, factors: np.ndarray, seed: int):
        """Of key frames with repeat factors (K,), each 1 or more."""
        sums = np.cumsum(factors)
        self._size = epoch_size(factors)
        # Stretched to a whole number, by less than one example an epoch.
        self._ends = tf.constant(sums * (self._size / sums[-1]))
        self._last = len(factors) - 1
        self._seed = seed

    def key_frame(self, position: tf.Tensor) -> tf.Tensor:
        """() int64, the row of the split at a () int64 position of the stream."""
        # A permutation that is computed and not stored: no state to save. Its last
        # argument is the highest index, not the size.
        epoch, index = position // self._size, position % self._size
        seed = tf.stack([tf.constant(self._seed, tf.int64), epoch])
        slot = tf.random.experimental.index_shuffle(index, seed, self._size - 1)
        # float32 has at most 24 bits: slot + u stays below slot + 1 in float64.
        u = tf.random.stateless_uniform([], tf.random.fold_in(seed, 0))
        at = tf.cast(slot, tf.float64) + tf.cast(u, tf.float64)
        found = tf.searchsorted(self._ends, [at], side="right", out_type=tf.int64)[0]
        return tf.minimum(found, self._last)


def epoch_size(factors: np.ndarray) -> int:
    """Examples of an epoch: the sum of the repeat factors, rounded up."""
    # Without repeats the sum is exact.
    return int(np.ceil(np.cumsum(factors)[-1]))
