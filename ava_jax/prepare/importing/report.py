"""What an import took, changed and left, as text."""

import dataclasses
from collections.abc import Mapping

from ava_jax.annotations.findings import Finding
from ava_jax.annotations.tools import ToolTable


@dataclasses.dataclass(frozen=True)
class SplitCount:
    """What is in a split.

    Attributes:
      path: of its CSV.
      movies: their number.
      key_frames: with and without people.
      boxes: people in them.
      labels: rows of each action id.
    """

    path: str
    movies: int
    key_frames: int
    boxes: int
    labels: Mapping[int, int]

    def text(self) -> str:
        """A line."""
        return (
            f"{self.path}: {_some(self.movies, 'movie')}, "
            f"{_some(self.key_frames, 'key frame')}, {_some(self.boxes, 'box')}, "
            f"{_some(sum(self.labels.values()), 'label')}"
        )


@dataclasses.dataclass(frozen=True)
class Report:
    """What an import did.

    Attributes:
      tables: what was taken of each file.
      labels_file: of the label map.
      labels: its names by id.
      splits: train and val.
      notes: what was changed and left.
    """

    tables: tuple[ToolTable, ...]
    labels_file: str
    labels: Mapping[int, str]
    splits: tuple[SplitCount, ...]
    notes: tuple[Finding, ...]

    def text(self) -> str:
        """For the terminal."""
        lines = [_taken(table) for table in self.tables]
        lines += ["", *(str(note) for note in self.notes)] if self.notes else []
        lines += [
            "",
            *(split.text() for split in self.splits),
            f"{self.labels_file}: {_some(len(self.labels), 'action')}",
            "",
            *self._actions(),
        ]
        return "\n".join(lines)

    def _actions(self) -> list[str]:
        """A table of the rows of each action in each split."""
        width = max(map(len, self.labels.values()))
        lines = [f"{'id':>6}  {'action':<{width}}  {'train':>8}{'val':>8}"]
        for i, name in self.labels.items():
            counts = "".join(f"{split.labels.get(i, 0):>8,}" for split in self.splits)
            lines.append(f"{i:>6}  {name:<{width}}  {counts}")
        return lines


def _taken(table: ToolTable) -> str:
    people = {(box.video, box.person) for box in table.boxes if box.person}
    videos = {item.video for item in (*table.boxes, *table.key_frames)}
    moments = {(item.video, item.time) for item in (*table.boxes, *table.key_frames)}
    known = f" of {_some(len(people), 'person')}" if people else ""
    return (
        f"{table.path}: {table.tool}; {_some(len(table.boxes), 'box')}{known} at "
        f"{_some(len(moments), 'key frame')} of {_some(len(videos), 'video')}"
    )


def _some(number: int, noun: str) -> str:
    """'1 box', '2 boxes'."""
    many = {"box": "boxes", "person": "people"}.get(noun, f"{noun}s")
    return f"{number:,} {noun if number == 1 else many}"
