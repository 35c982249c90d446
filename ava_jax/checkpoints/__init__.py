"""Checkpoints: reading, writing, converting."""

from ava_jax.checkpoints.converter import convert_state_dict
from ava_jax.checkpoints.pytorch_file import read_pytorch

__all__ = ["convert_state_dict", "read_pytorch"]
