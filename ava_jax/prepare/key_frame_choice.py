"""Which key frames to annotate next, by what a model says of them.

Three measures, each of a person with the scores p_1 to p_C:

* uncertain: the mean over the actions of the entropy of a yes or no,
  -p log2 p - (1 - p) log2(1 - p), in bits. It is 1 where every score is 0.5.
  (Settles, "Active Learning Literature Survey", 2009, section 3.1.)
* rare: the greatest p_c log2(1 / f_c), in bits, where f_c is the mean of the scores of
  action c over all people: a probable action weighs the more, the rarer it is. (Inverse
  document frequency: Sparck Jones, "A statistical interpretation of term specificity",
  1972.)
* changing: the greatest |p_c - q_c|, where q are the scores of the same person at the
  key frame before or after: one of the two is wrong, or an action begins. (After Bengar
  et al., "Temporal Coherence for Active Learning in Videos", 2019.)

A key frame has the greatest of its people. As the measures have different units, each
is replaced by the share of the key frames that have less, and the greatest of the three
shares is the value; the measure that gave it is the reason.

Key frames that lie side by side show nearly the same. They are therefore taken one by
one: the greatest value times d / (d + 1), where d is the distance to the nearest that
was taken of this video, in key frames (1 while there is none). Videos take turns: each
gives its best one, then each its second.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

UNCERTAIN, RARE, CHANGING = "uncertain", "rare action", "changes to its neighbour"
SPREAD = "spread over the video"
_REASONS = (UNCERTAIN, RARE, CHANGING)


class Choice(NamedTuple):
    """A key frame to annotate.

    Attributes:
      frame: its number.
      reason: one of this module's constants.
      value: the share of the key frames that have less of it; 0 without scores.
    """

    frame: int
    reason: str
    value: float


def choose(
    video: np.ndarray, frame: np.ndarray, person: np.ndarray, scores: np.ndarray
) -> list[Choice]:
    """Orders all key frames, the most useful first.

    Args:
      video: (F,) int, number of the video of each key frame; those of a video follow
        each other in the order of time.
      frame: (R,) int, number of the key frame of each person seen.
      person: (R,) int, who it is; the same person has the same number in a video.
      scores: (R, C) of the actions, 0 to 1. C may be 0: then the order is that of the
        spread alone.

    Returns:
      F choices.
    """
    video = np.asarray(video, np.int64)
    measures = np.stack(
        [
            _greatest(rows, frame, len(video))
            for rows in (
                entropy(scores),
                rarity(scores),
                change(video, frame, person, scores),
            )
        ]
    )
    shares = np.stack([_share_below(measure) for measure in measures])
    value, reason = shares.max(0, initial=0), shares.argmax(0)
    return [
        Choice(i, _REASONS[reason[i]] if value[i] else SPREAD, float(value[i]))
        for i in _in_turns(video, value)
    ]


def entropy(scores: np.ndarray) -> np.ndarray:
    """(R,) mean entropy of the scores (R, C), bits."""
    p = np.clip(np.asarray(scores, np.float64), 1e-12, 1 - 1e-12)
    bits = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
    return bits.sum(1) / max(p.shape[1], 1)


def rarity(scores: np.ndarray) -> np.ndarray:
    """(R,) greatest score times information of its action, of scores (R, C), bits."""
    p = np.asarray(scores, np.float64)
    if not len(p):
        return np.zeros(0)
    frequency = np.clip(p.mean(0), 1e-12, 1)
    return (p * -np.log2(frequency)).max(1, initial=0)


def change(
    video: np.ndarray, frame: np.ndarray, person: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    """(R,) greatest difference of a score to the key frames beside; see `choose`."""
    keys = {
        (int(f), int(n)): row
        for row, (f, n) in enumerate(zip(frame, person, strict=True))
    }
    changes = np.zeros(len(scores))
    for (f, n), row in keys.items():
        other = keys.get((f + 1, n))
        if other is not None and video[f] == video[f + 1]:
            gap = np.abs(np.subtract(scores[row], scores[other])).max(initial=0)
            changes[[row, other]] = np.maximum(changes[[row, other]], gap)
    return changes


def _greatest(rows: np.ndarray, frame: np.ndarray, frames: int) -> np.ndarray:
    """(F,) the greatest of the people of every key frame; 0 if it has none."""
    greatest = np.zeros(frames)
    np.maximum.at(greatest, np.asarray(frame, np.int64), rows)
    return greatest


def _share_below(values: np.ndarray) -> np.ndarray:
    # Rounded, so that the last bit of a sum does not rank equal key frames.
    values = values.round(9)
    return np.searchsorted(np.sort(values), values) / max(len(values), 1)


def _in_turns(video: np.ndarray, value: np.ndarray) -> list[int]:
    """Numbers of the key frames: the best of each video, then the second best."""
    ranked = [_spread(np.flatnonzero(video == v), value) for v in np.unique(video)]
    turns = max(map(len, ranked), default=0)
    order: list[int] = []
    for turn in range(turns):
        there = [one[turn] for one in ranked if turn < len(one)]
        order += sorted(there, key=lambda i: -value[i])
    return order


def _spread(frames: np.ndarray, value: np.ndarray) -> Sequence[int]:
    """The key frames of a video by their value, those beside a taken one later."""
    # Without any scores all are equal, and distance alone counts.
    worth = value[frames] + 1e-9
    place = np.arange(len(frames))
    distance = np.ones(len(frames))
    left = np.ones(len(frames), bool)
    order = []
    while left.any():
        best = int(np.argmax(np.where(left, worth * distance / (distance + 1), -1)))
        gaps = np.abs(place - best).astype(float)
        distance = np.minimum(distance, gaps) if order else gaps
        left[best] = False
        order.append(int(frames[best]))
    return order
