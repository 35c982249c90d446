"""Checks of annotation files: boxes, duplicates, people, what the splits share."""

import functools
import pathlib
from collections.abc import Mapping, Sequence

import ml_collections
import numpy as np

from ava_jax import annotations
from ava_jax.annotations import BoxTable
from ava_jax.checks.findings import Finding, listed, row_findings
from ava_jax.errors import join_first

# A coordinate beyond this is no fraction of a frame, however wrong the box.
_LARGEST_FRACTION = 2.0
# Rounding takes boxes so far out of the frame, less than a pixel.
_SLACK = 1e-3


def unreadable_rows(table: BoxTable, split: str) -> list[Finding]:
    """Rows that the reader had to leave out."""
    return [
        Finding(
            f"rows that cannot be read ({problem.name})",
            problem.count,
            tuple(f"{table.path}:{line}" for line in problem.lines or (problem.line,)),
            f"The first: {problem.message}.",
            "Correct these rows, or delete them.",
            split,
        )
        for problem in table.problems
    ]


def check_coordinates(table: BoxTable, split: str) -> list[Finding]:
    """Boxes in pixels, out of the frame, inverted or without area."""
    find = functools.partial(row_findings, table, split)
    box = table.box
    large = (np.abs(box) > _LARGEST_FRACTION).any(1)
    outside = ((box < -_SLACK) | (box > 1 + _SLACK)).any(1) & ~large
    inverted = (box[:, :2] > box[:, 2:]).any(1)
    flat = (box[:, :2] == box[:, 2:]).any(1) & ~inverted
    return [
        *find(
            "boxes in pixels",
            large,
            "The first is {box}; expected fractions of the frame, 0 to 1.",
            "Divide x1 and x2 by the width of the frame, y1 and y2 by its height.",
        ),
        *find(
            "boxes outside the frame",
            outside,
            "The first is {box}; expected fractions of the frame, 0 to 1.",
            "Clip the coordinates to 0 and 1, or look for what shifted the boxes.",
        ),
        *find(
            "inverted boxes",
            inverted,
            "The first is {box}; expected x1 y1 x2 y2 with x1 < x2 and y1 < y2. "
            "Nothing can match such a box.",
            "Order the corners. Is it x y width height? Then write x y x+width "
            "y+height.",
        ),
        *find(
            "boxes without area",
            flat,
            "The first is {box}: nothing can match it.",
            "Delete these rows, or correct the boxes.",
        ),
    ]


def check_room(
    keys: Sequence[tuple[str, float]],
    starts: np.ndarray,
    config: ml_collections.ConfigDict,
) -> list[Finding]:
    """Training key frames with more people than `config.data.max_boxes`.

    Args:
      keys: (video, second) of the key frames.
      starts: (K + 1,) where each key frame's people start.
      config: the whole configuration.
    """
    people, room = np.diff(starts), config.data.max_boxes
    crowded = (keys[k] for k in np.flatnonzero(people > room))
    most = people.max(initial=0)
    return listed(
        "crowded key frames",
        [f"{video}, second {second:g}" for video, second in crowded],
        f"Up to {most} people are annotated, and config.data.max_boxes is {room}.",
        f"--config.data.max_boxes={most}",
        split="train",
    )


def check_duplicates(table: BoxTable, split: str) -> list[Finding]:
    """Rows that repeat the box and action of another row of their key frame."""
    frame = annotations.index_frames(table).rows[0]
    keys = (*table.box.T, table.label, frame)
    order = np.lexsort(keys)
    same = np.ones(max(len(order) - 1, 0), bool)
    for key in keys:
        same &= key[order[1:]] == key[order[:-1]]
    # The sort is stable: of equal rows, all but the first in the file are marked.
    repeated = np.zeros(len(table), bool)
    repeated[order[1:][same]] = True
    return row_findings(
        table,
        split,
        "duplicate rows",
        repeated,
        "The same box and action again, at second {t} of {video}: one person counts "
        "as several, of whom the evaluation finds one at most.",
        "Delete the repetitions.",
    )


def check_shared_movies(train: BoxTable, val: BoxTable) -> list[Finding]:
    """Movies that both splits have."""
    shared = [name for name in train.videos if name in set(val.videos)]
    if not shared:
        return []
    frames = annotations.index_frames(train, val)
    common = len(np.intersect1d(frames.rows[0], frames.rows[1]))
    lines = [
        int(table.line[np.argmax(table.video == table.videos.index(shared[0]))])
        for table in (train, val)
    ]
    files = f"{train.path}:{lines[0]} and {pathlib.Path(val.path).name}:{lines[1]}"
    found = f"{shared[0]} is in {files}. "
    if common:
        found += f"{common:,} key frames are in both splits: what was learned by heart "
        found += "counts as recognised, and the mAP is too high."
    else:
        found += "No key frame is in both splits, but the same people and places are: "
        found += "the mAP says little about other movies."
    return listed(
        "movies in both splits",
        shared,
        found,
        "Keep all of a movie in one split.",
        is_problem=common > 0,
    )


def check_files(root: pathlib.Path, paths: Mapping[str, str]) -> list[Finding]:
    """Files and folders of the configuration that are not there.

    Args:
      root: `config.data.root`.
      paths: by the name of the field; '' where there is none.
    """
    missing = {
        field: path for field, path in paths.items() if not (root / path).exists()
    }
    fields = join_first([f"--config.{field}=PATH" for field in missing])
    return listed(
        "missing files",
        [f"{root / path} (config.{field})" for field, path in missing.items()],
        f"config.data.root is {root}; the other paths are relative to it.",
        f"Put them there, or set {fields}.",
    )
