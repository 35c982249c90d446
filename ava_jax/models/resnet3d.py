"""3D residual networks: SlowOnly's backbone and each pathway of SlowFast."""

import dataclasses

import flax.linen as nn
import jax

from ava_jax.models.batch_norm import PerReplica
from ava_jax.models.conv import ConvBlock, max_pool
from ava_jax.models.nonlocal_block import NonLocalBlock

# Depth -> (residual block, blocks of res2..res5). 18 to 152 are MMAction2's; 10,
# 14 and 26 are smaller ones of the same kind.
DEPTHS = {
    10: ("basic", (1, 1, 1, 1)),
    14: ("bottleneck", (1, 1, 1, 1)),
    18: ("basic", (2, 2, 2, 2)),
    26: ("bottleneck", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}
# Output channels of a residual block over its width.
EXPANSION = {"basic": 1, "bottleneck": 4}


@dataclasses.dataclass(frozen=True)
class NonLocal:
    """How the non-local blocks of a network are made (`NonLocalBlock`)."""

    mode: str = "softmax"
    pool: tuple[int, int, int] = (1, 2, 2)


@dataclasses.dataclass(frozen=True)
class StageSpec:
    """One of res2..res5.

    Attributes:
      block: 'basic' or 'bottleneck'.
      blocks: number of residual blocks.
      width: channels inside a block.
      stride: spatial stride of the first block.
      dilation: spatial dilation of the 3x3 convolutions.
      temporal_blocks: this many first blocks have convolutions over neighbouring
        frames too (temporal kernel 3).
      nonlocal_blocks: indices of the blocks that a non-local block follows.
      norm: `BatchNorm.mode`.
      remat: recompute the stage's activations in the backward pass.
    """

    block: str
    blocks: int
    width: int
    stride: int = 1
    dilation: int = 1
    temporal_blocks: int = 0
    nonlocal_blocks: tuple[int, ...] = ()
    norm: str | PerReplica = "global"
    remat: bool = False

    @property
    def channels(self) -> int:
        """Channels of the stage's output."""
        return self.width * EXPANSION[self.block]


class ResidualBlock(nn.Module):
    """A shortcut around two or three convolutions, then perhaps a non-local block.

    MMAction2's `BasicBlock3d` and `Bottleneck3d` (style 'pytorch', inflate style
    '3x1x1').

    Attributes:
      spec: the stage.
      index: place of the block in it.
      nonlocal_kind: of the non-local block.
      dtype: of the computation.
    """

    spec: StageSpec
    index: int
    nonlocal_kind: NonLocal
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, T, H, W, C) -> (B, T, H / stride, W / stride, spec.channels)."""
        spec = self.spec
        stride = spec.stride if self.index == 0 else 1
        temporal = self.index < spec.temporal_blocks
        branch = self._basic if spec.block == "basic" else self._bottleneck
        y = branch(x, train, (1, stride, stride), temporal)
        if x.shape[-1] != spec.channels or stride != 1:
            strides = (1, stride, stride)
            shortcut = self._conv("downsample", spec.channels, (1, 1, 1), strides)
            x = shortcut(x, train)
        x = nn.relu(x + y)
        if self.index in spec.nonlocal_blocks:
            kind = self.nonlocal_kind
            x = NonLocalBlock(
                kind.mode, kind.pool, spec.norm, self.dtype, name="non_local_block"
            )(x, train)
        return x

    def _basic(self, x, train, strides, temporal):
        """Two 3x3 convolutions, 3x3x3 when temporal; the first one strides."""
        width, dilation = self.spec.width, self.spec.dilation
        kernel = (3, 3, 3) if temporal else (1, 3, 3)
        x = self._conv("conv1", width, kernel, strides, dilation, relu=True)(x, train)
        return self._conv("conv2", width, kernel, last=True)(x, train)

    def _bottleneck(self, x, train, strides, temporal):
        """1x1, or (3, 1, 1) when temporal; 3x3, which strides; 1x1."""
        spec = self.spec
        width, dilation = spec.width, spec.dilation
        kernel = (3, 1, 1) if temporal else (1, 1, 1)
        x = self._conv("conv1", width, kernel, relu=True)(x, train)
        middle = self._conv("conv2", width, (1, 3, 3), strides, dilation, relu=True)
        x = middle(x, train)
        return self._conv("conv3", spec.channels, (1, 1, 1), last=True)(x, train)

    def _conv(
        self,
        name,
        features,
        kernel,
        strides=(1, 1, 1),
        dilation=1,
        relu=False,
        last=False,
    ):
        # The last scale of a branch starts at zero: the block is its shortcut
        # (MMAction2's `zero_init_residual`, on by default).
        return ConvBlock(
            features,
            kernel,
            strides,
            dilation,
            norm=self.spec.norm,
            relu=relu,
            zero_scale=last,
            dtype=self.dtype,
            name=name,
        )


class Stage(nn.Module):
    """The residual blocks of `spec`."""

    spec: StageSpec
    nonlocal_kind: NonLocal
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, T, H, W, C) -> (B, T, H / stride, W / stride, spec.channels)."""
        for i in range(self.spec.blocks):
            block = ResidualBlock(
                self.spec, i, self.nonlocal_kind, self.dtype, name=str(i)
            )
            x = block(x, train)
        return x


