"""The doctor of data sets: reads one as the trainer does, and tells all at once.

The trainer stops at the first mistake; here each check adds its findings to a
`findings.Verdict`. What finds nothing wrong is then loaded by the trainer's own
reader, so that a clean verdict is a promise.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import ml_collections
import numpy as np

from ava_jax import annotations
from ava_jax.annotations import BoxTable
from ava_jax.annotations.proposals import unpadded_keys
from ava_jax.checks import annotation_rows, classes, frame_folders, frame_stores, timing
from ava_jax.checks.findings import Finding, Suspect, Verdict, excuse
from ava_jax.checks.proposals import (
    Proposals,
    check_boxes,
    check_keys,
    check_padding,
    check_recall,
    check_scores,
    gather_people,
)
from ava_jax.data import clips, dataset, frames
from ava_jax.data.frames.store import FrameStore
from ava_jax.errors import UserError

SPLITS = ("train", "val")

Progress = Callable[[Iterable, int], Iterable]


@dataclasses.dataclass(frozen=True, eq=False)
class Examination:
    """A verdict, and the frames to illustrate it.

    Attributes:
      verdict: what was found.
      store: the frames of the annotated movies; None if there are none.
      config: the whole configuration.
    """

    verdict: Verdict
    store: FrameStore | None
    config: ml_collections.ConfigDict

    def image(self, suspect: Suspect) -> np.ndarray | None:
        """The key frame, or the nearest frame of its movie, (H, W, 3) uint8 RGB.

        None: the movie has none that can be read.
        """
        if self.store is None or suspect.video not in self.store.videos:
            return None
        data, movie = self.config.data, self.store.videos.index(suspect.video)
        frame = clips.centre_frames(
            suspect.second, data.fps, data.timestamp_start, self.store.origin[movie]
        )
        ends = self.store.first[movie], self.store.last[movie]
        try:
            return self.store.read(movie, int(np.clip(frame, *ends)))
        except frames.BadFrame:
            return None


def examine(
    config: ml_collections.ConfigDict,
    *,
    every_frame: bool = False,
    progress: Progress = lambda items, total: items,
) -> Examination:
    """Checks annotations, frames and proposals of both splits.

    Args:
      config: the whole configuration.
      every_frame: open all frames, not only the first and last of each movie.
      progress: wraps an iterable of a known length, to show how far it is.

    Raises:
      UserError: there is no data set to check.
    """
    root = pathlib.Path(config.data.root)
    if not config.data.root or not root.is_dir():
        raise UserError(
            f"config.data.root is {config.data.root!r}, which is no folder. Say where "
            "the data set is: --config.data.root=DIR"
        )
    findings = annotation_rows.check_files(root, _paths(config))
    labels = {}
    with _told_as("label map", findings):
        labels = annotations.read_labels(root / config.data.labels)
    findings += classes.check_classes(config, labels) if labels else []
    tables, splits = {}, {}
    for name in SPLITS:
        table = _read_table(config, name, findings)
        if table is not None:
            tables[name] = table
            splits[name] = _check_split(config, name, table, labels, findings)
    if len(tables) == len(SPLITS):
        findings += annotation_rows.check_shared_movies(*tables.values())
    store = _check_frames(config, tables, findings, every_frame, progress)
    for name in tables:
        _load(config, name, findings)
    verdict = Verdict(str(root), splits, tuple(_sorted(findings)))
    return Examination(verdict, store, config)


def _paths(config) -> dict[str, str]:
    """By field, every path that the configuration names."""
    paths = {"data.labels": config.data.labels, "data.frames": config.data.frames}
    for name in SPLITS:
        for field, path in config.data[name].items():
            if path:
                paths[f"data.{name}.{field}"] = path
    return paths


@contextlib.contextmanager
def _told_as(name: str, findings: list[Finding], split: str = "") -> Iterator[None]:
    """Makes a finding of a refusal, whose message says what to do."""
    try:
        yield
    except UserError as error:
        findings.append(Finding(name, 1, (), str(error), "", split))


def _read_table(config, name: str, findings: list[Finding]) -> BoxTable | None:
    """The annotations outside the excluded key frames; None: there are none."""
    root, files = pathlib.Path(config.data.root), config.data[name]
    if not (root / files.boxes).is_file():
        return None  # told of as missing
    table = None
    with _told_as("annotations", findings, name):
        table = annotations.read_boxes(root / files.boxes, lenient=True)
    if table is None:
        return None
    findings += annotation_rows.unreadable_rows(table, name)
    excluded = set()
    if files.exclusions and (root / files.exclusions).is_file():
        with _told_as("excluded timestamps", findings, name):
            excluded = annotations.read_exclusions(root / files.exclusions)
    kept = _without(table, excluded)
    if not len(kept):
        message = f"{table.path} has {len(table)} rows, and none is left outside the "
        message += "excluded timestamps. Is it the right file?"
        findings.append(Finding("no annotations", 1, (), message, "", name))
        return None
    return kept


def _without(table: BoxTable, excluded: set[tuple[str, float]]) -> BoxTable:
    """The table without excluded key frames."""
    index = annotations.index_frames(table)
    gone = index.numbers(excluded)
    rows = ~np.isin(index.rows[0], gone)
    empty = ~np.isin(index.keyframes[0], gone)
    return table.select(rows, empty)


def _check_split(config, name, table, labels, findings) -> dict:
    """Adds what is wrong with annotations and proposals; gives what they hold."""
    data = config.data
    findings += annotation_rows.check_coordinates(table, name)
    findings += annotation_rows.check_duplicates(table, name)
    proposals = _read_proposals(config, name, findings)
    ids = tuple(data.class_ids) or tuple(range(1, config.model.num_classes))
    people = gather_people(
        table,
        np.array((0, *ids), np.int64),
        proposals or {},
        data.person_score,
        with_empty=name != "train",
    )
    counts = people.classes.sum(0).astype(int).tolist()
    samples = dict(zip(ids, counts[1:], strict=True))
    if labels:
        findings += classes.check_labels(table, labels, config, name)
        findings += classes.check_samples(samples, labels, table.path, name)
    if name == "train":
        findings += annotation_rows.check_room(people.keys, people.starts, config)
    if proposals is not None:
        findings += _check_proposals(config, name, table, people, proposals)
    return {
        "key_frames": len(people.keys),
        "movies": len(np.unique(table.video)),
        "people": len(people.boxes),
        "labels": sum(counts),
        "proposals": len(people.proposals),
        "recall": people.recall() if proposals is not None else {},
        "samples": samples,
    }


def _read_proposals(config, name, findings) -> Proposals | None:
    """The proposals of a split; None: there are none, which was told."""
    path = pathlib.Path(config.data.root, config.data[name].proposals)
    if not path.is_file():
        return None
    with _told_as("proposals", findings, name):
        proposals = annotations.read_proposals(path)
        keys = unpadded_keys(path)
        findings += check_padding(keys, str(path), name)
        return proposals
    return None


def _check_proposals(config, name, table, people, proposals) -> list[Finding]:
    score = config.data.person_score
    path = str(pathlib.Path(config.data.root, config.data[name].proposals))
    keys = check_keys(people, proposals, table.path, path, name)
    policy = config.data.no_proposals
    if policy != "error":
        keys = [dataclasses.replace(finding, is_problem=False) for finding in keys]
    return [
        *keys,
        *check_boxes(proposals, path, name),
        *check_scores(proposals, people, score, name, path),
        *check_recall(people, name, path),
    ]


def _check_frames(
    config, tables: Mapping[str, BoxTable], findings, every_frame, progress
) -> FrameStore | None:
    """Adds what is wrong with the frames of the annotated movies; opens them."""
    root = pathlib.Path(config.data.root, config.data.frames)
    videos = list(
        dict.fromkeys(
            table.videos[number]
            for table in tables.values()
            for number in np.unique(table.video)
        )
    )
    if not root.is_dir() or not videos:
        return None
    look = _look_at_folders if config.data.frame_store == "folder" else _look_at_store
    store, found = look(config, root, videos, every_frame, progress)
    if config.data.on_bad_frame == "nearest":
        found = [excuse(finding) for finding in found]
    findings += found
    if store:
        findings += timing.check_timing(tables, store, config)
    return store


def _look_at_folders(config, root, videos, every_frame, progress):
    """The store, None if there is none, and what is wrong with its frames."""
    name = config.data.frame_name
    store, found = frame_folders.look_at_folders(root, videos, name)
    if store and every_frame:
        found += frame_folders.check_every_frame(store, progress)
    elif store:
        found += frame_folders.check_ends(store)
    return store, found + timing.check_recipe(root, config.data.fps)


def _look_at_store(config, root, videos, every_frame, progress):
    """The same for packed movies and video files."""
    strict = config.copy_and_resolve_references()
    strict.data.on_bad_frame = "error"  # bad frames are to be seen
    store, found = None, []
    with _told_as("frames", found):
        store = frames.open_frames(strict.data, videos)
    if store and every_frame:
        found += frame_stores.check_store(store, progress)
    return store, found


def _load(config, name: str, findings: list[Finding]) -> None:
    """Lets the trainer's reader find what no check has found."""
    if any(f.is_problem and f.split in ("", name) for f in findings):
        return
    with _told_as("refused by the trainer", findings, name):
        dataset.load_split(config, name)


def _sorted(findings: list[Finding]) -> list[Finding]:
    """Problems first, in the order of the checks."""
    return sorted(findings, key=lambda finding: not finding.is_problem)
