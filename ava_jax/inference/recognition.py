"""What I3D sees in a video: Kinetics' actions of whole clips."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np

from ava_jax.models.i3d import I3dRecognizer
from ava_jax.models.preprocessing import Normalization
from ava_jax.video.reader import VideoFrame
from ava_jax.video.resample import at_rate
from ava_jax.video.resize import resize_frame

# As in Kinetics: frames a second, and the shorter side of a clip.
FPS = 25.0
_SHORT_SIDE = 224
_NORMALIZE = Normalization((127.5,) * 3, (127.5,) * 3)


def recognize(
    variables: dict[str, Any], frames: Iterable[VideoFrame], clip_len: int = 64
) -> Iterator[tuple[float, np.ndarray]]:
    """Scores the clips of a video, one after the other.

    Args:
      variables: of `I3dRecognizer`.
      frames: of a video; taken at 25 frames a second.
      clip_len: frames of a clip, at least 9. The last clip is filled with its last
        frame.

    Yields:
      Start of the clip in seconds, and (classes,) float32 probabilities.
    """

    @jax.jit
    def score(variables, clip):
        logits = I3dRecognizer().apply(variables, _NORMALIZE(clip)[None])
        return jax.nn.softmax(logits)[0]

    resampled = (resize_frame(f.rgb, _SHORT_SIDE) for _, f in at_rate(frames, FPS))
    start = 0.0
    while clip := list(itertools.islice(resampled, clip_len)):
        clip += [clip[-1]] * (clip_len - len(clip))
        yield start, np.asarray(score(variables, np.stack(clip)))
        start += clip_len / FPS
