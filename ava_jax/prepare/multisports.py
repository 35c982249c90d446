"""MultiSports' ground truth and proposals as files in AVA's format."""

import csv
import os
import pathlib
import pickle
from collections.abc import Mapping

import ml_collections
import numpy as np

from ava_jax import annotations, files
from ava_jax.annotations import Tracks
from ava_jax.annotations.label_map import multisports_actions
from ava_jax.annotations.tracks import video_name
from ava_jax.errors import UserError

# Split here -> in multisports_GT.pkl.
SPLITS = {"train": "train", "val": "test"}


def write_annotations(
    data: ml_collections.ConfigDict,
    ground_truth: str | os.PathLike,
    proposals: Mapping[str, str | os.PathLike],
) -> list[str]:
    """Writes label map, boxes and proposals where `config.data` names them.

    Timestamps are numbers of frames from 1, action ids count from 1, a tube's boxes
    have its number for a person, and movies are called as in the ground truth,
    without '.mp4'.

    Args:
      data: `config.data`.
      ground_truth: `multisports_GT.pkl`.
      proposals: split -> MMAction2's pickle, whose keys are '<video>.mp4,<frame>'.

    Returns:
      What was written, a line each.

    Raises:
      UserError: a file cannot be read, or is something else.
    """
    root, lines = pathlib.Path(data.root), []
    for split, name in SPLITS.items():
        tracks = annotations.read_multisports(ground_truth, name)
        if tracks is None:
            raise UserError(
                f"{ground_truth} is no pickle; expected MultiSports' multisports_GT.pkl"
            )
        path = root / data[split].boxes
        rows = _rows(tracks)
        _write_csv(path, rows)
        lines.append(f"{path}: {len(rows):,} boxes of {len(tracks.videos):,} videos")
    _write_labels(root / data.labels, multisports_actions())
    lines.append(f"{root / data.labels}: the actions")
    for split, source in proposals.items():
        path = root / data[split].proposals
        count = _write_proposals(path, annotations.read_proposals(source))
        lines.append(f"{path}: {count:,} frames with proposals")
    return lines


def _rows(tracks: Tracks) -> list[list[str]]:
    """A row of AVA's CSV for every box, by video and frame."""
    tubes = tracks.tubes
    tube = np.repeat(np.arange(len(tubes)), tubes.lengths)
    video, frame = tubes.video[tube], tubes.frame
    # A box that leaves the picture is cut at its edge.
    box = np.clip(tubes.box / np.tile(tracks.sizes, 2)[video], 0, 1)
    order = np.lexsort((tube, frame, video))
    return [
        [
            tracks.videos[video[i]],
            str(frame[i]),
            *(f"{value:.6g}" for value in box[i]),
            str(tubes.label[tube[i]]),
            str(tube[i]),
        ]
        for i in order.tolist()
    ]


def _write_csv(path: pathlib.Path, rows: list[list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.beside(path) as partial, open(partial, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _write_labels(path: pathlib.Path, names: list[str]) -> None:
    items = (f'item {{\n  name: "{n}"\n  id: {i}\n}}\n' for i, n in enumerate(names, 1))
    with files.beside(path) as partial:
        partial.write_text("".join(items))


def _write_proposals(path: pathlib.Path, proposals) -> int:
    content = {
        f"{video_name(video)},{frame:04g}": boxes
        for (video, frame), boxes in proposals.items()
    }
    with files.beside(path) as partial, open(partial, "wb") as file:
        pickle.dump(content, file, protocol=2)
    return len(content)
