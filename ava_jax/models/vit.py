"""VideoMAE's vision transformer (Tong et al., arXiv:2203.12602).

A clip is cut into tubelets of 2 frames x 16 x 16 pixels, and every token attends to
every other one (MMAction2 `VisionTransformer` with `return_feat_map`).
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ava_jax.errors import UserError
from ava_jax.models.attention import attention
from ava_jax.models.precision import at_least_float32

TUBELET = (2, 16, 16)  # frames, height, width
# Tokens of the clips that VideoMAE was trained on: 16 frames of 224 x 224 pixels.
GRID = (8, 14, 14)
_EPSILON = 1e-6
_MLP_RATIO = 4
# torch's `trunc_normal_(std=0.02)` cuts at 2, a hundred deviations away.
_LINEAR = nn.initializers.normal(0.02)


@dataclasses.dataclass(frozen=True)
class Size:
    """Channels of a token, number of blocks, heads of the attention."""

    width: int
    depth: int
    heads: int


# 'mini' is for tests and the miniature; the others are VideoMAE's.
SIZES = {
    "mini": Size(64, 4, 2),
    "small": Size(384, 12, 6),
    "base": Size(768, 12, 12),
    "large": Size(1024, 24, 16),
    "huge": Size(1280, 32, 16),
}


def stage(block: int, depth: int) -> int:
    """The quarter of the network, 1 to 4, that a block is in."""
    return 4 * block // depth + 1


def layer_numbers(params: dict) -> dict:
    """The layer of every parameter of a detector, as layer decay counts them.

    0 is the patch embedding, i + 1 is block i, and what comes after the blocks is the
    last one.

    Args:
      params: of the detector.

    Returns:
      A tree of whole numbers like `params`.
    """
    last = len(params["backbone"]["blocks"]) + 1

    def number(path, _):
        keys = [entry.key for entry in path[:3]]
        if keys[:2] == ["backbone", "patch_embed"]:
            return 0
        if keys[:2] == ["backbone", "blocks"]:
            return int(keys[2]) + 1
        return last

    return jax.tree.map_with_path(number, params)


# ------------------------------------------------------------------- positions
def position_table(width: int) -> np.ndarray:
    """Sines and cosines of the token's number: (1, tokens, width) float32.

    One table over the tokens in their order, not one for each axis.
    """
    channel = np.arange(width)
    rates = 10000.0 ** (-(channel - channel % 2) / width)
    angles = np.arange(np.prod(GRID))[:, None] * rates
    table = np.where(channel % 2, np.cos(angles), np.sin(angles))
    return table[None].astype(np.float32)


def resize_table(table: jax.Array, grid: tuple[int, int, int]) -> jax.Array:
    """The position table for another height and width: (T', h, w, width).

    Args:
      table: (1, tokens, width), of `GRID`.
      grid: tokens in time, height and width.
    """
    table = table.reshape(*GRID, -1)
    if grid == GRID:
        return table
    down, across = (bicubic(n, cells) for n, cells in zip(grid[1:], GRID[1:]))
    # An error here moves every token, and the product is small.
    return jnp.einsum(
        "tijc,hi,wj->thwc",
        table,
        down.astype(table.dtype),
        across.astype(table.dtype),
        precision="highest",
    )


def bicubic(size: int, cells: int) -> np.ndarray:
    """Weights (size, cells) of torch's bicubic interpolation of `cells` values.

    As `F.interpolate(mode='bicubic', align_corners=False)`: a = -0.75, half-pixel
    centres, edges clamped, and no antialiasing. `jax.image.resize` differs in all but
    the centres.
    """
    centre = (np.arange(size) + 0.5) * cells / size - 0.5
    first = np.floor(centre).astype(int)
    weights = np.zeros((size, cells))
    for cell in range(-1, 3):
        weight = _cubic(np.abs(centre - first - cell))
        nearest = np.clip(first + cell, 0, cells - 1)
        # Beyond an edge, several fall on one cell: they are summed.
        np.add.at(weights, (np.arange(size), nearest), weight)
    return weights


def _cubic(x, a=-0.75):
    """Keys' kernel at distances 0 to 2."""
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, far)


# -------------------------------------------------------------------- drop path
def drop_path(branch: jax.Array, draws: jax.Array, rate: float) -> jax.Array:
    """Drops a residual branch of some clips (Huang et al., arXiv:1603.09382).

    Args:
      branch: (B, N, C).
      draws: (B,) uniform in [0, 1).
      rate: share of the clips; the others are divided by 1 - rate.
    """
    kept = jnp.floor(draws + (1 - rate)) / (1 - rate)
    return branch * kept.astype(branch.dtype)[:, None, None]


def drop_path_draws(key: jax.Array, clips: int) -> jax.Array:
    """(clips,) numbers for `drop_path`."""
    return jax.random.uniform(key, (clips,))


