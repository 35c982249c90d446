"""The interface of every store of movie frames."""

import abc
import dataclasses

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True, eq=False)
class FrameStore(abc.ABC):
    """The frames of some movies, numbered as in MMAction2's frame folders.

    Attributes:
      videos: names of the movies, in the order of the arrays.
      first, last: (V,) int64, lowest and highest frame index.
      size: (V, 2) int32, height and width in pixels.
      missing: (V,) int64, how many indices between first and last have no frame.
    """

    videos: tuple[str, ...]
    first: np.ndarray
    last: np.ndarray
    size: np.ndarray
    missing: np.ndarray

    @property
    def origin(self) -> np.ndarray:
        """(V,) int64, index of the frame at `config.data.timestamp_start`.

        Frames count from 1, or from 0 where a movie has a frame 0.
        """
        return np.minimum(self.first, 1)

    @abc.abstractmethod
    def clip(self, video: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        """Some frames of one movie, as TensorFlow operations.

        Args:
          video: () integer, index into `videos`.
          indices: (T,) int64, frame indices; each between `first` and `last`.

        Returns:
          (T, H, W, 3) uint8, RGB. Running it fails if a frame cannot be read.
        """

    @abc.abstractmethod
    def read(self, video: int, index: int) -> np.ndarray:
        """One frame, (H, W, 3) uint8, RGB: the same pixels as in `clip`.

        Raises:
          BadFrame: it is missing or damaged; the message says where it should be.
        """

    @abc.abstractmethod
    def place(self, video: int, index: int) -> str:
        """File of a frame, for messages."""


def decode_jpeg(content: tf.Tensor) -> tf.Tensor:
    """(H, W, 3) uint8, RGB, of the bytes of a JPEG file."""
    # The accurate DCT is what OpenCV, and so MMAction2, decodes with.
    return tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")


def decode_jpegs(contents: tf.Tensor) -> tf.Tensor:
    """(T, H, W, 3) uint8, RGB, of (T,) JPEG files of one size."""
    return tf.map_fn(decode_jpeg, contents, fn_output_signature=tf.uint8)
