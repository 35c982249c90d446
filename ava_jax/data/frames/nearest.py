"""Frames whose bad ones are replaced by the nearest good one."""

import dataclasses
import itertools
import threading
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from absl import logging

from ava_jax.data.frames.store import FrameStore
from ava_jax.errors import BadFrame

# How far away a good frame is looked for: ten seconds of a movie.
_REACH = 300


@dataclasses.dataclass(frozen=True, eq=False)
class MendedFrames(FrameStore):
    """Another store, without its bad frames; they are counted in the log.

    Attributes:
      store: with missing or damaged frames.
      replaced: (video, index) of the bad frames met so far, with the index of the
        frame shown instead.
    """

    store: FrameStore
    replaced: dict[tuple[int, int], int] = dataclasses.field(default_factory=dict)
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    @classmethod
    def of(cls, store: FrameStore) -> "MendedFrames":
        """The same frames, with bad ones replaced."""
        fields = (field.name for field in dataclasses.fields(FrameStore))
        return cls(**{name: getattr(store, name) for name in fields}, store=store)

    def clip(self, video: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        """See `FrameStore`."""

        def read(video: np.ndarray, indices: np.ndarray) -> np.ndarray:
            return np.stack([self.read(int(video), int(i)) for i in indices])

        # TensorFlow cannot go on after an operation that failed, but Python can.
        frames = tf.numpy_function(read, [video, indices], tf.uint8)
        return tf.ensure_shape(frames, [indices.shape[0], None, None, 3])

    def read(self, video: int, index: int) -> np.ndarray:
        """See `FrameStore`."""
        neighbour = self.replaced.get((video, index), index)
        try:
            return self.store.read(video, neighbour)
        except BadFrame as error:
            return self._nearest(video, index, error)

    def place(self, video: int, index: int) -> str:
        """See `FrameStore`."""
        return self.store.place(video, index)

    def _nearest(self, video: int, index: int, error: BadFrame) -> np.ndarray:
        """The nearest frame that can be read; the earlier one of two."""
        for neighbour in self._neighbours(video, index):
            try:
                frame = self.store.read(video, neighbour)
            except BadFrame:
                continue
            self._note(video, index, neighbour, error)
            return frame
        raise BadFrame(
            f"{error}, and nor can any of {_REACH} frames before and after it. Put "
            "its movie right."
        )

    def _neighbours(self, video: int, index: int) -> Iterator[int]:
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
        # The 1st, 2nd, 4th, 8th, ...: the log stays short if there are thousands.
        if count & (count - 1) == 0:
            logging.warning(
                "%s: frame %d is shown instead. %d bad frames so far.",
                *(error, neighbour, count),
            )