# ---------------------------------------------------------------------- modules
class Projection(nn.Module):
    """A 3D convolution whose stride is its kernel's size: a product per tubelet."""

    width: int
    dtype: str

    @nn.compact
    def __call__(self, clips: jax.Array) -> jax.Array:
        """(B, T, H, W, 3) -> (B, tokens, width); what fills no tubelet is cut off."""
        batch, channels = clips.shape[0], clips.shape[-1]
        shape = (*TUBELET, channels, self.width)
        inputs = int(np.prod(shape[:-1]))
        bound = inputs**-0.5  # of torch's convolutions

        def init(key, shape):
            return jax.random.uniform(key, shape, minval=-bound, maxval=bound)

        kernel = self.param("kernel", init, shape)
        bias = self.param("bias", init, (self.width,))
        t, h, w = (n // k for n, k in zip(clips.shape[1:4], TUBELET))
        k_t, k_h, k_w = TUBELET
        clips = clips[:, : t * k_t, : h * k_h, : w * k_w]
        tubelets = clips.reshape(batch, t, k_t, h, k_h, w, k_w, channels)
        tubelets = tubelets.transpose(0, 1, 3, 5, 2, 4, 6, 7).astype(self.dtype)
        tokens = tubelets.reshape(batch, t * h * w, inputs)
        kernel = kernel.reshape(inputs, self.width).astype(self.dtype)
        return tokens @ kernel + bias.astype(self.dtype)


class PatchEmbed(nn.Module):
    """Tubelets as tokens, in the order of time, row and column."""

    width: int
    dtype: str

    @nn.compact
    def __call__(self, clips: jax.Array) -> jax.Array:
        """(B, T, H, W, 3) -> (B, tokens, width)."""
        return Projection(self.width, self.dtype, name="projection")(clips)


class Attention(nn.Module):
    """Multi-head attention of all tokens; q and v have a bias, k has none."""

    heads: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, N, C) -> the same shape."""
        batch, tokens, width = x.shape
        zeros = nn.initializers.zeros
        q_bias = self.param("q_bias", zeros, (width,))
        v_bias = self.param("v_bias", zeros, (width,))
        qkv = _dense(3 * width, self.dtype, "qkv", use_bias=False)(x)
        bias = jnp.concatenate([q_bias, jnp.zeros_like(q_bias), v_bias])
        qkv = qkv + bias.astype(qkv.dtype)
        heads = (batch, tokens, self.heads, width // self.heads)
        q, k, v = (part.reshape(heads) for part in jnp.split(qkv, 3, axis=-1))
        out = attention(q, k, v).reshape(x.shape)
        return _dense(width, self.dtype, "proj")(out)


class _Hidden(nn.Module):
    """The first layer of `Mlp`, with its activation."""

    width: int
    dtype: str

    @nn.compact
    def __call__(self, x):
        return nn.gelu(_dense(self.width, self.dtype, "0")(x), approximate=False)


class _Layers(nn.Module):
    """The layers of `Mlp`."""

    dtype: str

    @nn.compact
    def __call__(self, x):
        width = x.shape[-1]
        x = _Hidden(_MLP_RATIO * width, self.dtype, name="0")(x)
        return _dense(width, self.dtype, "1")(x)


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them (mmcv's `FFN`)."""

    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, N, C) -> the same shape."""
        return _Layers(self.dtype, name="layers")(x)


def add_branch(x: jax.Array, branch: jax.Array) -> jax.Array:
    """The sum of two arrays (B, N, C), N a multiple of `GRID[0]`.

    XLA for CPUs fuses an addition with all that reads its result. What needs x, or its
    gradient, would add up the branches of all blocks before it, or after it: training
    ViT-B took 1.5 times as long. XLA does not look into a loop.
    """
    return jax.lax.platform_dependent(x, branch, cpu=_add_in_a_loop, default=jnp.add)


def _add_in_a_loop(x, branch):
    def frames(x):
        return x.reshape(x.shape[0], GRID[0], -1, x.shape[-1]).swapaxes(0, 1)

    sums = jax.lax.map(lambda pair: jnp.add(*pair), (frames(x), frames(branch)))
    return sums.swapaxes(0, 1).reshape(x.shape)


class Block(nn.Module):
    """Attention and MLP, each normalised before and added to the tokens.

    Attributes:
      heads: of the attention.
      drop_path: rate of `drop_path`, in training.
      dtype: of the computation; the tokens' sum is at least float32.
    """

    heads: int
    drop_path: float
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, N, C) -> the same shape."""
        attend = Attention(self.heads, self.dtype, name="attn")
        mlp = Mlp(self.dtype, name="mlp")
        x = add_branch(x, self._dropped(attend(_norm(self.dtype, "norm1")(x)), train))
        return add_branch(x, self._dropped(mlp(_norm(self.dtype, "norm2")(x)), train))

    def _dropped(self, branch, train):
        if not train or not self.drop_path:
            return branch
        draws = drop_path_draws(self.make_rng("dropout"), branch.shape[0])
        return drop_path(branch, draws, self.drop_path)


