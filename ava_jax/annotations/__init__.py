"""AVA's annotation files: the readers and writers, under one name.

The files are those of https://research.google.com/ava/download.html and what
MMAction2 and PySlowFast make of them: boxes with labels (ground truth or
detections), label maps, excluded timestamps, person proposals. Text files may
be gzipped. Timestamps are numbers here, never text, so `902`, `0902` and
`902.000` are the same key frame.
"""

from ava_jax.annotations.box_files import KINDS, read_boxes, write_detections
from ava_jax.annotations.box_table import (
    NO_ENTITY,
    NO_LABEL,
    BoxTable,
    FrameIndex,
    index_frames,
)
from ava_jax.annotations.exclusions import read_exclusions
from ava_jax.annotations.findings import Finding, raise_problems
from ava_jax.annotations.label_map import read_action_groups, read_labels
from ava_jax.annotations.proposals import read_proposals
from ava_jax.annotations.tracks import Tracks, read_multisports, tracks_of_table

__all__ = [
    "KINDS",
    "NO_ENTITY",
    "NO_LABEL",
    "BoxTable",
    "Finding",
    "FrameIndex",
    "Tracks",
    "index_frames",
    "raise_problems",
    "read_action_groups",
    "read_boxes",
    "read_exclusions",
    "read_labels",
    "read_multisports",
    "read_proposals",
    "tracks_of_table",
    "write_detections",
]
