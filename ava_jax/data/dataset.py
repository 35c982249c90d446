"""One split of an AVA-format data set, joined into arrays by key-frame."""

import dataclasses
import pathlib

import ml_collections
import numpy as np
from absl import logging

from ava_jax.data import annotations, clips, frames
from ava_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Split:
    """The key-frames of a split with their boxes.

    The boxes of key-frame k are rows `starts[k]` to `starts[k + 1]`.

    Attributes:
      folders: where the frames lie.
      labels: action id -> name, of the label map.
      class_ids: (num_classes,) int64, action id of each class; 0 for class 0.
      ground_truth: all rows of the annotation file.
      excluded: (video, second) of the key-frames that are left out.
      video: (K,) int32 index into `folders.videos`.
      second: (K,) float64 timestamp.
      centre: (K,) int64 frame index.
      truth_starts: (K + 1,) int64.
      truth_boxes: (G, 4) float64 xyxy, fractions of the frame.
      truth_classes: (G, num_classes) float32 multi-hot.
      proposal_starts: (K + 1,) int64.
      proposal_boxes: (P, 4) float64 xyxy, fractions of the frame, of the people
        detected with enough confidence.
    """

    folders: frames.FrameFolders
    labels: dict[int, str]
    class_ids: np.ndarray
    ground_truth: annotations.BoxTable
    excluded: set[tuple[str, float]]
    video: np.ndarray
    second: np.ndarray
    centre: np.ndarray
    truth_starts: np.ndarray
    truth_boxes: np.ndarray
    truth_classes: np.ndarray
    proposal_starts: np.ndarray
    proposal_boxes: np.ndarray

    def __len__(self) -> int:
        """Number of key-frames."""
        return len(self.second)


