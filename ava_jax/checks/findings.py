"""What a check of a data set finds, and how it is told."""

import dataclasses
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from ava_jax.annotations.box_table import BoxTable

PLACES = 3  # shown of each finding
MISSING_FRAMES, DAMAGED_FRAMES = "missing frames", "damaged frames"


@dataclasses.dataclass(frozen=True, eq=False)
class Suspect:
    """A key frame to look at.

    Attributes:
      video, second: which one.
      boxes: (N, 4) float64 as in the file: fractions, unless that is the mistake.
      captions: what is said of each box.
      proposals: (P, 4) float64, fractions: boxes of the person detector.
    """

    video: str
    second: float
    boxes: np.ndarray
    captions: tuple[str, ...]
    proposals: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 4)))


@dataclasses.dataclass(frozen=True, eq=False)
class Finding:
    """One kind of thing that is wrong with a data set, or worth knowing.

    Attributes:
      name: what, in a few words.
      count: how many of it.
      places: the first three: file and line, or file.
      found: what was found, and what was expected.
      remedy: what to do.
      split: 'train', 'val', or '' for both.
      is_problem: training would stop or mislead; otherwise it is only a note.
      suspects: key frames that show it.
    """

    name: str
    count: int
    places: tuple[str, ...]
    found: str
    remedy: str
    split: str = ""
    is_problem: bool = True
    suspects: tuple[Suspect, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without the pictures."""
        fields = dataclasses.asdict(self)
        del fields["suspects"]
        return fields


@dataclasses.dataclass(frozen=True, eq=False)
class Verdict:
    """What is to be said of a data set.

    Attributes:
      root: its folder.
      splits: by name, what each split holds: `key_frames`, `movies`, `people`,
        `labels`, `proposals`, `recall` (of the proposals, by IoU), `samples` (by
        action). Without the splits that cannot be read.
      findings: problems first.
    """

    root: str
    splits: dict[str, dict[str, Any]]
    findings: tuple[Finding, ...]

    @property
    def is_clean(self) -> bool:
        """Whether there is no problem, though there may be notes."""
        return not any(finding.is_problem for finding in self.findings)

    @property
    def headline(self) -> str:
        """One line."""
        problems = sum(finding.is_problem for finding in self.findings)
        notes = len(self.findings) - problems
        noted = f", {_counted(notes, 'note')}" if notes else ""
        if problems:
            return f"{self.root}: {_counted(problems, 'problem')}{noted}"
        return f"{self.root}: clean{noted}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "root": self.root,
            "verdict": "clean" if self.is_clean else "problems",
            "splits": self.splits,
            "findings": [finding.as_dict() for finding in self.findings],
        }

    def as_text(self) -> str:
        """For the terminal."""
        parts = [split_line(name, split) for name, split in self.splits.items()]
        parts += [_finding_text(finding) for finding in self.findings]
        return "\n".join([*parts, "", self.headline])


def split_line(name: str, split: dict[str, Any]) -> str:
    """What a split holds, in one line."""
    line = f"{name}: {_counted(split['key_frames'], 'key frame')}"
    line += f" of {_counted(split['movies'], 'movie')}, {split['people']:,} people"
    line += f", {_counted(split['labels'], 'label')}"
    if split["recall"]:
        recall = ", ".join(
            f"{value:.1%} at IoU {iou}" for iou, value in split["recall"].items()
        )
        line += f", {_counted(split['proposals'], 'proposal')} that find {recall}"
    return line


def listed(
    name: str, places: Sequence[str], found: str, remedy: str, **fields: Any
) -> list[Finding]:
    """The finding about something in each of some places; none about no places.

    Args:
      name: see `Finding`.
      places: all of them; the first few are shown.
      found: see `Finding`.
      remedy: see `Finding`.
      **fields: others of `Finding`.
    """
    if not places:
        return []
    shown = tuple(places[:PLACES])
    return [Finding(name, len(places), shown, found, remedy, **fields)]


def row_findings(
    table: BoxTable,
    split: str,
    name: str,
    rows: np.ndarray,
    found: str,
    remedy: str,
    *,
    is_problem: bool = True,
) -> list[Finding]:
    """The finding about some rows of an annotation file; none about no rows.

    Args:
      table: of the file.
      split: see `Finding`.
      name: see `Finding`.
      rows: (R,) bool, the rows that are meant.
      found: as in `Finding`; `{box}`, `{label}`, `{video}` and `{t}` stand for what
        the first row has.
      remedy: see `Finding`.
      is_problem: see `Finding`.
    """
    indices = np.flatnonzero(rows)
    if not len(indices):
        return []
    first = indices[0]
    values = {
        "{box}": " ".join(f"{value:g}" for value in table.box[first]),
        "{label}": str(table.label[first]),
        "{video}": table.videos[table.video[first]],
        "{t}": f"{table.timestamp[first]:g}",
    }
    for field, value in values.items():
        found = found.replace(field, value)
    return [
        Finding(
            name,
            len(indices),
            tuple(f"{table.path}:{table.line[row]}" for row in indices[:PLACES]),
            found,
            remedy,
            split,
            is_problem,
            _row_suspects(table, indices),
        )
    ]


def _row_suspects(table: BoxTable, indices: np.ndarray) -> tuple[Suspect, ...]:
    """The first key frames that the rows are of, with those of their rows."""
    frames: dict[tuple[str, float], list[int]] = {}
    for row in indices[: 10 * PLACES].tolist():
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


def excuse(finding: Finding) -> Finding:
    """A note, if it is a problem that `on_bad_frame='nearest'` makes up for."""
    if finding.name not in (MISSING_FRAMES, DAMAGED_FRAMES):
        return finding
    return dataclasses.replace(finding, is_problem=False)


def _finding_text(finding: Finding) -> str:
    kind = "PROBLEM" if finding.is_problem else "note"
    split = f" ({finding.split})" if finding.split else ""
    lines = [f"\n{kind}{split}: {finding.name}: {finding.count:,}"]
    lines += [f"    {place}" for place in finding.places]
    if finding.count > len(finding.places) > 0:
        lines[-1] += ", ..."
    for text in (finding.found, finding.remedy):
        lines += textwrap.wrap(
            text,
            88,
            initial_indent="  ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("s" if count != 1 else "")
