"""How far a loop is: a bar on a terminal, a line every so often in a log file."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import tqdm

# Seconds from one line to the next in a file, where a bar cannot be drawn.
LINE_EVERY = 30.0
_Item = TypeVar("_Item")


def counted(items: Iterable[_Item], total: int, unit: str) -> Iterator[_Item]:
    """The items, with their number and speed on stderr.

    Args:
      items: what the loop is over.
      total: their number.
      unit: what they are, in the plural.
    """
    if sys.stderr.isatty():
        bar = tqdm.tqdm(items, unit, total, unit_scale=True, dynamic_ncols=True)
        return iter(bar)
    return _with_lines(items, total, unit)


def _with_lines(items, total, unit):
    last = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        if (now := time.monotonic()) - last >= LINE_EVERY:
            last = now
            print(f"{number:,} of {total:,} {unit}", file=sys.stderr, flush=True)
