"""Who does what when in the miniature: tracks of states over time."""

import bisect
import dataclasses

import numpy as np

# Shares of the states, as decks that each movie deals completely, so that a few
# movies have every action. "stand" and "walk" are equally frequent, and so are
# "raised" and "wave": one frame does not distinguish them, and frequency must not.
POSE_DECK = ("stand", "walk", "stand", "walk", "sit", "jump", "lie")
ARM_DECK = ("down", "raised", "wave")
HAND_DECK = ("empty", "empty", "hold")

_RAMP = 0.4  # duration of a change, s
_SPELL = (3, 6)  # whole seconds between changes, ends included
_CHANGE_AT = (0.42, 0.5)  # a change is this far into its second


@dataclasses.dataclass(frozen=True)
class Track:
    """One figure's states: `states[i]` lasts until `changes[i]` seconds."""

    states: tuple[str, ...]
    changes: tuple[float, ...]

    def at(self, time: float) -> str:
        """The state at `time`, in seconds from the movie's beginning."""
        return self.states[bisect.bisect(self.changes, time)]

    def weight(self, time: float, *states: str) -> float:
        """How far the figure is in one of `states`: 0 to 1, smooth at a change."""
        before = self.at(time - _RAMP / 2) in states
        after = self.at(time + _RAMP / 2) in states
        if before == after:
            return float(after)
        change = self.changes[bisect.bisect(self.changes, time - _RAMP / 2)]
        x = (time - change) / _RAMP + 0.5
        rise = x * x * (3 - 2 * x)
        return rise if after else 1 - rise

    def clock(self, time: float, state: str) -> float:
        """Seconds spent in `state` until `time`."""
        starts, ends = (0.0, *self.changes), (*self.changes, np.inf)
        spells = zip(self.states, starts, ends, strict=True)
        return sum(max(0.0, min(time, e) - s) for name, s, e in spells if name == state)


def deal(
    rng: np.random.Generator, deck: tuple[str, ...], seconds: int, count: int
) -> list[Track]:
    """Tracks of `count` figures, their states dealt from rounds of `deck`.

    Changes fall near the middle of a second, so that none is within 0.4 s of a
    key frame, and at least 2.5 s apart.
    """
    changes = [_changes(rng, seconds) for _ in range(count)]
    total = sum(len(c) + 1 for c in changes)
    rounds = -(-total // len(deck))
    states = np.concatenate([rng.permutation(deck) for _ in range(rounds)])[:total]
    states = iter(rng.permutation(states).tolist())
    return [Track(tuple(next(states) for _ in range(len(c) + 1)), c) for c in changes]


def _changes(rng: np.random.Generator, seconds: int) -> tuple[float, ...]:
    ends = np.cumsum(rng.integers(_SPELL[0], _SPELL[1] + 1, seconds))
    ends = ends[ends <= seconds - _SPELL[0]]
    return tuple((ends + rng.uniform(*_CHANGE_AT, len(ends))).tolist())
