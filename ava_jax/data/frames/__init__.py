"""Stores of frames: folders of JPEG files, packed data sets, video files."""

from ava_jax.data.frames.open import open_frames
from ava_jax.data.frames.store import FrameStore
from ava_jax.errors import BadFrame

__all__ = ["BadFrame", "FrameStore", "open_frames"]
