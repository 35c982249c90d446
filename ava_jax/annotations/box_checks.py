"""Rules about the boxes of a table: ground truth, detections or proposals.

Each function is one rule. `noun` is what its finding calls the boxes; other keyword
arguments are fields of the `Finding`.
"""

from typing import Any

import numpy as np

from ava_jax.annotations.box_table import BoxTable
from ava_jax.annotations.findings import PLACES, Finding, Suspect

# A coordinate beyond this is no fraction of a frame, however wrong the box.
_LARGEST_FRACTION = 2.0
# Rounding takes boxes so far out of the frame, less than a pixel.
_SLACK = 1e-3


def row_findings(
    table: BoxTable, name: str, rows: np.ndarray, found: str, remedy: str, **fields: Any
) -> list[Finding]:
    """The finding about some rows of a table; none about no rows.

    Args:
      table: of a file.
      name: see `Finding`.
      rows: (R,) bool, the rows that are meant.
      found: as in `Finding`; `{box}`, `{label}`, `{score}`, `{video}` and `{t}` stand
        for what the first row has.
      remedy: see `Finding`.
      **fields: others of `Finding`.
    """
    indices = np.flatnonzero(rows)
    if not len(indices):
        return []
    first = indices[0]
    values = {
        "{box}": " ".join(f"{value:g}" for value in table.box[first]),
        "{label}": str(table.label[first]),
        "{score}": f"{table.score[first]:g}",
        "{video}": table.videos[table.video[first]],
        "{t}": f"{table.timestamp[first]:g}",
    }
    for field, value in values.items():
        found = found.replace(field, value)
    shown = indices[: 10 * PLACES].tolist()
    # Proposals of one key frame are in one place.
    places = list(dict.fromkeys(_place(table, row) for row in shown))[:PLACES]
    fields["suspects"] = _suspects(table, shown) if table.line[first] else ()
    return [Finding(name, len(indices), tuple(places), found, remedy, **fields)]


def _place(table: BoxTable, row: int) -> str:
    if table.line[row]:
        return f"{table.path}:{table.line[row]}"
    video, second = table.videos[table.video[row]], table.timestamp[row]
    return f"{table.path}: '{video},{second:04g}'"


def _suspects(table: BoxTable, rows: list[int]) -> tuple[Suspect, ...]:
    """The first key frames that the rows are of, with those of their rows."""
    frames: dict[tuple[str, float], list[int]] = {}
    for row in rows:
        key = table.videos[table.video[row]], float(table.timestamp[row])
        if key in frames or len(frames) < PLACES:
            frames.setdefault(key, []).append(row)
    return tuple(
        Suspect(
            *key,
            table.box[rows],
            tuple(f"line {table.line[row]}: action {table.label[row]}" for row in rows),
        )
        for key, rows in frames.items()
    )


def in_pixels(box: np.ndarray) -> np.ndarray:
    """(R,) bool: which of (R, 4) boxes are no fractions of the frame."""
    return (np.abs(box) > _LARGEST_FRACTION).any(axis=1)


def is_inverted(box: np.ndarray) -> np.ndarray:
    """(R,) bool: in which of (R, 4) boxes the first corner is not the upper left."""
    return (box[:, :2] > box[:, 2:]).any(axis=1)


def is_off_frame(box: np.ndarray, size: tuple[float, float] = (1, 1)) -> np.ndarray:
    """(R,) bool: which of (R, 4) boxes share no point with the frame.

    Args:
      box: in the unit of `size`.
      size: width and height of the frame; by default boxes are fractions.
    """
    return ((box[:, 2:] < 0) | (box[:, :2] > size)).any(axis=1)


def check_units(table: BoxTable, noun: str = "boxes", **fields: Any) -> list[Finding]:
    """Boxes in pixels."""
    return row_findings(
        table,
        f"{noun} in pixels",
        in_pixels(table.box),
        "The first is {box}; expected fractions of the frame, 0 to 1.",
        "Divide x1 and x2 by the width of the frame, y1 and y2 by its height, as "
        "ava-jax prepare import does.",
        **fields,
    )


def check_extent(table: BoxTable, **fields: Any) -> list[Finding]:
    """Boxes that reach out of the frame."""
    box = table.box
    outside = ((box < -_SLACK) | (box > 1 + _SLACK)).any(axis=1)
    return row_findings(
        table,
        "boxes outside the frame",
        outside & ~in_pixels(box),
        "The first is {box}; expected fractions of the frame, 0 to 1.",
        "Clip the coordinates to 0 and 1, or look for what shifted the boxes.",
        **fields,
    )


def check_position(
    table: BoxTable, noun: str = "boxes", **fields: Any
) -> list[Finding]:
    """Boxes no part of which is in the frame."""
    return row_findings(
        table,
        f"{noun} off the frame",
        is_off_frame(table.box) & ~in_pixels(table.box),
        "The first is {box}; expected fractions of the frame, 0 to 1.",
        "Look for what shifted the boxes.",
        **fields,
    )


def check_corners(table: BoxTable, noun: str = "boxes", **fields: Any) -> list[Finding]:
    """Boxes whose first corner is not the upper left one."""
    return row_findings(
        table,
        f"inverted {noun}",
        is_inverted(table.box),
        "The first is {box}; expected x1 y1 x2 y2 with x1 < x2 and y1 < y2. Nothing "
        "can match such a box.",
        "Order the corners. Is it x y width height? Then write x y x+width y+height.",
        **fields,
    )


def check_area(table: BoxTable, effect: str = "", **fields: Any) -> list[Finding]:
    """Boxes without area. `effect` says how they count."""
    flat = (table.box[:, :2] == table.box[:, 2:]).any(axis=1)
    return row_findings(
        table,
        "boxes without area",
        flat & ~is_inverted(table.box),
        f"The first is {{box}}: {effect or 'nothing can match it'}.",
        "Delete these rows, or correct the boxes.",
        **fields,
    )


def check_scores(
    table: BoxTable, remedy: str, noun: str = "boxes", **fields: Any
) -> list[Finding]:
    """Scores that are no probabilities."""
    return row_findings(
        table,
        f"{noun} with scores outside 0 to 1",
        (table.score < 0) | (table.score > 1),
        "The first has {score}.",
        remedy,
        **fields,
    )


def check_people(
    table: BoxTable, noun: str = "proposals", **fields: Any
) -> list[Finding]:
    """Boxes of people in pixels, inverted, or with scores that are no probabilities."""
    return [
        *check_units(table, noun, **fields),
        *check_corners(table, noun, **fields),
        *check_scores(
            table,
            "Write the person detector's confidence: the fifth number of a row in a "
            "pickle, column 8 in a CSV.",
            noun,
            **fields,
        ),
    ]