class ResNet3d(nn.Module):
    """A stem and four stages (MMAction2 `ResNet3d`, no second pool).

    Attributes:
      width: channels of the stem.
      stem_time: frames that the stem's 7x7 kernel covers.
      stages: res2..res5.
      frozen_stages: the stem (0) and this many stages get no gradient; below 0,
        none. Their `norm` should be 'frozen'.
      stem_norm: `BatchNorm.mode` of the stem.
      nonlocal_kind: of the non-local blocks.
      dtype: of the computation.
    """

    width: int
    stem_time: int
    stages: tuple[StageSpec, StageSpec, StageSpec, StageSpec]
    frozen_stages: int = -1
    stem_norm: str | PerReplica = "global"
    nonlocal_kind: NonLocal = NonLocal()
    dtype: str = "float32"

    def setup(self) -> None:
        """Makes the layers, under the names of MMAction2's keys."""
        self.conv1 = ConvBlock(
            self.width,
            (self.stem_time, 7, 7),
            (1, 2, 2),
            norm=self.stem_norm,
            dtype=self.dtype,
        )
        self.layer1 = self._make_stage(0)
        self.layer2 = self._make_stage(1)
        self.layer3 = self._make_stage(2)
        self.layer4 = self._make_stage(3)

    def _make_stage(self, i):
        # `train`, argument 2 after the module and x, is a Python bool.
        remat = nn.remat(Stage, static_argnums=(2,))
        cls = remat if self.stages[i].remat else Stage
        return cls(self.stages[i], self.nonlocal_kind, self.dtype)

    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, T, H, W, 3) -> (B, T, H / 16, W / 16, C); / 32 if res5 strides."""
        x = self.stem(x, train)
        for i in range(4):
            x = self.stage(i, x, train)
        return x

    def stem(self, x: jax.Array, train: bool) -> jax.Array:
        """Convolution and max pool: (B, T, H, W, 3) -> (B, T, H / 4, W / 4, C)."""
        x = max_pool(self.conv1(x, train))
        self.sow("intermediates", "maxpool", x)
        return self.freeze(0, x)

    def stage(self, i: int, x: jax.Array, train: bool) -> jax.Array:
        """Stage `i` of 0..3, that is res2..res5."""
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        return self.freeze(i + 1, layers[i](x, train))

    def freeze(self, i: int, x: jax.Array) -> jax.Array:
        """Stops the gradient after the stem (0) or stage `i` if that is frozen."""
        return jax.lax.stop_gradient(x) if i <= self.frozen_stages else x
