"""Which operations of a program take longest, from a trace of one run."""

import collections
import pathlib
import tempfile
from collections.abc import Callable

import jax

# Lines of a trace on which operations are, by the start of their name: a GPU's, a
# TPU's, a CPU's.
_LINES = ("Stream #", "XLA Ops", "tf_XLA")
# Of a CPU: what runs the operations, and waits for them.
_FRAMES = "ThunkExecutor"


def longest(call: Callable[[int], None], count: int) -> list[dict[str, float | str]]:
    """The operations of `call(1)` that take longest, over all their runs.

    Args:
      call: runs a program a number of times, and waits.
      count: how many operations are listed.

    Returns:
      `name`, `ms` and `share` of all operations' time, the longest first.
    """
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            call(1)
        path = next(pathlib.Path(folder).rglob("*.xplane.pb"))
        nanoseconds = _by_name(jax.profiler.ProfileData.from_file(str(path)))
    total = sum(nanoseconds.values())
    return [
        {"name": name, "ms": spent / 1e6, "share": spent / total}
        for name, spent in nanoseconds.most_common(count)
    ]


def _by_name(trace) -> collections.Counter:
    lines = [line for plane in trace.planes for line in plane.lines]
    for start in _LINES:
        found = collections.Counter()
        for line in lines:
            if line.name.startswith(start):
                for event in line.events:
                    if not event.name.startswith(_FRAMES):
                        found[event.name] += event.duration_ns
        if found:
            break
    return found
