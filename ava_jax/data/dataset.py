"""One split of an AVA-format data set, joined into arrays by key frame."""

import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np
from absl import logging

from ava_jax import annotations
from ava_jax.data import clips, dense_sampling, frames, grouping, multi_scale_crop
from ava_jax.data.split import Split
from ava_jax.errors import UserError
from ava_jax.metrics.iou import best_overlaps
from ava_jax.runtime import consistency

# Rows of x1, y1, x2, y2, score.
_NONE = np.zeros((0, 5))
_FULL_FRAME = np.array([[0.0, 0, 1, 1, 1]])


def load_split(config: ml_collections.ConfigDict, name: str) -> Split:
    """Reads the annotation files of one split and looks at its frames.

    Key frames are those that the annotation file names and the exclusions do not;
    for training, only those with a box to learn from, followed by those that
    `dense_sampling` adds between them.

    Args:
      config: the whole configuration (`data` and `model.num_classes` are read).
      name: 'train' or 'val'.

    Raises:
      UserError: files are missing, empty or contradict each other; the message
        says which line and what to do.
    """
    root = pathlib.Path(config.data.root)
    files = config.data[name]
    _check_files(config, root, files)
    if name == "train":
        multi_scale_crop.check_scales(config.data.crop_scales)
    labels = annotations.read_labels(root / config.data.labels)
    class_ids = _class_ids(config, labels)
    ground_truth = annotations.read_boxes(root / files.boxes)
    _check_labels(ground_truth, labels, class_ids, config)
    excluded = set()
    if files.exclusions:
        excluded = annotations.read_exclusions(root / files.exclusions)

    index = annotations.index_frames(ground_truth)
    kept = np.ones(len(index.video), bool)
    kept[index.numbers(excluded)] = False
    learnable = np.isin(ground_truth.label, class_ids[1:]) & kept[index.rows[0]]
    if not learnable.any():
        rows = kept[index.rows[0]].sum()
        raise UserError(
            f"{root / files.boxes} leaves no key frame for split {name!r}: it has "
            f"{rows} rows outside the excluded timestamps, 0 of them with a label of "
            "config.data.class_ids. Is it the right file?"
        )
    if name == "train":
        kept = np.bincount(index.rows[0][learnable], minlength=len(kept)) > 0
    kept, proposals = _proposals(config, root / files.proposals, index, kept)
    truth = grouping.people(ground_truth, index.rows[0], learnable, kept, class_ids)
    annotated = Split(
        labels=labels,
        class_ids=class_ids,
        ground_truth=ground_truth,
        excluded=excluded,
        **_frames(config, index, kept),
        **truth,
        **proposals,
    )
    split = annotated
    if name == "train":
        split = dense_sampling.fill_gaps(annotated, config)
    _check_centres(split, config)
    if name == "train":
        _check_room(split, config)
    _log_summary(annotated, split, name)
    return split


def _frames(config, index, kept) -> dict[str, Any]:
    """Where the kept key frames are."""
    used, video = np.unique(index.video[kept], return_inverse=True)
    store = frames.open_frames(config.data, [index.videos[v] for v in used])
    second, start = index.timestamp[kept], config.data.timestamp_start
    return {
        "frames": store,
        "video": video.astype(np.int32),
        "second": second,
        "centre": clips.centre_frames(
            second, config.data.fps, start, store.origin[video]
        ),
    }


def _check_files(config, root, files) -> None:
    paths = [config.data.labels, *files.values(), config.data.frames]
    missing = [path for path in paths if path and not (root / path).exists()]
    if not missing:
        return
    raise UserError(
        f"The data set under {root}/ (config.data.root) lacks:\n  "
        + "\n  ".join(missing)
        + f"\nExpected layout: {_layout(config.data)}, counted from "
        f"{config.data.timestamp_start} s at {config.data.fps} frames a second, and "
        "the annotation files named in config.data. Set --config.data.root=DIR to "
        "where they are. To see everything work without AVA: python -m ava_jax.main "
        "--config configs/mini.py --workdir runs/mini"
    )


def _layout(data) -> str:
    """How the frames should lie."""
    return {
        "packed": f"frames packed below {data.frames}/",
        "video": f"videos as {data.frames}/<video>.mp4",
    }.get(data.frame_store, f"frames as {data.frames}/<video>/img_00001.jpg")


def _class_ids(config, labels) -> np.ndarray:
    """The action id of every class, 0 for class 0."""
    classes = config.model.num_classes
    ids = tuple(config.data.class_ids) or tuple(range(1, classes))
    if len(ids) + 1 != classes:
        raise UserError(
            f"config.data.class_ids has {len(ids)} ids, so config.model.num_classes "
            f"must be {len(ids) + 1} (class 0 is reserved), but it is {classes}."
        )
    if config.data.class_ids and not set(ids) <= set(labels):
        unknown = sorted(set(ids) - set(labels))
        raise UserError(
            f"config.data.class_ids names {unknown}, which the label map "
            f"{config.data.labels} does not have."
        )
    return np.array((0, *ids), np.int64)


