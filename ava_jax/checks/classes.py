"""Checks of action ids, label map and classes."""

import functools
from collections.abc import Mapping

import ml_collections
import numpy as np

from ava_jax.annotations import NO_LABEL, BoxTable
from ava_jax.checks.findings import Finding, listed, row_findings


def check_classes(
    config: ml_collections.ConfigDict, labels: Mapping[int, str]
) -> list[Finding]:
    """Contradictions between the classes of the configuration and the label map."""
    ids, classes = tuple(config.data.class_ids), config.model.num_classes
    count, highest, path = len(ids) + 1, max(labels), config.data.labels
    findings = listed(
        "class ids that the label map lacks",
        [str(i) for i in sorted(set(ids) - set(labels))],
        f"config.data.class_ids names ids that {path} lacks.",
        "Name them in the label map, or take them out.",
    )
    if ids and count != classes:
        findings += listed(
            "class ids that do not fit the number of classes",
            ["config.data.class_ids"],
            f"config.data.class_ids has {len(ids)} ids and config.model.num_classes is "
            f"{classes}; class 0 is reserved.",
            f"--config.model.num_classes={count}",
        )
    if not ids and classes - 1 > highest:
        findings += listed(
            "classes that nothing trains",
            ["config.model.num_classes"],
            f"config.model.num_classes is {classes}, class 0 included; the highest "
            f"action id of {path} is {highest}.",
            f"--config.model.num_classes={highest + 1}",
            is_problem=False,
        )
    return findings


def check_labels(
    table: BoxTable,
    labels: Mapping[int, str],
    config: ml_collections.ConfigDict,
    split: str,
) -> list[Finding]:
    """Action ids that the label map or the configuration has no place for.

    Args:
      table: rows of the annotation file.
      labels: the label map.
      config: the whole configuration.
      split: 'train' or 'val'.
    """
    find = functools.partial(row_findings, table, split)
    classes, path = config.model.num_classes, config.data.labels
    every = not config.data.class_ids
    label, highest = table.label, max(labels)
    outside = (label < 0) | (label > highest)
    # AVA's own label maps leave out 20 of the 80 ids that its annotations use.
    unnamed = ~np.isin(label, [NO_LABEL, *labels]) & ~outside
    return [
        *find(
            "action ids outside the label map",
            outside,
            f"The first is {{label}}; {path} has {min(labels)} to {highest}.",
            "Correct the rows, or give the label map that belongs to them: "
            "--config.data.labels=FILE",
        ),
        *find(
            "rows without an action id",
            label == NO_LABEL,
            "The id is 0 or empty, which no action has: the row is not learned and "
            "not scored.",
            "Ids count from 1: if yours count from 0, add 1 here and in the label map.",
        ),
        *find(
            "action ids that the label map does not name",
            unnamed,
            f"The first is {{label}}, which {path} skips: it is learned and not "
            "scored. In AVA's own files this is intended.",
            "Nothing, if the label map is AVA's; else name it there.",
            is_problem=False,
        ),
        *find(
            "action ids without a class",
            ~outside & (label >= classes) & every,
            f"The first is {{label}}; config.model.num_classes is {classes}, "
            "class 0 included.",
            f"--config.model.num_classes={highest + 1}, or name the ids to learn in "
            "--config.data.class_ids.",
        ),
    ]


def check_samples(
    samples: Mapping[int, int], labels: Mapping[int, str], path: str, split: str
) -> list[Finding]:
    """Learned actions that no box of the split has.

    Args:
      samples: number of people by the id of each learned action.
      labels: the label map.
      path: of the annotation file.
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
