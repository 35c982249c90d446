"""The doctor of data sets: reads one as the trainer does, and tells all at once.

The trainer stops at the first mistake; here each check adds its findings to a
`verdict.Verdict`. What finds nothing wrong is then loaded by the trainer's own
reader, so that a clean verdict is a promise.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections
import numpy as np

from ava_jax import annotations
from ava_jax.annotations import BoxTable, box_checks, clip_names, label_checks
from ava_jax.annotations.findings import Finding, Suspect, as_notes
from ava_jax.annotations.label_map import count_classes, scored_ids
from ava_jax.annotations.proposals import unpadded_keys
from ava_jax.checks import annotation_rows, frame_folders, frame_stores, proposals
from ava_jax.checks.frame_folders import Progress
from ava_jax.checks.verdict import Verdict
from ava_jax.data import clips, dataset, frames, grouping, split_checks, timing_checks
from ava_jax.data.frames.open import late_frames, open_store
from ava_jax.data.frames.store import FrameStore
from ava_jax.errors import UserError

SPLITS = ("train", "val")

# What the nearest good frame may stand in for: `config.data.on_bad_frame`.
_BAD_FRAMES = frame_folders.MISSING_FRAMES, frame_folders.DAMAGED_FRAMES


@dataclasses.dataclass(frozen=True, eq=False)
class Examination:
    """A verdict, and the frames to illustrate it.

    Attributes:
      verdict: what was found.
      store: the frames of the annotated movies; None if there are none.
      fps, timestamp_start: see `clips.clock`.
    """

    verdict: Verdict
    store: FrameStore | None
    fps: float
    timestamp_start: float

    def image(self, suspect: Suspect) -> np.ndarray | None:
        """The key frame, or the nearest frame of its movie, (H, W, 3) uint8 RGB.

        None: the movie has none that can be read.
        """
        if self.store is None or suspect.video not in self.store.videos:
            return None
        movie = self.store.videos.index(suspect.video)
        frame = clips.centre_frames(
            suspect.second, self.fps, self.timestamp_start, self.store.origin[movie]
        )
        ends = self.store.first[movie], self.store.last[movie]
        try:
            return self.store.read(movie, int(np.clip(frame, *ends)))
        except frames.BadFrame:
            return None


@dataclasses.dataclass(frozen=True, eq=False)
class _Split:
    """What the files of a split hold.

    Attributes:
      table: the annotations outside the excluded key frames.
      key_frames: joined with the proposals.
      proposals: None: there are none, for which there is a finding.
    """

    table: BoxTable
    key_frames: grouping.KeyFrames
    proposals: grouping.Proposals | None


def examine(
    data: ml_collections.ConfigDict,
    num_classes: int,
    *,
    every_frame: bool = False,
    progress: Progress = lambda items, total: items,
) -> Examination:
    """Checks annotations, frames and proposals of both splits.

    Args:
      data: `config.data`.
      num_classes: `config.model.num_classes`.
      every_frame: open all frames, not only the first and last of each movie.
      progress: wraps an iterable of a known length, to show how far it is.

    Raises:
      UserError: there is no data set to check.
    """
    root = pathlib.Path(data.root)
    if not data.root or not root.is_dir():
        raise UserError(
            f"config.data.root is {data.root!r}, which is no folder. Say where "
            "the data set is: --config.data.root=DIR, or --workdir DIR if training "
            "makes it."
        )
    findings = split_checks.check_files(data, SPLITS)
    labels = {}
    with _as_finding("label map", findings):
        labels = annotations.read_labels(root / data.labels)
        ids = tuple(data.class_ids)
        num_classes = count_classes(num_classes, ids, root / data.labels)
        findings += label_checks.check_classes(ids, num_classes, labels, data.labels)
    splits, held = {}, {}
    for name in SPLITS:
        split = _read_split(data, name, num_classes, findings)
        if split:
            splits[name] = split
            held[name] = _what_it_holds(split, scored_ids(data.class_ids, num_classes))
            findings += _check_labels(data, name, num_classes, split.table, labels)
            if labels:
                findings += annotation_rows.check_samples(
                    held[name]["samples"], labels, split.table.path, name
                )
            findings += _check_split(data, name, split)
    if len(splits) == len(SPLITS):
        tables = (split.table for split in splits.values())
        findings += annotation_rows.check_shared_movies(*tables)
    key_frames = {name: split.key_frames for name, split in splits.items()}
    store = _check_frames(data, key_frames, findings, every_frame, progress)
    for name in splits:
        _load(data, name, num_classes, findings)
    # Problems first, in the order of the checks.
    findings.sort(key=lambda finding: not finding.is_problem)
    verdict = Verdict(str(root), held, tuple(findings), labels)
    return Examination(verdict, store, *clips.clock(data))


@contextlib.contextmanager
def _as_finding(name: str, findings: list[Finding], split: str = "") -> Iterator[None]:
    """Makes a finding of a refusal, whose message says what to do."""
    try:
        yield
    except UserError as error:
        findings.append(Finding(name, 1, (), str(error), "", split))


def _read_split(
    data: ml_collections.ConfigDict,
    name: str,
    num_classes: int,
    findings: list[Finding],
) -> _Split | None:
    """Adds what cannot be read; None: there is nobody to learn from or to score."""
    root, files = pathlib.Path(data.root), data[name]
    table = found = None
    if not (root / files.boxes).is_file():
        return None  # there is a finding of missing files
    if of_a_tool := split_checks.check_format(root / files.boxes, name):
        findings += of_a_tool
        return None
    with _as_finding("annotations", findings, name):
        table = annotations.read_boxes(root / files.boxes, lenient=True)
    if table is None:
        return None
    findings += [dataclasses.replace(bad, split=name) for bad in table.problems]
    excluded = set()
    if files.exclusions and (root / files.exclusions).is_file():
        with _as_finding("excluded timestamps", findings, name):
            excluded = annotations.read_exclusions(root / files.exclusions)
    if (root / files.proposals).is_file():
        with _as_finding("proposals", findings, name):
            found = annotations.read_proposals(root / files.proposals)
            if data.clip_names:
                found = clip_names.proposals_of_clips(found, table)
    key_frames = grouping.join(
        table,
        np.array((0, *scored_ids(data.class_ids, num_classes)), np.int64),
        found or {},
        dataset.person_score(data, name),
        excluded=excluded,
        is_training=name == "train",
    )
    if nobody := split_checks.check_people(key_frames, len(table), name):
        findings += nobody
        return None
    return _Split(_without(table, excluded), key_frames, found)


def _without(table: BoxTable, excluded: set[tuple[str, float]]) -> BoxTable:
    """The table without excluded key frames."""
    index = annotations.index_frames(table)
    gone = index.numbers(excluded)
    rows = ~np.isin(index.rows[0], gone)
    empty = ~np.isin(index.keyframes[0], gone)
    return table.select(rows, empty)


def _what_it_holds(split: _Split, ids: tuple[int, ...]) -> dict[str, Any]:
    """See `Verdict.splits`."""
    key_frames = split.key_frames
    counts = key_frames.truth_classes.sum(0).astype(int).tolist()
    has_proposals = split.proposals is not None
    return {
        "key_frames": len(key_frames),
        "movies": len(key_frames.videos),
        "people": len(key_frames.truth_boxes),
        "labels": sum(counts),
        "proposals": len(key_frames.proposal_boxes),
        "recall": grouping.recall(key_frames.overlaps()) if has_proposals else {},
        "samples": dict(zip(ids, counts[1:], strict=True)),
    }


def _check_labels(
    data: ml_collections.ConfigDict,
    name: str,
    num_classes: int,
    table: BoxTable,
    labels: Mapping[int, str],
) -> list[Finding]:
    """What is wrong with the action ids; nothing without a label map."""
    if not labels:
        return []
    arguments = tuple(data.class_ids), num_classes
    highest = label_checks.highest_label(labels, *arguments)
    found = label_checks.check_labels(table, labels, *arguments, data.labels)
    found += label_checks.check_unlabeled(table)
    found += label_checks.check_unnamed(table, labels, highest)
    return [dataclasses.replace(finding, split=name) for finding in found]


def _check_split(
    data: ml_collections.ConfigDict, name: str, split: _Split
) -> list[Finding]:
    """What is wrong with boxes and proposals."""
    table, key_frames = split.table, split.key_frames
    findings = [
        *split_checks.check_units_and_corners(table, name),
        *box_checks.check_extent(table, split=name),
        *box_checks.check_area(table, split=name),
        *annotation_rows.check_duplicates(table, name),
        *annotation_rows.check_near_duplicates(table, name),
    ]
    if name == "train":
        findings += split_checks.check_room(
            key_frames.truth_starts, key_frames.key, data.max_boxes
        )
    if split.proposals is None:
        return findings
    path = str(pathlib.Path(data.root, data[name].proposals))
    return [
        *findings,
        *proposals.check_padding(unpadded_keys(path), path, name),
        *split_checks.check_proposals(
            key_frames, split.proposals, path, data.no_proposals, name
        ),
        *proposals.check_boxes(split.proposals, path, name),
        *proposals.check_low_scores(
            key_frames, dataset.person_score(data, name), path, name
        ),
        *proposals.check_recall(key_frames, name, path),
    ]


def _check_frames(
    data: ml_collections.ConfigDict,
    splits: Mapping[str, grouping.KeyFrames],
    findings: list[Finding],
    every_frame: bool,
    progress: Progress,
) -> FrameStore | None:
    """Adds what is wrong with the frames of the annotated movies; opens them."""
    root = pathlib.Path(data.root, data.frames)
    videos = [name for key_frames in splits.values() for name in key_frames.videos]
    if not root.is_dir() or not videos:
        return None
    look = _look_at_folders if data.frame_store == "folder" else _look_at_store
    store, found = look(data, root, list(dict.fromkeys(videos)), every_frame, progress)
    for finding in found:
        is_excused = data.on_bad_frame == "nearest" and finding.name in _BAD_FRAMES
        findings += as_notes([finding]) if is_excused else [finding]
    if store and data.frame_numbers:
        # Numbers of frames say nothing of the rate.
        for name, key_frames in splits.items():
            findings += split_checks.check_timestamps(
                key_frames, store, *clips.clock(data), name
            )
    elif store:
        findings += timing_checks.check_timing(splits, store, *clips.clock(data))
    return store


def _look_at_folders(data, root, videos, every_frame, progress):
    """The store, None if there is none, and what is wrong with its frames."""
    store, found = frame_folders.look_at_folders(root, videos, data.frame_name)
    if store and every_frame:
        found += frame_folders.check_every_frame(store, progress)
    elif store:
        found += frame_folders.check_ends(store)
    if store:
        store = dataclasses.replace(store, late=late_frames(data, store.videos))
    return store, found + timing_checks.check_recipe(root, data.fps)


def _look_at_store(data, root, videos, every_frame, progress):
    """The same for packed movies and video files."""
    del root
    store, found = None, []
    with _as_finding("frames", found):
        store = open_store(data, videos)
    if store and every_frame:
        found += frame_stores.check_store(store, progress)
    return store, found


def _load(
    data: ml_collections.ConfigDict,
    name: str,
    num_classes: int,
    findings: list[Finding],
) -> None:
    """Lets the trainer's reader find what no check has found."""
    if any(f.is_problem and f.split in ("", name) for f in findings):
        return
    with _as_finding("refused by the trainer", findings, name):
        dataset.load_split(data, name, num_classes)
