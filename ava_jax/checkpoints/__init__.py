"""Checkpoints: reading, writing, converting."""

from ava_jax.checkpoints.pytorch_file import read_pytorch

__all__ = ["read_pytorch"]
