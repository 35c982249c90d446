"""What the doctor says of a data set."""

import dataclasses
import textwrap
from collections.abc import Mapping
from typing import Any

from ava_jax.annotations.findings import Finding


@dataclasses.dataclass(frozen=True, eq=False)
class Verdict:
    """The findings about a data set, and what it holds.

    Attributes:
      root: its folder.
      splits: by name, what each split holds: `key_frames`, `movies`, `people`,
        `labels`, `proposals`, `recall` (of the proposals, by IoU), `samples` (by
        action). Without the splits that cannot be read.
      findings: problems first.
      names: of the actions, by id.
    """

    root: str
    splits: dict[str, dict[str, Any]]
    findings: tuple[Finding, ...]
    names: Mapping[int, str] = dataclasses.field(default_factory=dict)

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


def _finding_text(finding: Finding) -> str:
    kind = "PROBLEM" if finding.is_problem else "note"
    split = f" ({finding.split})" if finding.split else ""
    lines = [f"\n{kind}{split}: {finding.name}: {finding.count:,}"]
    lines += finding.shown_places(indent="    ")
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
