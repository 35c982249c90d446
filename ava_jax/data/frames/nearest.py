"""Replaces missing or damaged frames by the nearest good frame."""

import dataclasses
import itertools
import threading
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from absl import logging

from ava_jax.data.frames.store import FrameStore
from ava_jax.errors import BadFrame

# Largest distance to a good frame: 10 seconds at 30 frames a second.
_REACH = 300


@dataclasses.dataclass(frozen=True, eq=False)
class NearestFrames(FrameStore):
    """A store that replaces the bad frames of another store, and logs their number.

    Attributes:
      store: the store with missing or damaged frames.
      replaced: (video, index) of the bad frames so far -> index of the frame that
        replaces it.
    """

    store: FrameStore
    replaced: dict[tuple[int, int], int] = dataclasses.field(default_factory=dict)
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    @classmethod
    def of(cls, store: FrameStore) -> "NearestFrames":
        """Wraps a store."""
        fields = (field.name for field in dataclasses.fields(FrameStore))
        return cls(**{name: getattr(store, name) for name in fields}, store=store)

    def clip(self, video: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        """Reads (T, H, W, 3) uint8 RGB frames as TensorFlow operations."""

        def read(video: np.ndarray, indices: np.ndarray) -> np.ndarray:
            return np.stack([self.read(int(video), int(i)) for i in indices])

        # A TensorFlow graph cannot catch the error of a failed operation; Python can.
        frames = tf.numpy_function(read, [video, indices], tf.uint8)
        return tf.ensure_shape(frames, [indices.shape[0], None, None, 3])

    def read(self, video: int, index: int) -> np.ndarray:
        """Reads one (H, W, 3) uint8 RGB frame, or the nearest good one."""
        neighbour = self.replaced.get((video, index), index)
        try:
            return self.store.read(video, neighbour)
        except BadFrame as error:
            return self._nearest(video, index, error)

    def _nearest(self, video: int, index: int, error: BadFrame) -> np.ndarray:
        """The nearest frame that can be read; on a tie the earlier one."""
        for neighbour in self._neighbours(video, index):
            try:
                frame = self.store.read(video, neighbour)
            except BadFrame:
                continue
            self._note(video, index, neighbour, error)
            return frame
        raise BadFrame(
            f"{error}. None of the {_REACH} frames before and after it can be read "
            "either. Extract the movie again."
        )

    def _neighbours(self, video: int, index: int) -> Iterator[int]:
        # -1, +1, -2, +2, ...: the earlier one of each pair first.
        near = itertools.chain.from_iterable(
            (index - distance, index + distance) for distance in range(1, _REACH + 1)
        )
        return (i for i in near if self.first[video] <= i <= self.last[video])

    def _note(self, video: int, index: int, neighbour: int, error: BadFrame) -> None:
        with self._lock:
            if (video, index) in self.replaced:
                return
            self.replaced[video, index] = neighbour
            count = len(self.replaced)
        # Logs only the 1st, 2nd, 4th, 8th, ... frame, so that thousands of bad frames
        # do not flood the log. A power of two has one bit, so `&` gives 0.
        if count & (count - 1) == 0:
            logging.warning(
                "%s: frame %d is used instead. %d bad frames so far.",
                error,
                neighbour,
                count,
            )
