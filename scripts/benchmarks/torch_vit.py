"""VideoMAE's transformer in PyTorch, with its own fused attention.

Parameters have MMAction2's names, as in `torch_detector`.
"""

import ml_collections
import torch
import torch.nn.functional as F
from torch import nn

from ava_jax.models import vit

_EPSILON = 1e-6


class Attention(nn.Module):
    """Attention of all tokens; q and v have a bias."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        """(B, N, C) -> the same shape."""
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        qkv = F.linear(x, self.qkv.weight, bias)
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, width):
        super().__init__()
        first = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU())
        self.layers = nn.Sequential(first, nn.Linear(4 * width, width))

    def forward(self, x):
        """(B, N, C) -> the same shape."""
        return self.layers(x)


class Block(nn.Module):
    """Attention and MLP, with stochastic depth in training."""

    def __init__(self, width, heads, drop_path):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, _EPSILON)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, _EPSILON)
        self.mlp = Mlp(width)
        self.drop_path = drop_path

    def forward(self, x):
        """(B, N, C) -> the same shape."""
        x = x + self._dropped(self.attn(self.norm1(x)))
        return x + self._dropped(self.mlp(self.norm2(x)))

    def _dropped(self, branch):
        if not self.training or not self.drop_path:
            return branch
        kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self.drop_path
        return branch * kept / (1 - self.drop_path)


class VisionTransformer(nn.Module):
    """Clips to one map, as `ava_jax.models.vit.VisionTransformer`."""

    def __init__(self, config: ml_collections.ConfigDict):
        super().__init__()
        size = vit.SIZES[config.vit_size]
        self.patch_embed = nn.Module()
        self.patch_embed.projection = nn.Conv3d(
            3, size.width, vit.TUBELET, stride=vit.TUBELET
        )
        self.register_buffer(
            "pos_embed", torch.from_numpy(vit.position_table(size.width))
        )
        rates = torch.linspace(0, config.drop_path, size.depth).tolist()
        self.blocks = nn.ModuleList(
            Block(size.width, size.heads, rate) for rate in rates
        )
        self.norm = nn.LayerNorm(size.width, _EPSILON)

    def forward(self, clips):
        """(B, 3, 16, H, W) -> a list of one map (B, C, 8, H / 16, W / 16)."""
        tokens = self.patch_embed.projection(clips)
        grid = tokens.shape[2:]
        x = tokens.flatten(2).transpose(1, 2) + self._positions(grid)
        for block in self.blocks:
            x = block(x)
        return [self.norm(x).transpose(1, 2).unflatten(2, grid)]

    def _positions(self, grid):
        table = self.pos_embed[0].T.unflatten(1, vit.GRID).transpose(0, 1)
        table = F.interpolate(table, grid[1:], mode="bicubic", align_corners=False)
        return table.transpose(0, 1).flatten(1).T
