"""Boxes as a data set can have them, and notes about those that it cannot."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ava_jax.annotations.findings import Finding, listed
from ava_jax.annotations.tools import ToolBox, ToolTable
from ava_jax.errors import UserError


def clean(table: ToolTable) -> ToolTable:
    """Boxes inside the frame, with area and corners in order.

    Args:
      table: in fractions.

    Raises:
      UserError: inverted boxes in a file that does not say whether its numbers are
        corners.
    """
    if not table.boxes:
        return table
    box = np.array([one.box for one in table.boxes])
    inverted = (box[:, :2] > box[:, 2:]).any(axis=1)
    if inverted.any() and table.tool == "CSV":
        one = table.boxes[int(np.argmax(inverted))]
        raise UserError(
            f"{table.path}, {one.place}: found the box "
            f"{' '.join(f'{v:g}' for v in one.box)} (fractions), expected x1 < x2 and "
            "y1 < y2; order the corners, or say that it is a width and a height: "
            "--columns x=3,y=4,w=5,h=6"
        )
    box = np.concatenate(
        [np.minimum(box[:, :2], box[:, 2:]), np.maximum(box[:, :2], box[:, 2:])], axis=1
    )
    clipped = np.clip(box, 0, 1)
    is_outside = (clipped != box).any(axis=1)
    is_flat = (clipped[:, :2] >= clipped[:, 2:]).any(axis=1)
    boxes = [
        dataclasses.replace(one, box=tuple(row))
        for one, row, flat in zip(table.boxes, clipped.tolist(), is_flat, strict=True)
        if not flat
    ]
    notes = [
        *_note(table, inverted, "boxes whose corners were put in order", ""),
        *_note(
            table,
            is_outside & ~is_flat,
            "boxes that were clipped to the frame",
            "They reached out of it.",
        ),
        *_note(
            table,
            is_flat,
            "boxes without area in the frame, left out",
            "They are outside the frame, or a line.",
        ),
    ]
    return dataclasses.replace(table, boxes=tuple(boxes), notes=(*table.notes, *notes))


def _note(table: ToolTable, rows: np.ndarray, name: str, found: str) -> list[Finding]:
    chosen = [table.boxes[i] for i in np.flatnonzero(rows).tolist()]
    return listed(name, places(table.path, chosen), found, "", is_problem=False)


def places(path: str, boxes: Sequence[ToolBox]) -> list[str]:
    """Where boxes are, for notes."""
    return [f"{path}: {box.place}, {box.video} at {box.time:g} s" for box in boxes]
