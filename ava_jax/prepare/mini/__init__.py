"""The built-in miniature: short rendered movies in AVA's format."""

from ava_jax.prepare.mini.generate import ACTIONS, SPLITS, MiniSpec, generate

__all__ = ["ACTIONS", "SPLITS", "MiniSpec", "generate"]
