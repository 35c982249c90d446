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
      missing: (V,) int64, number of indices between first and last without a frame.
      late: (V,) int64, how many frames after `config.data.timestamp_start` each movie
        begins; 0: none.
    """

    videos: tuple[str, ...]
    first: np.ndarray
    last: np.ndarray
    size: np.ndarray
    missing: np.ndarray
    late: np.ndarray | int = dataclasses.field(default=0, kw_only=True)

    @property
    def origin(self) -> np.ndarray:
        """(V,) int64, index of the frame at `config.data.timestamp_start`.

        Frames are numbered from 1, or from 0 if a movie has a frame 0. Where a movie
        begins later or earlier, it is an index that no frame has.
        """
        # A movie may also start later, if only a part of it was extracted.
        return np.minimum(self.first, 1) - self.late

    @abc.abstractmethod
    def clip(self, video: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        """Reads some frames of one movie, as TensorFlow operations.

        Args:
          video: () integer, index into `videos`.
          indices: (T,) int64, frame indices; each between `first` and `last`.

        Returns:
          (T, H, W, 3) uint8, RGB. The operation fails if a frame cannot be read.
        """

    @abc.abstractmethod
    def read(self, video: int, index: int) -> np.ndarray:
        """Reads one frame, (H, W, 3) uint8, RGB: the same pixels as from `clip`.

        Raises:
          BadFrame: the frame is missing or damaged; the message names its file.
        """


def decode_jpeg(content: tf.Tensor) -> tf.Tensor:
    """Decodes the bytes of a JPEG, PNG or GIF file to (H, W, 3) uint8 RGB."""
    # OpenCV, and therefore MMAction2, decodes with the accurate DCT.
    image = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")
    # Of WebP it makes (1, H, W, 3), which would fail far from here.
    return tf.ensure_shape(image, [None, None, 3])


def decode_jpegs(contents: tf.Tensor) -> tf.Tensor:
    """Decodes (T,) JPEG files of one size to (T, H, W, 3) uint8 RGB."""
    return tf.map_fn(decode_jpeg, contents, fn_output_signature=tf.uint8)
