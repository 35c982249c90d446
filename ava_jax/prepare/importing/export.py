"""From the files that training reads to those of a tool, to correct them there."""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence

import ml_collections

from ava_jax import annotations
from ava_jax.annotations import BoxTable, tools
from ava_jax.annotations.findings import Finding, listed
from ava_jax.annotations.tools import KeyFrame, ToolBox, ToolTable, Video
from ava_jax.annotations.tools.tracks import nearest_frame
from ava_jax.errors import UserError, join_first
from ava_jax.prepare.importing import moments

# What each tool's file has to say of its videos.
_NEEDS_RATE = ("cvat", "labelstudio")
# Those that cannot say that nobody is in a key frame.
_NO_EMPTY_FRAMES = ("cvat", "labelstudio")


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
      files: all of them.
      boxes: people at key frames in them.
      notes: what the format cannot hold.
    """

    files: tuple[pathlib.Path, ...]
    boxes: int
    notes: tuple[Finding, ...]

    def text(self) -> str:
        """For the terminal."""
        lines = [*map(str, self.notes), *(f"{path}: written" for path in self.files)]
        return "\n".join([*lines, f"{self.boxes:,} boxes"])


def export_annotations(
    data: ml_collections.ConfigDict,
    path: str | os.PathLike,
    format: str,
    known: moments.Knowledge,
    videos: pathlib.Path,
) -> Exported:
    """Writes the boxes of both splits for an annotation tool.

    Args:
      data: `config.data`, whose timestamps are seconds of the videos.
      path: of the file; for CVAT a folder, or a file for a single video.
      format: a key of `annotations.tools.WRITERS`.
      known: rate and size of the videos, if their files are not there.
      videos: folder of the video files; one that does not exist says nothing.

    Raises:
      UserError: there is no data set, or size or rate of a video are not known.
    """
    root = pathlib.Path(data.root)
    labels = annotations.read_labels(root / data.labels)
    tables = [
        annotations.read_boxes(root / data[name].boxes)
        for name in ("train", "val")
        if (root / data[name].boxes).exists()
    ]
    if not tables:
        raise UserError(
            f"{root / data.train.boxes}: not found, expected the annotations of a data "
            "set; say where it is: --config.data.root=DIR"
        )
    problems = [str(problem) for table in tables for problem in table.problems]
    if problems:
        raise UserError("\n".join(problems))
    boxes = [box for table in tables for box in _boxes(table, labels)]
    frames = [frame for table in tables for frame in _empty_frames(table)]
    facts = _facts(format, boxes, frames, known, moments.probe(videos))
    table = ToolTable(
        path=os.fspath(path),
        tool=format,
        boxes=tuple(boxes),
        key_frames=tuple(frames),
        videos=facts,
        actions={name: i for i, name in labels.items()},
    )
    written = tools.write(table, path, format)
    return Exported(tuple(written), len(boxes), tuple(_notes(format, frames)))


def _boxes(table: BoxTable, labels: Mapping[int, str]) -> list[ToolBox]:
    """People at key frames, with all their actions."""
    people = collections.defaultdict(list)
    columns = (table.video, table.timestamp, table.box, table.entity, table.label)
    for video, time, box, person, label in zip(*(c.tolist() for c in columns)):
        if label not in labels:
            raise UserError(
                f"{table.path}: found the action {label}, expected one of the label "
                f"map: {join_first(list(map(str, labels)))}; correct it, or add it"
            )
        people[video, time, tuple(box), person].append(labels[label])
    return [
        ToolBox(
            table.videos[video],
            box,
            tuple(actions),
            time,
            person=str(person) if person >= 0 else "",
        )
        for (video, time, box, person), actions in people.items()
    ]


def _empty_frames(table: BoxTable) -> list[KeyFrame]:
    return [
        KeyFrame(table.videos[video], time)
        for video, time in zip(
            table.keyframe_video.tolist(), table.keyframe_timestamp.tolist()
        )
    ]


def _facts(
    format: str,
    boxes: Sequence[ToolBox],
    frames: Sequence[KeyFrame],
    known: moments.Knowledge,
    there: Mapping[str, Video],
) -> dict[str, Video]:
    """Size, rate and length of each video."""
    last: dict[str, float] = {}
    for item in (*boxes, *frames):
        last[item.video] = max(last.get(item.video, 0), item.time)
    user = Video(known.fps, *(known.size or (0, 0)))
    facts = {name: user.filled(there.get(name, Video())) for name in last}
    for flag, is_missing in (
        ("--size WIDTHxHEIGHT", lambda video: not video.width),
        ("--fps RATE", lambda video: format in _NEEDS_RATE and not video.fps),
    ):
        missing = [name for name, video in facts.items() if is_missing(video)]
        if missing:
            raise UserError(
                f"{flag.split()[0]} of {join_first(missing)} is not known, expected "
                f"for {format}; give {flag}, or the folder of the videos: --videos DIR"
            )
    return {
        name: video.filled(
            Video(frames=nearest_frame(last[name], video.fps) + 1 if video.fps else 0)
        )
        for name, video in facts.items()
    }


def _notes(format: str, frames: Sequence[KeyFrame]) -> list[Finding]:
    return listed(
        "key frames without people, left out",
        [f"{frame.video} at {frame.time:g} s" for frame in frames]
        if format in _NO_EMPTY_FRAMES
        else [],
        f"{format} cannot hold them.",
        "Keep the CSV, or export as via3 or coco.",
        is_problem=False,
    )
