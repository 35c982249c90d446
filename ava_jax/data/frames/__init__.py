"""Stores of frames: folders of JPEG files, packed data sets, video files."""

from ava_jax.data.frames.open import open_frames
from ava_jax.data.frames.store import BadFrame, FrameStore

__all__ = ["BadFrame", "FrameStore", "open_frames"]
