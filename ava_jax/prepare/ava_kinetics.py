"""Joins Kinetics' annotations with AVA's, to train on both (AVA-Kinetics)."""

import collections
import csv
import dataclasses
import math
import os
import pathlib
import pickle
from collections.abc import Iterable, Mapping

import ml_collections
import numpy as np

from ava_jax import annotations, files
from ava_jax.annotations import clip_names
from ava_jax.annotations.text_files import parse_number
from ava_jax.errors import UserError, join_first
from ava_jax.video.reader import SUFFIXES

_COLUMNS = 7  # video, second, x1, y1, x2, y2, action; an id of the person may follow


@dataclasses.dataclass(frozen=True)
class Merged:
    """What `merge` took and left.

    Attributes:
      kinetics_rows, ava_rows: rows that were written.
      without_box: rows of Kinetics that say that nobody is seen.
      rounded: rows of Kinetics at a fraction of a second, which is cut off.
      without_clip: videos of Kinetics with rows outside all clips -> their number.
      proposals: key frames of the joined proposals; None: they were not joined.
      files: what was written.
    """

    kinetics_rows: int
    ava_rows: int
    without_box: int
    rounded: int
    without_clip: Mapping[str, int]
    proposals: int | None
    files: tuple[str, ...]

    def text(self) -> str:
        """For the terminal."""
        lines = [
            f"{self.kinetics_rows:,} rows of Kinetics, {self.ava_rows:,} of AVA",
            f"left out: {self.without_box:,} rows without a box",
        ]
        if self.rounded:
            lines.append(
                f"{self.rounded:,} rows of Kinetics at a fraction of a second, which "
                "was cut off"
            )
        if self.without_clip:
            rows = sum(self.without_clip.values())
            names = list(self.without_clip)
            lines.append(
                f"left out: {rows:,} rows of {len(names):,} videos, at seconds that no "
                f"clip has inside: {join_first(names)}"
            )
        if self.proposals is not None:
            lines.append(f"{self.proposals:,} key frames with proposals")
        return "\n".join([*lines, *(f"{path}: written" for path in self.files)])


def merge(
    data: ml_collections.ConfigDict,
    *,
    kinetics: str | os.PathLike,
    ava: str | os.PathLike,
    proposals: Iterable[str | os.PathLike] = (),
) -> Merged:
    """Writes the annotations and proposals that `config.data.train` names.

    Kinetics' rows come first, under the names of their clips: the frame folders, or
    video files, in `data.frames`. A moment belongs to the clips that have it strictly
    inside, and its fraction of a second is cut off (MMAction2
    `tools/data/ava_kinetics/prepare_annotation.py`).

    Args:
      data: `config.data`.
      kinetics: Google's CSV, with ids of videos; or one with names of clips.
      ava: AVA's CSV.
      proposals: files of proposals; of equal key frames the last file's count.

    Raises:
      UserError: a file cannot be read, or there is no clip.
    """
    root = pathlib.Path(data.root)
    clips = _clips(root / data.frames)
    target, rows = root / data.train.boxes, []
    without_box, rounded, without_clip = 0, 0, collections.Counter()
    for line, row in _rows(kinetics):
        if not any(row[2:_COLUMNS]):
            without_box += 1
            continue
        second = _second(row, f"{kinetics}:{line}")
        names = _names(row[0], second, clips)
        rows += [[name, f"{int(second):04}", *row[2:]] for name in names]
        rounded += len(names) * (second != int(second))
        if not names:
            without_clip[row[0]] += 1
    own = [row for _, row in _rows(ava)]
    _write_rows(target, [*rows, *own])
    written, count = [str(target)], None
    if paths := list(proposals):
        path = root / data.train.proposals
        count = _join_proposals(paths, path)
        written.append(str(path))
    counts = len(rows), len(own), without_box, rounded, dict(without_clip)
    return Merged(*counts, count, tuple(written))


def _clips(root: pathlib.Path) -> dict[str, list[tuple[clip_names.Clip, str]]]:
    """The clips of a folder of frame folders or video files, by id of their video."""
    found = collections.defaultdict(list)
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        name = path.stem if path.suffix.lower() in SUFFIXES else path.name
        clip = clip_names.parse(name)
        if clip:
            found[clip.video].append((clip, name))
    if not found:
        raise UserError(
            f"{root} has no clip of Kinetics: a folder of frames, or a video file, "
            "called <id>_<first second>_<last second> such as "
            "-4PkFEs5dD4_000004_000014. Extract them first, or say where they are: "
            "--config.data.frames=DIR"
        )
    return found


def _rows(path: str | os.PathLike) -> Iterable[tuple[int, list[str]]]:
    """Numbers and cells of a CSV's lines."""
    try:
        with open(path, newline="") as file:
            reader = csv.reader(file)
            for row in reader:
                if row and len(row) not in (2, _COLUMNS, _COLUMNS + 1):
                    raise UserError(
                        f"{path}:{reader.line_num}: {len(row)} columns, expected "
                        "video, second, x1, y1, x2, y2, action and perhaps a person"
                    )
                if row:
                    yield reader.line_num, row
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}). Where is it? See "
            "ava-jax prepare merge --help"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no CSV file: {error}") from error


def _second(row, place) -> float:
    second = parse_number(row[1])
    if second is None or not math.isfinite(second):
        raise UserError(f"{place}: second is {row[1]!r}, expected a number")
    return second


def _names(video, second, clips) -> list[str]:
    """The clips that a moment of Kinetics belongs to."""
    named = clip_names.parse(video)
    candidates = clips[named.video] if named else clips.get(video, ())
    return [
        name
        for clip, name in candidates
        if clip.start < second < clip.end and (not named or name == video)
    ]


def _write_rows(path: pathlib.Path, rows: Iterable[list[str]]) -> None:
    """Writes them whole, and only if training can read them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.beside(path) as partial:
        with open(partial, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        annotations.read_boxes(partial)


def _join_proposals(paths, target: pathlib.Path) -> int:
    joined: dict[tuple[str, float], np.ndarray] = {}
    for path in paths:
        joined |= annotations.read_proposals(path)
    content = {
        f"{video},{second:04g}": boxes for (video, second), boxes in joined.items()
    }
    with files.beside(target) as partial, open(partial, "wb") as file:
        pickle.dump(content, file, protocol=2)
    return len(content)
