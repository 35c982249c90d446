"""When people do what: intervals of actions, from scores at key frames."""

from ava_jax.intervals.files import ENDINGS, check_ending, write
from ava_jax.intervals.find import (
    Interval,
    Moment,
    Settings,
    find,
    spacing,
    to_moments,
)
from ava_jax.intervals.results_file import read_results

__all__ = [
    "ENDINGS",
    "Interval",
    "Moment",
    "Settings",
    "check_ending",
    "find",
    "read_results",
    "spacing",
    "to_moments",
    "write",
]
