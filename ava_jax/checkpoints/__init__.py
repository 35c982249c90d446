"""Checkpoints: reading, writing, converting."""

from ava_jax.checkpoints.pytorch.converter import convert_state_dict
from ava_jax.checkpoints.pytorch.reader import read_pytorch

__all__ = ["convert_state_dict", "read_pytorch"]
