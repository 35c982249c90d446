"""I3D: Inception-v1 inflated (Carreira and Zisserman, arXiv:1705.07750).

End points have the names of DeepMind's kinetics-i3d. As there, padding is TensorFlow's
'SAME', and batch normalisation has no scale.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from ava_jax.models.batch_norm import BatchNorm, PerReplica
from ava_jax.models.conv import Conv, max_pool_same

_EPSILON = 1e-3


@dataclasses.dataclass(frozen=True)
class ConvSpec:
    """A convolution with batch normalisation and ReLU."""

    features: int
    kernel: tuple[int, int, int] = (1, 1, 1)
    strides: tuple[int, int, int] = (1, 1, 1)


@dataclasses.dataclass(frozen=True)
class PoolSpec:
    """A max pool."""

    window: tuple[int, int, int]
    strides: tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class MixedSpec:
    """An Inception module: channels of the convolutions of each branch.

    Attributes:
      branch_0: of the 1x1x1.
      branch_1, branch_2: of a 1x1x1 and the 3x3x3 after it.
      branch_3: of the 1x1x1 after a max pool.
    """

    branch_0: int
    branch_1: tuple[int, int]
    branch_2: tuple[int, int]
    branch_3: int


END_POINTS = {
    "Conv3d_1a_7x7": ConvSpec(64, (7, 7, 7), (2, 2, 2)),
    "MaxPool3d_2a_3x3": PoolSpec((1, 3, 3), (1, 2, 2)),
    "Conv3d_2b_1x1": ConvSpec(64),
    "Conv3d_2c_3x3": ConvSpec(192, (3, 3, 3)),
    "MaxPool3d_3a_3x3": PoolSpec((1, 3, 3), (1, 2, 2)),
    "Mixed_3b": MixedSpec(64, (96, 128), (16, 32), 32),
    "Mixed_3c": MixedSpec(128, (128, 192), (32, 96), 64),
    "MaxPool3d_4a_3x3": PoolSpec((3, 3, 3), (2, 2, 2)),
    "Mixed_4b": MixedSpec(192, (96, 208), (16, 48), 64),
    "Mixed_4c": MixedSpec(160, (112, 224), (24, 64), 64),
    "Mixed_4d": MixedSpec(128, (128, 256), (24, 64), 64),
    "Mixed_4e": MixedSpec(112, (144, 288), (32, 64), 64),
    "Mixed_4f": MixedSpec(256, (160, 320), (32, 128), 128),
    "MaxPool3d_5a_2x2": PoolSpec((2, 2, 2), (2, 2, 2)),
    "Mixed_5b": MixedSpec(256, (160, 320), (32, 128), 128),
    "Mixed_5c": MixedSpec(384, (192, 384), (48, 128), 128),
}


def stage(end_point: str) -> int:
    """The number in an end point's name: 1 for the stem, then 2 to 5 as in ResNets."""
    return int(end_point.split("_")[1][0])


def stages_up_to(last: int) -> set[str]:
    """Names of the end points of stages 1 to `last`."""
    return {name for name in END_POINTS if stage(name) <= last}


def channels(end_point: str) -> int:
    """Channels of the output of an Inception module."""
    spec = END_POINTS[end_point]
    return spec.branch_0 + spec.branch_1[1] + spec.branch_2[1] + spec.branch_3


