"""Who does what when in the miniature: tracks of states over time."""

import bisect
import dataclasses

import numpy as np

POSES = ("stand", "walk", "sit", "jump", "lie")
ARMS = ("down", "raised", "wave")
HANDS = ("empty", "hold")

# Shares of the states, as decks of which each movie deals whole rounds: even a
# few movies then hold every action. "stand" and "walk", and "raised" and
# "wave", are equally frequent: of two states that one frame cannot tell apart,
# neither may be the better guess.
POSE_DECK = ("stand", "walk", "stand", "walk", "sit", "jump", "lie")
ARM_DECK = ("down", "raised", "wave")
HAND_DECK = ("empty", "empty", "hold")

_RAMP = 0.2  # half the duration of a change, s
_SEGMENT = (3, 6)  # whole seconds between changes, ends included
_CHANGE_AT = (0.42, 0.5)  # a change is this far into its second


@dataclasses.dataclass(frozen=True)
class Track:
    """One figure's states: `states[i]` lasts until `changes[i]` seconds."""

    states: tuple[str, ...]
    changes: tuple[float, ...]

    def at(self, time: float) -> str:
        """The state at `time`, in seconds from the movie's beginning."""
        return self.states[bisect.bisect(self.changes, time)]

    def weight(self, times: np.ndarray, *states: str) -> np.ndarray:
        """How far the figure is in one of `states`.

        Args:
          times: (T,) seconds.
          *states: The states that count.

        Returns:
          (T,) values from 0 to 1 which ramp smoothly around each change. The
          weights of all states sum to 1.
        """
        bounds = (-np.inf, *self.changes, np.inf)
        weight = np.zeros_like(times)
        for state, start, end in zip(self.states, bounds[:-1], bounds[1:], strict=True):
            if state in states:
                weight += _ramp(times - start) - _ramp(times - end)
        return weight


def deal(
    rng: np.random.Generator, deck: tuple[str, ...], seconds: int, count: int
) -> list[Track]:
    """Tracks of `count` figures, their states dealt from rounds of `deck`.

    Changes fall near the middle of a second, so that none is within 0.4 s of a
    key frame, and at least 2.5 s apart.

    Args:
      rng: Source of the tracks.
      deck: States of one round; a state that is there twice is twice as likely.
      seconds: Duration of the movie.
      count: Number of tracks.

    Returns:
      `count` tracks.
    """
    changes = [_changes(rng, seconds) for _ in range(count)]
    total = sum(len(c) + 1 for c in changes)
    rounds = -(-total // len(deck))
    states = np.concatenate([rng.permutation(deck) for _ in range(rounds)])[:total]
    states = iter(rng.permutation(states).tolist())
    return [Track(tuple(next(states) for _ in range(len(c) + 1)), c) for c in changes]


def _changes(rng: np.random.Generator, seconds: int) -> tuple[float, ...]:
    changes = []
    second = int(rng.integers(_SEGMENT[0], _SEGMENT[1] + 1))
    while second <= seconds - _SEGMENT[0]:
        changes.append(second + float(rng.uniform(*_CHANGE_AT)))
        second += int(rng.integers(_SEGMENT[0], _SEGMENT[1] + 1))
    return tuple(changes)


def _ramp(times: np.ndarray) -> np.ndarray:
    x = np.clip((times + _RAMP) / (2 * _RAMP), 0, 1)
    return x * x * (3 - 2 * x)
