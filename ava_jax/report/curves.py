"""Reduces the number of points of precision-recall curves."""

import numpy as np

from ava_jax.metrics.ava_map import Curve

_TOLERANCE = 0.002  # of precision; half a pixel of a chart 250 pixels high


def thin(curve: Curve) -> Curve:
    """Removes points that do not change how the curve looks.

    With straight lines between the remaining points, the precision differs by at most
    0.002 from that of the full curve (Douglas and Peucker, 1973, with vertical
    distances). The first and the last point remain.
    """
    x, y = curve.recall, curve.precision
    keep = np.zeros(len(x), bool)
    keep[[0, -1] if len(x) else []] = True
    # A stack instead of recursion, which could become too deep for long curves.
    parts = [(0, len(x) - 1)]
    while parts:
        first, last = parts.pop()
        if last - first < 2:
            continue
        inside = slice(first + 1, last)
        line = np.interp(x[inside], x[[first, last]], y[[first, last]])
        distance = np.abs(y[inside] - line)
        if distance.max() > _TOLERANCE:
            split = first + 1 + int(distance.argmax())
            keep[split] = True
            parts += [(first, split), (split, last)]
    return Curve(*(part[keep] for part in curve))
