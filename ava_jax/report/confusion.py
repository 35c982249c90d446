"""The confusion matrix for the page: a heat map, and the most frequent cases."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ava_jax.metrics.matched import Confusion
from ava_jax.report import drawing, style

_MOST = 10  # cases in the table
_VISIBLE = 0.01  # lower shares are left out of the map
_MAP_SIZE = 600  # pixels, approximate size of the matrix
_CELL_SIZES = 14, 40  # pixels, smallest and largest
_FONT = 12
_LONGEST = 130  # pixels, longest name


def data(confusion: Confusion, class_ids: np.ndarray) -> dict[str, Any]:
    """The numbers that the script of the page needs, for JSON."""
    shown = confusion.shown
    count = confusion.count[np.ix_(shown, shown)]
    return {
        "ids": class_ids[shown].tolist(),
        "labels": confusion.labels[shown].tolist(),
        "count": np.round(count, 2).tolist(),
    }


def frequent(
    confusion: Confusion, class_ids: np.ndarray, names: Mapping[int, str]
) -> list[tuple[str, str, str]]:
    """The most frequent pairs of confused actions: names, labels, share."""
    # Without the diagonal, which counts the found labels.
    off = confusion.count * (1 - np.eye(len(confusion.count)))
    order = np.argsort(-off, axis=None, kind="stable")[:_MOST]
    pairs = zip(*np.unravel_index(order, off.shape), strict=True)
    return [
        (
            f"{names[class_ids[a]]} → {names[class_ids[b]]}",
            f"{off[a, b]:,.1f} of {confusion.labels[a]:,}",
            f"{off[a, b] / confusion.labels[a]:.0%}",
        )
        for a, b in pairs
        if off[a, b] > 0
    ]


def heat_map(
    confusion: Confusion, class_ids: np.ndarray, names: Mapping[int, str]
) -> dict[str, Any]:
    """The matrix of shares in the form that `confusion.svg` draws.

    Rows are true actions, columns predicted ones.
    """
    shown = confusion.shown
    shares = confusion.count / np.maximum(confusion.labels, 1)[:, None]
    shares = shares[np.ix_(shown, shown)]
    texts = [names[label] for label in class_ids[shown]]
    cell = int(np.clip(_MAP_SIZE // max(len(texts), 1), *_CELL_SIZES))
    short = [drawing.shorten(style.short_action(t), _FONT, _LONGEST) for t in texts]
    left = 8 + max((drawing.text_width(t, _FONT) for t in short), default=0)
    top = round(left * 0.9)  # names are at an angle of 60 degrees; sin is 0.87
    return {
        "names": short,
        "cell": cell,
        "font": min(_FONT, cell - 3),
        "left": left,
        "top": top,
        "width": left + cell * len(texts) + round(left * 0.5),
        "height": top + cell * len(texts),
        "cells": [
            (a, b, shares[a, b], f"{texts[a]} → {texts[b]}: {shares[a, b]:.0%}")
            for a, b in np.argwhere(shares >= _VISIBLE).tolist()
        ],
    }
