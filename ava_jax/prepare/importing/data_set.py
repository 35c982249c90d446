"""From files of annotation tools to the files that training reads."""

import collections
import csv
import dataclasses
import io
import pathlib
import shutil
from collections.abc import Iterable, Mapping, Sequence

import ml_collections
import numpy as np

from ava_jax import annotations, files
from ava_jax.annotations import tools
from ava_jax.annotations.findings import Finding, listed
from ava_jax.annotations.tools import ToolTable
from ava_jax.errors import UserError, join_first
from ava_jax.prepare.importing import cleaning, moments
from ava_jax.prepare.importing.action_ids import action_ids
from ava_jax.prepare.importing.report import Report, SplitCount
from ava_jax.prepare.importing.split import split_movies

REPORT = "annotations/import.txt"
_Moment = tuple[str, float]  # video, seconds


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What the user says about the files and the data set.

    Attributes:
      known: of the videos.
      videos: folder of the video files; one that does not exist says nothing.
      attributes: names of the attributes that are actions; empty: all that can be.
      columns: columns of a CSV by role, see `annotations.tools.columns`.
      labels: a label map that has all actions; '': the data set's own, which grows.
      val_share: share of the movies that are for validation.
      val_videos: their names; empty: they are chosen.
      seed: of the choice.
      replace: write over a data set that is there.
    """

    known: moments.Knowledge
    videos: pathlib.Path
    attributes: tuple[str, ...] = ()
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    labels: str = ""
    val_share: float = 0.25
    val_videos: tuple[str, ...] = ()
    seed: int = 0
    replace: bool = False


@dataclasses.dataclass(frozen=True)
class _Row:
    """A person with an action at a key frame, as a line of AVA's CSV."""

    video: str
    time: float
    box: tuple[float, ...]
    action: int
    person: int  # -1: not known

    def cells(self) -> list[str]:
        """The columns of the CSV."""
        corners = [_number(value, 6) for value in self.box]
        person = [str(self.person)] if self.person >= 0 else []
        return [self.video, _number(self.time, 3), *corners, str(self.action), *person]


def import_files(
    data: ml_collections.ConfigDict, paths: Sequence[str], wishes: Wishes
) -> Report:
    """Writes the annotations that `config.data` names: label map, train and val.

    Args:
      data: `config.data`.
      paths: files or folders of annotation tools.
      wishes: what the user says.

    Returns:
      What was taken, changed and left; it is in `REPORT`, too.

    Raises:
      UserError: a file cannot be read, something is not known and not said, or there
        is a data set.
    """
    root = pathlib.Path(data.root)
    targets = {name: root / data[name].boxes for name in ("train", "val")}
    _check_free(targets.values(), wishes.replace)
    raw = [tools.read(path, wishes.attributes, wishes.columns) for path in paths]
    folder = moments.probe(wishes.videos)
    raw, notes = moments.match_names(raw, folder)
    tables = [
        cleaning.clean(moments.resolve(table, wishes.known, folder)) for table in raw
    ]
    ids, labels, found = action_ids(tables, *_label_map(root / data.labels, wishes))
    notes = [*notes, *(note for table in tables for note in table.notes), *found]
    ignored = {
        (box.video, box.time) for t in tables for box in t.boxes if box.is_ignored
    }
    notes += _ignored(tables, ignored)
    rows, found = _rows(tables, ids, ignored)
    notes += found
    frames = _key_frames(tables, rows, ignored)
    chosen, found = _validation(rows, frames, wishes)
    notes += found
    parts = {"train": lambda video: video not in chosen, "val": chosen.__contains__}
    counts = []
    texts = {}
    for name, is_here in parts.items():
        own = [row for row in rows if is_here(row.video)]
        empty = [frame for frame in frames if is_here(frame[0])]
        texts[targets[name]] = _csv(own, empty)
        counts.append(_count(str(targets[name]), own, empty))
    report = Report(
        tables=tuple(tables),
        labels_file=str(root / data.labels),
        labels=labels,
        splits=tuple(counts),
        notes=tuple(notes),
    )
    _write_labels(root / data.labels, labels, wishes.labels)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, text)
    files.replace(root / REPORT, report.text() + "\n")
    return report


def _check_free(targets: Iterable[pathlib.Path], replace: bool) -> None:
    there = [str(path) for path in targets if path.exists()]
    if there and not replace:
        raise UserError(
            f"{' and '.join(there)}: there already, expected no data set here; give "
            "another folder (--config.data.root=DIR), or --replace to write over them"
        )


def _label_map(path: pathlib.Path, wishes: Wishes) -> tuple[dict[int, str], bool]:
    """The actions that are known, and whether there may be others."""
    if wishes.labels:
        return annotations.read_labels(wishes.labels), False
    return (annotations.read_labels(path) if path.exists() else {}), True