def load_split(config: ml_collections.ConfigDict, name: str) -> Split:
    """Reads the annotation files of one split and looks at its frames.

    Key-frames are those that the annotation file names and the exclusions do not;
    for training, only those with a box to learn from.

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
    labels = annotations.read_labels(root / config.data.labels)
    class_ids = _class_ids(config, labels)
    ground_truth = annotations.read_boxes(root / files.boxes)
    _check_labels(ground_truth, labels, class_ids, config)
    excluded = annotations.read_exclusions(root / files.exclusions)

    table = _without(ground_truth, excluded)
    learnable = np.isin(table.label, class_ids[1:])
    video, second = _key_frames(table, learnable, with_empty=name != "train")
    if not learnable.any():
        raise UserError(
            f"{root / files.boxes} leaves no key-frame for split {name!r}: it has "
            f"{len(table)} rows outside the excluded timestamps, {learnable.sum()} of "
            "them with a label of config.data.class_ids. Is it the right file?"
        )
    truth = _group_truth(table, learnable, video, second, class_ids)
    proposals = _group_proposals(config, root / files.proposals, table, video, second)
    keep = np.array([boxes is not None for boxes in proposals])
    used = sorted({table.videos[v] for v in video[keep]})
    folders = frames.index_folders(
        root / config.data.frames, used, config.data.frame_name
    )
    position = {video: index for index, video in enumerate(used)}
    split = Split(
        folders=folders,
        labels=labels,
        class_ids=class_ids,
        ground_truth=ground_truth,
        excluded=excluded,
        video=np.array([position[table.videos[v]] for v in video[keep]], np.int32),
        second=second[keep],
        centre=np.array(
            [
                clips.centre_frame(s, config.data.fps, config.data.timestamp_start)
                for s in second[keep]
            ],
            np.int64,
        ),
        **_select_truth(*truth, keep),
        **_concatenate([boxes for boxes in proposals if boxes is not None]),
    )
    _check_centres(split, config)
    if name == "train":
        _check_room(split, config)
    _log_summary(split, name)
    return split


def _check_files(config, root, files) -> None:
    paths = [config.data.labels, *files.values(), config.data.frames]
    missing = [path for path in paths if path and not (root / path).exists()]
    if not missing:
        return
    movie = pathlib.Path(
        config.data.frames, "<video>", config.data.frame_name.format(1)
    )
    raise UserError(
        f"The data set under {root}/ (config.data.root) lacks:\n  "
        + "\n  ".join(missing)
        + f"\nExpected layout: frames as {movie}, counted from "
        f"{config.data.timestamp_start} s at {config.data.fps} frames a second, and "
        "the annotation files named in config.data. Set --config.data.root=DIR to "
        "where they are. To see everything work without AVA: python -m ava_jax.main "
        "--config configs/mini.py --workdir runs/mini"
    )


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


def _without(table, excluded) -> annotations.BoxTable:
    """The table without excluded key-frames."""

    def kept(video, timestamp):
        return np.array(
            [
                (table.videos[v], t) not in excluded
                for v, t in zip(video.tolist(), timestamp.tolist(), strict=True)
            ],
            bool,
        )

    rows = kept(table.video, table.timestamp)
    empty = kept(table.keyframe_video, table.keyframe_timestamp)
    columns = ("video", "timestamp", "box", "label", "entity", "score", "line")
    return dataclasses.replace(
        table,
        **{column: getattr(table, column)[rows] for column in (*columns, "digits")},
        keyframe_video=table.keyframe_video[empty],
        keyframe_timestamp=table.keyframe_timestamp[empty],
    )


def _key_frames(table, learnable, with_empty) -> tuple[np.ndarray, np.ndarray]:
    """Video and second of every key-frame, sorted."""
    video, second = table.video, table.timestamp
    if with_empty:
        video = np.concatenate([video, table.keyframe_video])
        second = np.concatenate([second, table.keyframe_timestamp])
    else:
        video, second = video[learnable], second[learnable]
    keys = np.unique(np.stack([video, second], axis=1), axis=0)
    return keys[:, 0].astype(np.int32), keys[:, 1]


def _group_truth(table, learnable, video, second, class_ids):
    """Per key-frame: (boxes (n, 4), classes (n, num_classes)) of its people.

    Rows with the same box are one person with several labels.
    """
    keys = {key: k for k, key in enumerate(zip(video.tolist(), second.tolist()))}
    class_of = {int(action): c for c, action in enumerate(class_ids) if c}
    people = [{} for _ in keys]
    for row in np.flatnonzero(learnable):
        boxes = people[keys[table.video[row], table.timestamp[row]]]
        box = tuple(table.box[row].tolist())
        classes = boxes.setdefault(box, np.zeros(len(class_ids), np.float32))
        classes[class_of[table.label[row]]] = 1
    boxes = [np.array(list(p), np.float64).reshape(-1, 4) for p in people]
    classes = [
        np.array(list(p.values()), np.float32).reshape(-1, len(class_ids))
        for p in people
    ]
    return boxes, classes


def _select_truth(boxes, classes, keep) -> dict[str, np.ndarray]:
    counts = [len(b) for b, kept in zip(boxes, keep, strict=True) if kept]
    return {
        "truth_starts": np.cumsum([0, *counts]),
        "truth_boxes": np.concatenate([b for b, k in zip(boxes, keep) if k]),
        "truth_classes": np.concatenate([c for c, k in zip(classes, keep) if k]),
    }


def _group_proposals(config, path, table, video, second) -> list[np.ndarray | None]:
    """Per key-frame: boxes (n, 4) of confident proposals; None: leave it out."""
    proposals = annotations.read_proposals(path)
    keys = [(table.videos[v], s) for v, s in zip(video, second.tolist())]
    missing = [key for key in keys if not len(proposals.get(key, ()))]
    if missing:
        _check_missing_proposals(config, path, missing, len(keys))
    absent = {"skip": None, "full_frame": np.array([[0.0, 0, 1, 1]])}
    return [
        _confident(proposals[key], config.data.person_score)
        if len(proposals.get(key, ()))
        else absent[config.data.no_proposals]
        for key in keys
    ]


def _check_missing_proposals(config, path, missing, total) -> None:
    policy = config.data.no_proposals
    if policy in ("skip", "full_frame"):
        logging.warning(
            "%d of %d key-frames have no proposal in %s: config.data.no_proposals=%s",
            *(len(missing), total, path, policy),
        )
        return
    if policy != "error":
        raise UserError(
            f"config.data.no_proposals is {policy!r}; it must be 'error', 'skip' or "
            "'full_frame'."
        )
    shown = ", ".join(f"'{video},{second:04g}'" for video, second in missing[:3])
    raise UserError(
        f"{path} has no proposals for {len(missing)} of {total} annotated key-frames, "
        f"first {shown}. Its keys are '<video>,<second>', the second with four "
        "digits. Do the proposals belong to these annotations? "
        "--config.data.no_proposals=skip leaves such key-frames out, full_frame gives "
        "them one box of the whole frame (as MMAction2 does)."
    )


def _confident(proposals: np.ndarray, threshold: float) -> np.ndarray:
    scores = proposals[:, 4]
    kept = scores >= min(threshold, scores.max())
    return proposals[kept, :4]


def _concatenate(boxes: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {
        "proposal_starts": np.cumsum([0, *map(len, boxes)]),
        "proposal_boxes": np.concatenate(boxes),
    }


def _check_centres(split, config) -> None:
    first, last = split.folders.first[split.video], split.folders.last[split.video]
    outside = np.flatnonzero((split.centre < first) | (split.centre > last))
    if len(outside):
        k = outside[0]
        raise UserError(
            f"{len(outside)} of {len(split)} key-frames lie outside their movie, first "
            f"second {split.second[k]:g} of {split.folders.videos[split.video[k]]}: at "
            f"{config.data.fps} frames a second from {config.data.timestamp_start} s "
            f"it is frame {split.centre[k]}, and the folder has {first[k]} to "
            f"{last[k]}. Check config.data.fps and config.data.timestamp_start."
        )


def _check_room(split, config) -> None:
    people = np.diff(split.truth_starts)
    k = int(np.argmax(people))
    if people[k] > config.data.max_boxes:
        raise UserError(
            f"Second {split.second[k]:g} of {split.folders.videos[split.video[k]]} has "
            f"{people[k]} annotated people; config.data.max_boxes is "
            f"{config.data.max_boxes}. Set it to {people[k]} or more."
        )


def _log_summary(split, name) -> None:
    counts = split.truth_classes.sum(0).astype(int)
    per_label = ", ".join(
        f"{split.labels.get(int(action), action)} {count}"
        for action, count in zip(split.class_ids[1:], counts[1:], strict=True)
        if count
    )
    logging.info(
        "%s: %d key-frames of %d movies, %d people, %d proposals; labels: %s",
        *(name, len(split), len(split.folders.videos), len(split.truth_boxes)),
        *(len(split.proposal_boxes), per_label),
    )
