"""The confusion between actions: a map, and the most frequent cases."""

import html
from collections.abc import Mapping
from typing import Any

import numpy as np

from ava_jax.metrics.matched import Confusion
from ava_jax.report import captions, page, style

_MOST = 10  # cases in the table
_VISIBLE = 0.01  # lower shares are left out of the map
_MAP_SIZE = 600  # pixels that the cells take, about
_CELL_SIZES = 14, 40  # pixels, at least and at most
_ROOM_FOR_NUMBERS = 28  # pixels
_FONT = 12
_LONGEST = 130  # pixels of a name


def data(confusion: Confusion, class_ids: np.ndarray) -> dict[str, Any]:
    """The numbers behind the controls, ready for JSON."""
    shown = confusion.shown
    count = confusion.count[np.ix_(shown, shown)]
    return {
        "ids": class_ids[shown].tolist(),
        "labels": confusion.labels[shown].tolist(),
        "count": np.round(count, 2).tolist(),
    }


def frequent(
    confusion: Confusion, class_ids: np.ndarray, names: Mapping[int, str]
) -> str:
    """A table of the pairs of actions that are confused most."""
    off = confusion.count * (1 - np.eye(len(confusion.count)))
    order = np.argsort(-off, axis=None, kind="stable")[:_MOST]
    rows = []
    for a, b in zip(*np.unravel_index(order, off.shape), strict=True):
        if off[a, b] <= 0:
            break
        share = off[a, b] / confusion.labels[a]
        rows.append(
            [
                f"{names[class_ids[a]]} → {names[class_ids[b]]}",
                f"{off[a, b]:,.1f} of {confusion.labels[a]:,}",
                f"{share:.0%}",
            ]
        )
    return page.table(["true → predicted", "labels", "share"], rows)


def heat_map(
    confusion: Confusion, class_ids: np.ndarray, names: Mapping[int, str]
) -> str:
    """A square of shares: rows are true actions, columns predicted ones, as SVG."""
    shown = confusion.shown
    shares = confusion.count / np.maximum(confusion.labels, 1)[:, None]
    shares = shares[np.ix_(shown, shown)]
    texts = [names[label] for label in class_ids[shown]]
    cell = int(np.clip(_MAP_SIZE // max(len(texts), 1), *_CELL_SIZES))
    short = [captions.shorten(style.short_action(t), _FONT, _LONGEST) for t in texts]
    left = 8 + max((captions.text_mask(t, _FONT).shape[1] for t in short), default=0)
    top = round(left * 0.9)  # names stand at an angle of 60 degrees
    width = left + cell * len(texts) + round(left * 0.5)
    height = top + cell * len(texts)
    parts = [
        f'<svg class="map" width="{width}" height="{height}" role="img" '
        f'viewBox="0 0 {width} {height}" font-size="{min(_FONT, cell - 3)}" '
        'aria-label="Confusion between actions; the table has the largest">'
    ]
    for i, text in enumerate(map(html.escape, short)):
        y, x = top + cell * (i + 0.5), left + cell * (i + 0.5)
        parts.append(
            f'<text x="{left - 6}" y="{y:g}" dy=".35em" text-anchor="end">{text}</text>'
            f'<text transform="translate({x:g} {top - 6}) rotate(-60)">{text}</text>'
        )
        parts.append(_map_row(shares[i], texts, i, (left, top), cell))
    return "\n".join([*parts, "</svg>"])


def _map_row(
    shares: np.ndarray, texts: list[str], row: int, corner: tuple[int, int], cell: int
) -> str:
    """One row of the map; what an action is taken for has another colour."""
    cells = []
    for column in np.flatnonzero(shares >= _VISIBLE).tolist():
        share = shares[column]
        x, y = corner[0] + cell * column, corner[1] + cell * row
        told = html.escape(f"{texts[row]} → {texts[column]}: {share:.0%}")
        kind = "found" if column == row else "taken"
        cells.append(
            f'<rect class="{kind}" x="{x}" y="{y}" width="{cell - 1}" '
            f'height="{cell - 1}" fill-opacity="{0.08 + 0.92 * share:.2f}">'
            f"<title>{told}</title></rect>"
        )
        if cell >= _ROOM_FOR_NUMBERS:
            bright = " bright" if share > 0.5 else ""  # whatever the page's theme
            cells.append(
                f'<text x="{x + cell / 2:g}" y="{y + cell / 2:g}" dy=".35em" '
                f'text-anchor="middle" class="share{bright}">{100 * share:.0f}</text>'
            )
    return "".join(cells)