class Unit3D(nn.Module):
    """Convolution, batch normalisation without a scale, ReLU.

    Attributes:
      spec: of the convolution.
      norm: `BatchNorm.mode`.
      dtype: of the computation.
    """

    spec: ConvSpec
    norm: str | PerReplica
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, T, H, W, in) -> (B, T', H', W', features)."""
        conv = Conv(
            self.spec.features,
            self.spec.kernel,
            self.spec.strides,
            padding="same",
            dtype=self.dtype,
            name="conv",
        )
        bn = BatchNorm(self.norm, use_scale=False, epsilon=_EPSILON, name="bn")
        return nn.relu(bn(conv(x), train))


class Branch(nn.Module):
    """Convolutions one after the other.

    Attributes:
      specs: name -> its convolution.
      norm, dtype: of `Unit3D`.
    """

    specs: dict[str, ConvSpec]
    norm: str | PerReplica
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, T, H, W, in) -> (B, T, H, W, features of the last)."""
        for name, spec in self.specs.items():
            x = Unit3D(spec, self.norm, self.dtype, name=name)(x, train)
        return x


class Mixed(nn.Module):
    """An Inception module: four branches, side by side in the channels.

    Attributes:
      spec: channels of the branches.
      norm, dtype: of `Unit3D`.
    """

    spec: MixedSpec
    norm: str | PerReplica
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, T, H, W, in) -> (B, T, H, W, channels of all branches)."""
        spec = self.spec
        pooled = max_pool_same(x, (3, 3, 3), (1, 1, 1))
        branches = (
            self._branch("Branch_0", spec.branch_0)(x, train),
            self._branch("Branch_1", *spec.branch_1)(x, train),
            self._branch("Branch_2", *spec.branch_2)(x, train),
            self._branch("Branch_3", spec.branch_3)(pooled, train),
        )
        return jnp.concatenate(branches, axis=-1)

    def _branch(self, name, first, second=None):
        # The name counts operations, and the pool of Branch_3 is the first.
        letter = "b" if name == "Branch_3" else "a"
        specs = {f"Conv3d_0{letter}_1x1": ConvSpec(first)}
        if second is not None:
            specs["Conv3d_0b_3x3"] = ConvSpec(second, (3, 3, 3))
        return Branch(specs, self.norm, self.dtype, name=name)


class InceptionI3d(nn.Module):
    """The network up to an end point.

    Attributes:
      final: the last end point.
      norm: `BatchNorm.mode`; 'frozen' in frozen stages.
      frozen_stages: the stem (0) and this many stages get no gradient, and their
        statistics are not updated; below 0: none.
      remat: stages whose Inception modules recompute activations in the backward
        pass.
      dtype: of the computation.
    """

    final: str = "Mixed_4f"
    norm: str | PerReplica = "global"
    frozen_stages: int = -1
    remat: tuple[int, ...] = ()
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, T, H, W, 3) in [-1, 1] -> map of the final end point.

        'Mixed_4f' is (B, T / 4, H / 16, W / 16, 832), 'Mixed_5c'
        (B, T / 8, H / 32, W / 32, 1024), sizes rounded up.
        """
        for name, spec in END_POINTS.items():
            x = self._layer(name, spec, x, train)
            if stage(name) <= self.frozen_stages + 1:
                x = jax.lax.stop_gradient(x)
            if name == self.final:
                break
        return x

    def _layer(self, name, spec, x, train):
        if isinstance(spec, PoolSpec):
            x = max_pool_same(x, spec.window, spec.strides)
            self.sow("intermediates", name, x)
            return x
        norm = "frozen" if stage(name) <= self.frozen_stages + 1 else self.norm
        cls = Unit3D if isinstance(spec, ConvSpec) else Mixed
        if stage(name) in self.remat:
            # `train`, argument 2 after the module and x, is a Python bool.
            cls = nn.remat(cls, static_argnums=(2,))
        return cls(spec, norm, self.dtype, name=name)(x, train)


class I3dRecognizer(nn.Module):
    """Scores whole clips: the network that was trained on Kinetics.

    Attributes:
      num_classes: 400 for Kinetics-400.
      dtype: of the computation.
    """

    num_classes: int = 400
    dtype: str = "float32"

    @nn.compact
    def __call__(self, clips: jax.Array) -> jax.Array:
        """Logits (B, num_classes) of clips (B, T, H, W, 3) in [-1, 1], T at least 9.

        The original takes 224 x 224 pixels; a larger map is averaged as a whole.
        """
        backbone = InceptionI3d("Mixed_5c", "frozen", dtype=self.dtype, name="backbone")
        x = backbone(clips, False).mean((2, 3), keepdims=True)
        # The mean over windows of two frames counts the first and last frame half.
        x = (x[:, :-1] + x[:, 1:]) / 2
        head = Conv(self.num_classes, bias=True, dtype=self.dtype, name="Logits")
        return head(x).mean((1, 2, 3))
