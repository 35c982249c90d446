"""Checks that the doctor alone makes of annotations: rows, actions, both splits."""

import pathlib
from collections.abc import Mapping

import numpy as np

from ava_jax import annotations
from ava_jax.annotations import BoxTable
from ava_jax.annotations.box_checks import row_findings
from ava_jax.annotations.findings import Finding, listed
from ava_jax.metrics.iou import iou

# IoU. Of 210,000 annotated people in files of AVA, 7 have such a neighbour.
_NEARLY_EQUAL = 0.9


def check_duplicates(table: BoxTable, split: str) -> list[Finding]:
    """Rows that repeat the box and action of another row of their key frame."""
    frame = annotations.index_frames(table).rows[0]
    keys = (*table.box.T, table.label, frame)
    order = np.lexsort(keys)
    same = np.ones(max(len(order) - 1, 0), bool)
    for key in keys:
        same &= key[order[1:]] == key[order[:-1]]
    # The sort is stable: of equal rows, all but the first in the file are marked.
    repeated = np.zeros(len(table), bool)
    repeated[order[1:][same]] = True
    return row_findings(
        table,
        "duplicate rows",
        repeated,
        "The same box and action again, at second {t} of {video}: one person counts "
        "as several, of whom the evaluation finds one at most.",
        "Delete the repetitions.",
        split=split,
    )


def check_near_duplicates(table: BoxTable, split: str) -> list[Finding]:
    """People who have two boxes that are nearly equal.

    A problem, unless the person ids say that these are two people.
    """
    frame = annotations.index_frames(table).rows[0]
    # In file order, so that the later box of a pair is marked.
    _, first = np.unique(np.column_stack([frame, table.box]), axis=0, return_index=True)
    first = first[np.lexsort((first, frame[first]))]
    later, same_person = [], []
    for step in range(1, len(first)):
        # People of a frame are neighbours here: compared with the first, the second,
        # ... one after them.
        pairs = np.flatnonzero(frame[first[step:]] == frame[first[:-step]])
        if not len(pairs):
            break
        one, other = first[pairs], first[pairs + step]
        near = iou(table.box[one], table.box[other]) >= _NEARLY_EQUAL
        later.append(other[near])
        same_person.append(table.entity[one[near]] == table.entity[other[near]])
    marked = np.zeros(len(table), bool)
    marked[np.concatenate([[], *later]).astype(np.int64)] = True
    return row_findings(
        table,
        "people in two nearly equal boxes",
        marked,
        f"The first is {{box}}, at second {{t}} of {{video}}: another box has an IoU "
        f"of {_NEARLY_EQUAL} or more with it. Rows of one person must have exactly the "
        "same box; otherwise they are two people, each with a part of the actions.",
        "Write one box in all rows of a person.",
        split=split,
        is_problem=any(map(np.any, same_person)),
    )


def check_shared_movies(train: BoxTable, val: BoxTable) -> list[Finding]:
    """Movies that both splits have."""
    shared = [name for name in train.videos if name in set(val.videos)]
    if not shared:
        return []
    frames = annotations.index_frames(train, val)
    common = len(np.intersect1d(frames.rows[0], frames.rows[1]))
    lines = [
        int(table.line[np.argmax(table.video == table.videos.index(shared[0]))])
        for table in (train, val)
    ]
    files = f"{train.path}:{lines[0]} and {pathlib.Path(val.path).name}:{lines[1]}"
    found = f"{shared[0]} is in {files}. "
    if common:
        found += f"{common:,} key frames are in both splits: the model is tested on "
        found += "what it was trained on, and the mAP is too high."
    else:
        found += "No key frame is in both splits, but the same people and places are: "
        found += "the mAP says little about other movies."
    return listed(
        "movies in both splits",
        shared,
        found,
        "Keep all of a movie in one split.",
        is_problem=common > 0,
    )


def check_samples(
    samples: Mapping[int, int], labels: Mapping[int, str], path: str, split: str
) -> list[Finding]:
    """Learned actions that no box of the split has.

    Args:
      samples: number of people by the id of each learned action.
      labels: the label map.
      path: the annotation file.
      split: 'train' or 'val'.
    """
    found = {
        "train": "An action without an example cannot be learned.",
        "val": "An action without an example has no AP; the mAP leaves it out.",
    }
    return listed(
        "actions without samples",
        [
            f"{path}: {i} {labels[i]}"
            for i, count in samples.items()
            if not count and i in labels
        ],
        found[split],
        "Annotate some, or name the actions to learn in --config.data.class_ids (with "
        "--config.model.num_classes one higher than their number).",
        split=split,
        is_problem=split == "train",
    )
