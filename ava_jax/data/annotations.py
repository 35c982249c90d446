"""AVA's annotation files: the readers and writers, under one name.

The files are those of https://research.google.com/ava/download.html and what
MMAction2 and PySlowFast make of them: boxes with labels (ground truth or
detections), label maps, excluded timestamps, person proposals. Text files may
be gzipped. Timestamps are numbers here, never text, so `902`, `0902` and
`902.000` are the same key-frame.
"""

import os

from ava_jax.data.box_files import KINDS, read_boxes, write_detections
from ava_jax.data.box_table import (
    NO_ENTITY,
    NO_LABEL,
    BoxTable,
    FrameIndex,
    Problem,
    index_frames,
    raise_fatal,
)
from ava_jax.data.label_map import read_action_groups, read_labels
from ava_jax.data.proposals import read_proposals
from ava_jax.data.text_files import parse_number, read_rows
from ava_jax.errors import UserError

__all__ = [
    "KINDS",
    "NO_ENTITY",
    "NO_LABEL",
    "BoxTable",
    "FrameIndex",
    "Problem",
    "index_frames",
    "raise_fatal",
    "read_action_groups",
    "read_boxes",
    "read_exclusions",
    "read_labels",
    "read_proposals",
    "write_detections",
]


def read_exclusions(path: str | os.PathLike) -> set[tuple[str, float]]:
    """Reads the key-frames that are left out: rows `video,timestamp`.

    Raises:
      UserError: no such file, or a row that is not of this form.
    """
    path = os.fspath(path)
    excluded = set()
    for line, fields in read_rows(path):
        seconds = parse_number(fields[1]) if len(fields) == 2 else None
        if seconds is None or not fields[0]:
            raise UserError(
                f"{path}, line {line}: {','.join(fields)[:60]!r}, expected "
                "video,timestamp with the timestamp in seconds"
            )
        excluded.add((fields[0], seconds))
    return excluded