def _check_labels(table, labels, class_ids, config) -> None:
    # AVA's own label maps name 60 of the 80 ids that its annotations use, so an id
    # below the highest one is no mistake.
    highest = max(labels)
    if not config.data.class_ids:
        highest = max(highest, class_ids[-1])
    wrong = np.flatnonzero((table.label < 0) | (table.label > highest))
    if len(wrong):
        row = wrong[0]
        raise UserError(
            f"{table.path}, line {table.line[row]}: action id {table.label[row]} is "
            f"outside the label map {config.data.labels} (1 to {highest}). "
            f"{len(wrong)} rows are like that. Correct the file, or give the label map "
            "that belongs to it."
        )
    if not config.data.class_ids and table.label.max(initial=0) > class_ids[-1]:
        row = int(np.argmax(table.label))
        raise UserError(
            f"{table.path}, line {table.line[row]}: action id {table.label[row]} has "
            f"no class: config.model.num_classes is {len(class_ids)}, class 0 "
            f"included. Set it to {highest + 1}, or name the ids to learn in "
            "config.data.class_ids."
        )


def _proposals(config, path, index, kept) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The key frames that are still kept, and their confident proposals."""
    proposals = annotations.read_proposals(path)
    numbers = np.flatnonzero(kept)
    videos = (index.videos[v] for v in index.video[numbers])
    keys = list(zip(videos, index.timestamp[numbers].tolist(), strict=True))
    boxes = [proposals.get(key, _NONE) for key in keys]
    absent = np.array([not len(b) for b in boxes])
    if absent.any():
        missing = [keys[k] for k in np.flatnonzero(absent)]
        _check_missing_proposals(config, path, missing, len(keys))
        if config.data.no_proposals == "skip":
            kept = kept.copy()
            kept[numbers[absent]] = False
            boxes = [b for b in boxes if len(b)]
        boxes = [b if len(b) else _FULL_FRAME for b in boxes]
    return kept, grouping.confident(boxes, config.data.person_score)


def _check_missing_proposals(config, path, missing, total) -> None:
    policy = config.data.no_proposals
    if policy == "full_frame" or (policy == "skip" and len(missing) < total):
        logging.warning(
            "%d of %d key frames have no proposal in %s: config.data.no_proposals=%s",
            *(len(missing), total, path, policy),
        )
        return
    if policy not in ("error", "skip"):
        raise UserError(
            f"config.data.no_proposals is {policy!r}; it must be 'error', 'skip' or "
            "'full_frame'."
        )
    shown = ", ".join(f"'{video},{second:04g}'" for video, second in missing[:3])
    raise UserError(
        f"{path} has no proposals for {len(missing)} of {total} annotated key frames, "
        f"first {shown}. Its keys are '<video>,<second>', the second with four "
        "digits. Do the proposals belong to these annotations? "
        "--config.data.no_proposals=skip leaves such key frames out, full_frame gives "
        "them one box of the whole frame (as MMAction2 does)."
    )


def _check_centres(split, config) -> None:
    first, last = split.frames.first[split.video], split.frames.last[split.video]
    outside = np.flatnonzero((split.centre < first) | (split.centre > last))
    if len(outside):
        k = outside[0]
        raise UserError(
            f"{len(outside)} of {len(split)} key frames lie outside their movie, first "
            f"second {split.second[k]:g} of {split.frames.videos[split.video[k]]}: at "
            f"{config.data.fps} frames a second from {config.data.timestamp_start} s "
            f"it is frame {split.centre[k]}, and there are {first[k]} to {last[k]}. "
            "Check config.data.fps and config.data.timestamp_start, and for video "
            "files config.data.video_start."
        )


def _check_room(split, config) -> None:
    people = np.diff(split.truth_starts)
    k = int(np.argmax(people))
    if people[k] > config.data.max_boxes:
        raise UserError(
            f"Second {split.second[k]:g} of {split.frames.videos[split.video[k]]} has "
            f"{people[k]} annotated people; config.data.max_boxes is "
            f"{config.data.max_boxes}. Set it to {people[k]} or more."
        )


def _log_summary(annotated, split, name) -> None:
    """What was read, and what `split` has besides."""
    counts = annotated.truth_classes.sum(0).astype(int)
    per_label = ", ".join(
        f"{annotated.labels.get(int(action), action)} {count}"
        for action, count in zip(annotated.class_ids[1:], counts[1:], strict=True)
        if count
    )
    found = best_overlaps(
        annotated.truth_boxes,
        annotated.truth_starts,
        annotated.proposal_boxes,
        annotated.proposal_starts,
    )
    recall = [(found >= iou).sum() / max(len(found), 1) for iou in (0.5, 0.9)]
    logging.info(
        "%s: %d key frames of %d movies, %d frames missing, %d people, %d proposals "
        "that find %.1f %% of the people at IoU 0.5 and %.1f %% at 0.9; labels: %s",
        *(name, len(annotated), len(split.frames.videos), split.frames.missing.sum()),
        *(len(annotated.truth_boxes), len(annotated.proposal_boxes)),
        *(100 * recall[0], 100 * recall[1], per_label),
    )
    if split is not annotated:
        logging.info(
            "%s: %d key frames with %d people were added between the annotated ones",
            *(name, len(split) - len(annotated)),
            len(split.truth_boxes) - len(annotated.truth_boxes),
        )


def check_data(name: str, split: Split) -> None:
    """The annotations of a split, and how long its movies are.

    Raises:
      UserError: they differ; names the processes and their hosts.
    """
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
