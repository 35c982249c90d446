"""Results of key frames as a detector would give them."""

import numpy as np

from ava_jax.inference.video_results import KeyFrameResult

LABELS = ("", "stand", "walk", "talk to (e.g., self, a person, a group)")


def result(time, people, size=(64, 48), grey=90):
    """A result.

    Args:
      time: seconds.
      people: number -> (box, scores of the classes 1, 2 and 3).
      size: width and height of its picture.
      grey: which its picture is.
    """
    boxes = np.array([box for box, _ in people.values()], np.float32).reshape(-1, 4)
    scores = np.zeros((len(people), len(LABELS)), np.float32)
    for row, (_, given) in zip(scores, people.values(), strict=True):
        row[1:] = given
    return KeyFrameResult(
        time=time,
        frame=np.full((size[1], size[0], 3), grey, np.uint8),
        boxes=boxes,
        track_ids=np.array(list(people), np.int64),
        scores=scores,
        labels=LABELS,
        latency=0.5,
    )