class Blocks(nn.Module):
    """The blocks; attributes as of `VisionTransformer`."""

    size: Size
    drop_path: float
    frozen_stages: int
    remat: tuple[int, ...]
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, N, C) -> the same shape."""
        depth = self.size.depth
        rates = np.linspace(0, self.drop_path, depth)
        # `train`, argument 2 after the module and x, is a Python bool.
        recomputed = nn.remat(Block, static_argnums=(2,))
        for i, rate in enumerate(rates):
            number = stage(i, depth)
            cls = recomputed if number + 1 in self.remat else Block
            block = cls(self.size.heads, float(rate), self.dtype, name=str(i))
            x = block(x, train)
            if number <= self.frozen_stages:
                x = jax.lax.stop_gradient(x)
        return x


def pad_to_patches(clips: jax.Array) -> jax.Array:
    """Clips (B, T, H, W, 3), with zeros below and to the right up to whole patches."""
    sides = zip(clips.shape[2:4], TUBELET[1:])
    below, right = (-size % patch for size, patch in sides)
    return jnp.pad(clips, ((0, 0), (0, 0), (0, below), (0, right), (0, 0)))


class VisionTransformer(nn.Module):
    """The network up to its final normalisation.

    The position table is a variable of `batch_stats`: it is in checkpoints, but not
    trained.

    Attributes:
      size: of the network.
      drop_path: rate of the last block; it grows linearly from 0 at the first one.
      frozen_stages: the patch embedding (0) and this many quarters of the blocks get
        no gradient; below 0: none.
      remat: which quarters, counted from 2 as the stages of ResNets, recompute
        activations in the backward pass.
      pad: fill clips up to whole patches (VideoMAE-Action-Detection).
      dtype: of the computation.
    """

    size: Size
    drop_path: float = 0.0
    frozen_stages: int = -1
    remat: tuple[int, ...] = ()
    pad: bool = False
    dtype: str = "float32"

    @nn.compact
    def __call__(self, clips: jax.Array, train: bool) -> jax.Array:
        """(B, 16, H, W, 3) -> (B, 8, H / 16, W / 16, C), rounded down, or up if `pad`.

        Raises:
          UserError: the position table does not serve such clips.
        """
        if self.pad:
            clips = pad_to_patches(clips)
        grid, width = token_grid(clips.shape), self.size.width
        tokens = PatchEmbed(width, self.dtype, name="patch_embed")(clips)
        if self.frozen_stages >= 0:
            tokens = jax.lax.stop_gradient(tokens)
        table = self.variable(
            "batch_stats", "pos_embed", lambda: jnp.asarray(position_table(width))
        )
        positions = resize_table(table.value, grid)
        self.sow("intermediates", "pos_embed_interpolated", positions)
        tokens = at_least_float32(tokens)
        tokens = tokens + positions.reshape(1, -1, width).astype(tokens.dtype)
        self.sow("intermediates", "tokens", tokens)
        blocks = Blocks(
            self.size,
            self.drop_path,
            self.frozen_stages,
            self.remat,
            self.dtype,
            name="blocks",
        )
        tokens = _norm(self.dtype, "norm")(blocks(tokens, train))
        return tokens.reshape(clips.shape[0], *grid, width)


def token_grid(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Tokens in time, height and width of clips of a shape (B, T, H, W, 3).

    Raises:
      UserError: the position table does not serve such clips.
    """
    frames, height, width = shape[1:4]
    grid = tuple(n // k for n, k in zip(shape[1:4], TUBELET))
    wanted = GRID[0] * TUBELET[0]
    if frames % TUBELET[0]:
        raise UserError(
            f"A clip of {frames} frames cannot be cut into tubelets of {TUBELET[0]} "
            f"frames: set config.data.clip_len to {wanted}."
        )
    if grid[0] != GRID[0]:
        raise UserError(
            f"VideoMAE's position table is for clips of {wanted} frames, and the clip "
            f"has {frames}: set config.data.clip_len to {wanted}."
        )
    if not min(grid):
        raise UserError(
            f"Frames of {height} x {width} pixels hold no patch of {TUBELET[1]} x "
            f"{TUBELET[2]}, so VideoMAE's position table cannot be resized to them: "
            "make config.data.crop or config.data.test_short_side larger."
        )
    return grid


def _dense(features, dtype, name, use_bias=True):
    return nn.Dense(
        features, use_bias=use_bias, dtype=dtype, kernel_init=_LINEAR, name=name
    )


def _norm(dtype, name):
    # Flax's fast variance, of the square's mean, loses digits.
    return nn.LayerNorm(
        epsilon=_EPSILON, dtype=dtype, use_fast_variance=False, name=name
    )
