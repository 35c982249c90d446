"""ACRN: relations of every box with every place of the map."""

import flax.linen as nn
import jax

from ava_jax.models.batch_norm import BatchNorm, PerReplica
from ava_jax.models.conv import Conv, kaiming


class ACRNHead(nn.Module):
    """Features of a box and of the map -> a map of the box (MMAction2 `ACRNHead`).

    Sun et al., 1807.10982. The box's features become one vector, which stands before
    those of the map at every place; a 1 x 1 and a 3 x 3 convolution follow. Their
    normalisations see the boxes as the batch.

    Attributes:
      norm: `BatchNorm.mode` of the normalisations.
      dtype: of the computation.
    """

    norm: str | PerReplica
    dtype: str

    @nn.compact
    def __call__(
        self,
        features: jax.Array,
        rois: jax.Array,
        box_mask: jax.Array | None,
        train: bool,
    ) -> jax.Array:
        """Maps of all boxes.

        Args:
          features: (B, H, W, C), the map.
          rois: (B, N, R, R, C), features of the boxes.
          box_mask: (B, N), true for the boxes whose maps enter the statistics of
            training; None: all.
          train: use the statistics of the batch.

        Returns:
          (B, N, H, W, C).
        """
        boxes, channels = rois.shape[:2], features.shape[-1]
        mask = None if box_mask is None else box_mask.reshape(-1)
        layers = (channels, self.norm, self.dtype)
        x = _RelationBlock(*layers, name="conv1")(
            features, rois.max((2, 3)), mask, train
        )
        x = _Block(*layers, name="conv2")(x, mask, train)
        return x.reshape(*boxes, *x.shape[2:])


class _RelationBlock(nn.Module):
    """1 x 1 convolution of vector and map, normalisation, ReLU."""

    channels: int
    norm: str | PerReplica
    dtype: str

    @nn.compact
    def __call__(self, features, vectors, mask, train):
        """(B, H, W, C), (B, N, C) -> (B N, 1, H, W, channels)."""
        x = _RelationConv(self.channels, self.dtype, name="conv")(features, vectors)
        x = x.reshape(-1, 1, *x.shape[2:])
        return nn.relu(BatchNorm(self.norm, name="bn")(x, train, mask))


class _RelationConv(nn.Module):
    """The convolution of the concatenation [vector, map] is the sum of theirs."""

    channels: int
    dtype: str

    @nn.compact
    def __call__(self, features, vectors):
        """(B, H, W, C), (B, N, C) -> (B, N, H, W, channels)."""
        inputs = vectors.shape[-1]
        shape = (1, 1, 1, inputs + features.shape[-1], self.channels)
        kernel = self.param("kernel", kaiming, shape)[0, 0, 0].astype(self.dtype)
        of_vectors = vectors.astype(self.dtype) @ kernel[:inputs]
        of_map = features.astype(self.dtype) @ kernel[inputs:]
        return of_vectors[:, :, None, None] + of_map[:, None]


class _Block(nn.Module):
    """3 x 3 convolution, normalisation, ReLU."""

    channels: int
    norm: str | PerReplica
    dtype: str

    @nn.compact
    def __call__(self, x, mask, train):
        """(B N, 1, H, W, C) -> the same with `channels`."""
        x = Conv(self.channels, (1, 3, 3), dtype=self.dtype, name="conv")(x)
        return nn.relu(BatchNorm(self.norm, name="bn")(x, train, mask))