def _write_labels(path: pathlib.Path, labels: Mapping[int, str], source: str) -> None:
    """The label map; as the user gave it, with groups that it may have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not source:
        files.replace(path, "".join(f"{i}: {name}\n" for i, name in labels.items()))
    elif not (path.exists() and path.samefile(source)):
        with files.beside(path) as partial:
            shutil.copyfile(source, partial)


def _ignored(tables: Sequence[ToolTable], ignored: set[_Moment]) -> list[Finding]:
    boxes = [(t, [box for box in t.boxes if box.is_ignored]) for t in tables]
    return listed(
        "key frames with a region that is not annotated, left out",
        [place for t, some in boxes for place in cleaning.places(t.path, some)],
        "Nobody knows who is in these regions.",
        "Annotate the people there, to use them.",
        count=len(ignored),
        is_problem=False,
    )


def _rows(
    tables: Sequence[ToolTable], ids: Mapping[str, int], ignored: set[_Moment]
) -> tuple[list[_Row], list[Finding]]:
    """A row for each action of each person, by video and time."""
    people, notes = _people(tables)
    rows: dict[_Row, None] = {}
    without, twice = [], []
    for number, table in enumerate(tables):
        for box in table.boxes:
            if (box.video, box.time) in ignored:
                continue
            place = cleaning.places(table.path, [box])[0]
            if not box.actions:
                without.append(place)
            person = people.get((number, box.video, box.person), -1)
            for action in dict.fromkeys(ids[name] for name in box.actions):
                row = _Row(box.video, box.time, box.box, action, person)
                if row in rows:
                    twice.append(place)
                rows[row] = None
    if not rows:
        raise UserError(
            f"{tables[0].path}: found {len(without)} boxes and no action, expected an "
            "action of a person; give people attributes or labels for what they do, or "
            "name the attributes: --attributes NAME,..."
        )
    notes += [
        *listed(
            "boxes without an action, left out",
            without,
            "A key frame that has no others is kept as one without people.",
            "Say what these people do.",
            is_problem=False,
        ),
        *listed(
            "boxes given twice, left out",
            twice,
            "Video, time, corners, action and person are the same.",
            "",
            is_problem=False,
        ),
        *_people_twice(rows),
    ]
    return sorted(rows, key=lambda row: (row.video, row.time)), notes


def _people_twice(rows: Iterable[_Row]) -> list[Finding]:
    boxes = collections.defaultdict(set)
    for row in rows:
        if row.person >= 0:
            boxes[row.video, row.time, row.person].add(row.box)
    return listed(
        "people that are twice in a key frame",
        [
            f"{video} at {time:g} s: person {person}"
            for (video, time, person), found in boxes.items()
            if len(found) > 1
        ],
        "One number has several boxes, which are taken as several people.",
        "Give each person a number.",
        is_problem=False,
    )


def _people(
    tables: Sequence[ToolTable],
) -> tuple[dict[tuple[int, str, str], int], list[Finding]]:
    """A number for each person of each video: the tool's own, if all have some.

    People of two files are two people, whatever they are called there.
    """
    by_video: dict[str, dict[tuple[int, str, str], None]] = {}
    for number, table in enumerate(tables):
        for box in table.boxes:
            if box.person:
                key = number, box.video, box.person
                by_video.setdefault(box.video, {})[key] = None
    numbers, renumbered = {}, []
    for video, keys in by_video.items():
        own = [_own_number(person) for _, _, person in keys]
        if -1 in own or len(set(own)) < len(own):
            renumbered += [f"{k[2]} of {video} is {i}" for i, k in enumerate(keys)]
            own = list(range(len(keys)))
        numbers |= dict(zip(keys, own, strict=True))
    notes = listed(
        "people with new numbers",
        renumbered,
        "They had names, or the same numbers in several files.",
        "",
        is_problem=False,
    )
    return numbers, notes


def _own_number(person: str) -> int:
    is_number = person.isascii() and person.isdigit() and len(person) < 10
    return int(person) if is_number else -1


def _key_frames(
    tables: Sequence[ToolTable], rows: Sequence[_Row], ignored: set[_Moment]
) -> list[_Moment]:
    """The annotated key frames that have no row."""
    found = {
        (item.video, item.time)
        for table in tables
        for item in (*table.key_frames, *table.boxes)
    }
    return sorted(found - ignored - {(row.video, row.time) for row in rows})


def _validation(
    rows: Sequence[_Row], frames: Sequence[_Moment], wishes: Wishes
) -> tuple[set[str], list[Finding]]:
    """The movies for validation."""
    videos = sorted({row.video for row in rows} | {video for video, _ in frames})
    if wishes.val_videos:
        unknown = [name for name in wishes.val_videos if name not in videos]
        if unknown:
            raise UserError(
                f"--val-videos: found {join_first(unknown)}, expected some of "
                f"{join_first(videos)}; correct the names"
            )
        return set(wishes.val_videos), []
    labels = {action: i for i, action in enumerate(sorted({r.action for r in rows}))}
    counts = np.zeros((len(videos), len(labels)), np.int64)
    index = {video: i for i, video in enumerate(videos)}
    for row in rows:
        counts[index[row.video], labels[row.action]] += 1
    chosen = split_movies(counts, wishes.val_share, wishes.seed)
    notes = listed(
        "data sets of one video",
        videos if len(videos) == 1 else [],
        "It is for training; there is nothing to validate on.",
        "Annotate another video.",
        is_problem=False,
    )
    return {video for video, is_val in zip(videos, chosen) if is_val}, notes


def _csv(rows: Iterable[_Row], frames: Iterable[_Moment]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(row.cells() for row in rows)
    writer.writerows([video, _number(time, 3)] for video, time in frames)
    return text.getvalue()


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".")


def _count(path: str, rows: Sequence[_Row], frames: Sequence[_Moment]) -> SplitCount:
    moments_seen = {(row.video, row.time) for row in rows} | set(frames)
    return SplitCount(
        path=path,
        movies=len({video for video, _ in moments_seen}),
        key_frames=len(moments_seen),
        boxes=len({(row.video, row.time, row.box) for row in rows}),
        labels=collections.Counter(row.action for row in rows),
    )
