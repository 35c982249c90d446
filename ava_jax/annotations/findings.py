"""What is wrong with annotations or a data set, or worth knowing.

A rule about data is one function that returns findings. The trainer raises those
that are problems, the doctor lists all, `ava-jax score` prints them.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ava_jax.errors import UserError

PLACES = 3  # shown of each finding


@dataclasses.dataclass(frozen=True, eq=False)
class Suspect:
    """A key frame to look at.

    Attributes:
      video, second: which one.
      boxes: (N, 4) float64 as in the file: fractions, unless that is the mistake.
      captions: a text for each box, or ''.
      proposals: (P, 4) float64, fractions: boxes of the person detector.
    """

    video: str
    second: float
    boxes: np.ndarray
    captions: tuple[str, ...]
    proposals: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 4)))


@dataclasses.dataclass(frozen=True, eq=False)
class Finding:
    """One kind of thing that is wrong with data, or worth knowing.

    Attributes:
      name: what, in a few words.
      count: how many of it.
      places: the first three: file and line, key of a file, key frame, or file.
      found: what was found, and what was expected.
      remedy: what to do.
      split: 'train', 'val', or '' for both.
      is_problem: results would mislead, or training would stop; otherwise it is
        only a note.
      suspects: key frames that show it.
    """

    name: str
    count: int
    places: tuple[str, ...]
    found: str
    remedy: str = ""
    split: str = ""
    is_problem: bool = True
    suspects: tuple[Suspect, ...] = ()

    def __str__(self) -> str:
        """For errors and warnings: what, where, and the rest in one line."""
        lines = [f"{self.name}: {self.count:,}", *self.shown_places()]
        return "\n".join([*lines, f"{self.found} {self.remedy}".strip()])

    def shown_places(self, indent: str = "  ") -> list[str]:
        """A line for each place, and a mark if there are more."""
        lines = [indent + place for place in self.places]
        if self.count > len(lines) > 0:
            lines[-1] += ", ..."
        return lines

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without what is only for pictures."""
        fields = dataclasses.asdict(self)
        del fields["suspects"]
        return fields


def listed(
    name: str, places: Sequence[str], found: str, remedy: str, **fields: Any
) -> list[Finding]:
    """One finding about all of these places; none if there are no places.

    Args:
      name: see `Finding`.
      places: all of them, or the first few if `count` says how many there are.
      found: see `Finding`.
      remedy: see `Finding`.
      **fields: others of `Finding`.
    """
    if not places:
        return []
    count = fields.pop("count", len(places))
    return [Finding(name, count, tuple(places[:PLACES]), found, remedy, **fields)]


def raise_problems(findings: Iterable[Finding]) -> None:
    """Raises a UserError that lists the problems among `findings`."""
    problems = [str(finding) for finding in findings if finding.is_problem]
    if problems:
        raise UserError("\n".join(problems))


def as_notes(findings: Iterable[Finding]) -> list[Finding]:
    """The same findings where they are no problems."""
    return [dataclasses.replace(finding, is_problem=False) for finding in findings]
