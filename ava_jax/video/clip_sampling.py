"""Which frames make a clip: MMAction2's `SampleAVAFrames`."""

import dataclasses

import ml_collections
import numpy as np


def first_frame_time(data: ml_collections.ConfigDict) -> float:
    """Seconds of the video files before frame 1.

    Args:
      data: `config.data`.
    """
    return 0 if data.frame_numbers else data.timestamp_start - data.video_start


@dataclasses.dataclass(frozen=True)
class ClipSampling:
    """The frames of a clip around its key frame.

    Attributes:
      fps: frames a second.
      clip_len: frames of a clip.
      interval: frames of the video from one frame of a clip to the next; 0 repeats
        the key frame.
      shift: frames by which the clip is moved.
    """

    fps: float
    clip_len: int
    interval: int
    shift: int = 0

    @classmethod
    def from_config(cls, data: ml_collections.ConfigDict) -> "ClipSampling":
        """The one that `config.data` describes."""
        interval = 0 if data.freeze_motion else data.frame_interval
        return cls(data.fps, data.clip_len, interval, data.frame_shift)

    def offsets(self) -> np.ndarray:
        """(clip_len,) int64, from the key frame, which is number clip_len // 2."""
        steps = np.arange(self.clip_len) - self.clip_len // 2
        return steps * self.interval + self.shift
