"""One split of an AVA-format data set, joined into arrays by key frame."""

import dataclasses
import functools
import pathlib

import jax
import ml_collections
import numpy as np
from absl import logging

from ava_jax import annotations
from ava_jax import config as ava_config
from ava_jax.annotations import (
    BoxTable,
    box_checks,
    clip_names,
    label_checks,
    raise_problems,
)
from ava_jax.annotations.label_map import scored_ids
from ava_jax.data import (
    clips,
    dense_sampling,
    feature_bank,
    frames,
    grouping,
    repeat_factors,
    split_checks,
    timing_checks,
)
from ava_jax.data.split import Split
from ava_jax.runtime import consistency


def load_split(data: ml_collections.ConfigDict, name: str, num_classes: int) -> Split:
    """Reads the annotation files of one split and looks at its frames.

    Key frames are those that the annotation file names and the exclusions do not;
    for training, only those with a box to learn from, followed by those that
    `dense_sampling` adds between them.

    Args:
      data: `config.data`.
      name: 'train' or 'val'.
      num_classes: `config.model.num_classes`.

    Raises:
      UserError: files are missing, empty or contradict each other; the message
        says which line and what to do.
    """
    ava_config.check(data, "data")
    root, files = pathlib.Path(data.root), data[name]
    raise_problems(split_checks.check_files(data, [name]))
    labels = annotations.read_labels(root / data.labels)
    ids = tuple(data.class_ids)
    raise_problems(label_checks.check_classes(ids, num_classes, labels, data.labels))
    raise_problems(split_checks.check_format(root / files.boxes, name))
    table = annotations.read_boxes(root / files.boxes)
    raise_problems(
        label_checks.check_labels(table, labels, ids, num_classes, data.labels)
    )
    raise_problems(split_checks.check_units_and_corners(table, name))
    excluded = set()
    if files.exclusions:
        excluded = annotations.read_exclusions(root / files.exclusions)
    # Class 0 is reserved: MMAction2's heads have an output for it that is not scored.
    class_ids = np.array((0, *scored_ids(ids, num_classes)), np.int64)
    key_frames = _key_frames(data, name, table, class_ids, excluded)
    store = frames.open_frames(data, key_frames.videos)
    clock = clips.clock(data)
    if data.frame_store == "folder":
        folder = pathlib.Path(data.root, data.frames)
        raise_problems(timing_checks.check_recipe(folder, data.fps))
    raise_problems(split_checks.check_timestamps(key_frames, store, *clock, name))
    # Movies may continue for long after their last key frame: no reason to stop.
    if not data.frame_numbers:
        for finding in timing_checks.check_rate(key_frames, store, *clock):
            logging.warning("%s", finding)
    split = Split(
        frames=store,
        labels=labels,
        class_ids=class_ids,
        ground_truth=table,
        excluded=excluded,
        video=key_frames.video,
        second=key_frames.second,
        centre=clips.centre_frames(
            key_frames.second, *clock, store.origin[key_frames.video]
        ),
        truth_starts=key_frames.truth_starts,
        truth_boxes=key_frames.truth_boxes,
        truth_classes=key_frames.truth_classes,
        proposal_starts=key_frames.proposal_starts,
        proposal_boxes=key_frames.proposal_boxes,
        repeats=np.ones(len(key_frames)),
        bank=_open_bank(data, key_frames),
    )
    if name == "train":
        # After the checks, which are about the key frames that the files have.
        split = dense_sampling.fill_gaps(split, data.clips_per_second, *clock)
        raise_problems(
            split_checks.check_room(split.truth_starts, split.key, data.max_boxes)
        )
        factors = repeat_factors.repeat_factors(
            split.truth_starts, split.truth_classes, data.repeat_threshold
        )
        split = dataclasses.replace(split, repeats=factors)
    _log_summary(key_frames, split, name)
    return split


def _open_bank(
    data: ml_collections.ConfigDict, key_frames: grouping.KeyFrames
) -> feature_bank.FeatureBank | None:
    """The feature bank of a split; None without one."""
    if not data.feature_bank:
        return None
    bank = feature_bank.open_bank(data.feature_bank)
    key = key_frames.videos, key_frames.video, key_frames.second
    bank.check(*key, data.bank_rows)
    return bank


def _key_frames(
    data: ml_collections.ConfigDict,
    name: str,
    table: BoxTable,
    class_ids: np.ndarray,
    excluded: set[tuple[str, float]],
) -> grouping.KeyFrames:
    """The key frames of a split, with proposals or what stands in for them."""
    path = str(pathlib.Path(data.root, data[name].proposals))
    proposals = annotations.read_proposals(path)
    if data.clip_names:
        proposals = clip_names.proposals_of_clips(proposals, table)
    proposed = BoxTable.from_frames(proposals, path)
    raise_problems(box_checks.check_people(proposed, split=name))
    join = functools.partial(
        grouping.join,
        table,
        class_ids,
        proposals,
        person_score(data, name),
        excluded=excluded,
        is_training=name == "train",
    )
    # Joined twice: only the files as they are show what is missing.
    key_frames = join()
    raise_problems(split_checks.check_people(key_frames, len(table), name))
    missing = split_checks.check_proposals(
        key_frames, proposals, path, data.no_proposals, name
    )
    raise_problems(missing)
    for finding in missing:
        logging.warning("%s", finding)
    return join(no_proposals=data.no_proposals) if missing else key_frames


def _log_summary(key_frames: grouping.KeyFrames, split: Split, name: str) -> None:
    """Logs what the files have, and what was added to it."""
    counts = key_frames.truth_classes.sum(0).astype(int)
    per_label = ", ".join(
        f"{split.labels.get(int(action), action)} {count}"
        for action, count in zip(split.class_ids[1:], counts[1:], strict=True)
        if count
    )
    recalls = [100 * share for share in grouping.recall(key_frames.overlaps()).values()]
    logging.info(
        "%s: %d key frames of %d movies, %d frames missing, %d people, %d proposals "
        "that find %.1f %% of the people at IoU 0.5 and %.1f %% at 0.9; labels: %s",
        name,
        len(key_frames),
        len(split.frames.videos),
        split.frames.missing.sum(),
        len(key_frames.truth_boxes),
        len(key_frames.proposal_boxes),
        *recalls,
        per_label,
    )
    if len(split) > len(key_frames):
        logging.info(
            "%s: %d key frames with %d people were added between the annotated ones",
            name,
            len(split) - len(key_frames),
            len(split.truth_boxes) - len(key_frames.truth_boxes),
        )


def person_score(data: ml_collections.ConfigDict, name: str) -> float:
    """The lowest score of a proposal of a split.

    Args:
      data: `config.data`.
      name: 'train' or 'val'.
    """
    return (name == "val" and data.val_person_score) or data.person_score


def check_data(name: str, split: Split) -> None:
    """The annotations of a split, and how long its movies are.

    Raises:
      UserError: they differ; names the processes and their hosts.
    """
    # The digest reads every array: seconds at the size of AVA.
    if jax.process_count() == 1:
        return
    frames = split.frames
    arrays = [value for value in vars(split).values() if isinstance(value, np.ndarray)]
    consistency.check_equal(
        f"the {name} split",
        {
            "number of movies": len(frames.videos),
            "number of key frames": len(split),
            "number of boxes": len(split.truth_boxes),
            "SHA-256 of movies and boxes": consistency.digest(
                [frames.videos, frames.first, frames.last, frames.size, *arrays]
            ),
        },
        "Copy the data set of one host to the others, or share one.",
    )
