"""SlowFast: a wide pathway of few frames, fed by a narrow one of many."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ava_jax.errors import UserError
from ava_jax.models.conv import ConvBlock
from ava_jax.models.resnet3d import ResNet3d


class SlowPathway(ResNet3d):
    """A `ResNet3d` with lateral connections from the fast pathway.

    Further attributes:
      fast_ratio: this pathway's channels over the fast one's; a lateral
        doubles those of the fast one.
      lateral_kernel: frames that a lateral's kernel covers.
      lateral_norm: normalise laterals, with a ReLU (PySlowFast), or leave them
        bare (MMAction2).
      time_stride: frames of the fast pathway over frames of this one.
    """

    fast_ratio: int = 8
    lateral_kernel: int = 5
    lateral_norm: bool = False
    time_stride: int = 8

    def setup(self) -> None:
        """Makes the layers, under the names of MMAction2's keys."""
        super().setup()
        self.conv1_lateral = self._make_lateral(0)
        self.layer1_lateral = self._make_lateral(1)
        self.layer2_lateral = self._make_lateral(2)
        self.layer3_lateral = self._make_lateral(3)

    def _make_lateral(self, i):
        source = self.width if i == 0 else self.stages[i - 1].channels
        frozen = i <= self.frozen_stages
        norm = "frozen" if frozen else self.stages[i].norm
        return ConvBlock(
            source * 2 // self.fast_ratio,
            (self.lateral_kernel, 1, 1),
            (self.time_stride, 1, 1),
            norm=norm if self.lateral_norm else "",
            relu=self.lateral_norm,
            dtype=self.dtype,
        )

    def fuse(self, i: int, slow: jax.Array, fast: jax.Array, train: bool) -> jax.Array:
        """Concatenates the lateral after the stem (i = 0) or stage i to `slow`."""
        laterals = (
            self.conv1_lateral,
            self.layer1_lateral,
            self.layer2_lateral,
            self.layer3_lateral,
        )
        lateral = self.freeze(i, laterals[i](fast, train))
        return jnp.concatenate([slow, lateral], axis=-1)


class SlowFast(nn.Module):
    """Two pathways (Feichtenhofer et al., 1812.03982; `ResNet3dSlowFast`).

    Attributes:
      slow_path: gets every `slow_path.time_stride`-th frame.
      fast_path: gets all frames.
      slow_sampling: which frames are slow: 'stride', 0, s, 2 s, ...
        (MMAction2); 'linspace', evenly from the first to the last (PySlowFast).
    """

    slow_path: SlowPathway
    fast_path: ResNet3d
    slow_sampling: str = "stride"

    def __call__(self, clips: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        """(B, T, H, W, 3) -> maps of both pathways, slow one first.

        Raises:
          UserError: T is no multiple of the slow pathway's stride.
        """
        indices = slow_frames(
            clips.shape[1], self.slow_path.time_stride, self.slow_sampling
        )
        slow = self.slow_path.stem(clips[:, indices], train)
        fast = self.fast_path.stem(clips, train)
        for i in range(4):
            slow = self.slow_path.fuse(i, slow, fast, train)
            slow = self.slow_path.stage(i, slow, train)
            fast = self.fast_path.stage(i, fast, train)
        return slow, fast


def slow_frames(clip_len: int, stride: int, sampling: str) -> np.ndarray:
    """Indices of the clip's frames that the slow pathway gets.

    Raises:
      UserError: `clip_len` is no multiple of `stride`.
    """
    if clip_len % stride:
        raise UserError(
            f"A clip of {clip_len} frames cannot be thinned by "
            f"config.model.slow_stride = {stride}: make config.data.clip_len a "
            f"multiple of it, for example {-(-clip_len // stride) * stride}."
        )
    count = clip_len // stride
    if sampling == "stride":
        return np.arange(0, clip_len, stride)
    # torch.linspace counts in float32, from both ends, and is then truncated.
    step = np.float32(clip_len - 1) / np.float32(max(count - 1, 1))
    i = np.arange(count, dtype=np.float32)
    from_end = np.float32(clip_len - 1) - step * (count - 1 - i)
    from_start = i < max(count // 2, 1)
    return np.where(from_start, step * i, from_end).astype(np.int32)
