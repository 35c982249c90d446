"""Rules about action ids: rows of a table, label map and classes together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ava_jax.annotations.box_checks import row_findings
from ava_jax.annotations.box_table import NO_LABEL, BoxTable
from ava_jax.annotations.findings import Finding, listed


def check_classes(
    class_ids: Sequence[int], num_classes: int, labels: Mapping[int, str], path: str
) -> list[Finding]:
    """Contradictions between the configuration's classes and a label map at `path`."""
    count, highest = len(class_ids) + 1, max(labels)
    findings = listed(
        "class ids that the label map lacks",
        [str(i) for i in sorted(set(class_ids) - set(labels))],
        f"config.data.class_ids names ids that {path} lacks.",
        "Name them in the label map, or take them out.",
    )
    if class_ids and count != num_classes:
        findings += listed(
            "class ids that do not fit the number of classes",
            ["config.data.class_ids"],
            f"config.data.class_ids has {len(class_ids)} ids and "
            f"config.model.num_classes is {num_classes}; class 0 is reserved.",
            f"--config.model.num_classes={count}",
        )
    if not class_ids and num_classes - 1 > highest:
        findings += listed(
            "classes that nothing trains",
            ["config.model.num_classes"],
            f"config.model.num_classes is {num_classes}, class 0 included; the highest "
            f"action id of {path} is {highest}.",
            f"--config.model.num_classes={highest + 1}",
            is_problem=False,
        )
    return findings


def check_labels(
    table: BoxTable,
    labels: Mapping[int, str],
    class_ids: Sequence[int],
    num_classes: int,
    path: str,
    **fields: Any,
) -> list[Finding]:
    """Action ids that are not in the label map at `path`, or have no class."""
    highest = highest_label(labels, class_ids, num_classes)
    outside = (table.label < 0) | (table.label > highest)
    has_class = bool(class_ids) | (table.label < num_classes)
    return [
        *row_findings(
            table,
            "action ids outside the label map",
            outside,
            f"The first is {{label}}; expected 1 to {highest}, by {path}.",
            "Correct the rows, or give the label map that belongs to them: "
            "--config.data.labels=FILE",
            **fields,
        ),
        *row_findings(
            table,
            "action ids without a class",
            ~outside & ~has_class,
            f"The first is {{label}}; config.model.num_classes is {num_classes}, "
            "class 0 included.",
            f"--config.model.num_classes={highest + 1}, or name the ids to learn in "
            "--config.data.class_ids.",
            **fields,
        ),
    ]


def highest_label(
    labels: Mapping[int, str], class_ids: Sequence[int], num_classes: int
) -> int:
    """The highest action id that is valid. Arguments: see `check_labels`."""
    # AVA's own label maps name 60 of the 80 ids that its annotations use.
    return max(labels) if class_ids else max(*labels, num_classes - 1)


def check_unlabeled(table: BoxTable, **fields: Any) -> list[Finding]:
    """Rows without an action."""
    return row_findings(
        table,
        "rows without an action id",
        table.label == NO_LABEL,
        "The id is 0 or empty, which no action has: the row is not learned and not "
        "scored.",
        "Ids count from 1: if yours count from 0, add 1 here and in the label map.",
        **fields,
    )


def check_unnamed(
    table: BoxTable, labels: Mapping[int, str], highest: float = np.inf
) -> list[Finding]:
    """Action ids up to `highest` that the label map leaves out.

    This is only a note: AVA's own label maps do so on purpose.
    """
    unnamed = ~np.isin(table.label, [NO_LABEL, *labels]) & (table.label <= highest)
    return row_findings(
        table,
        "action ids that the label map does not name",
        unnamed,
        f"The first is {{label}}; the label map has {len(labels)} ids from "
        f"{min(labels)} to {max(labels)}. Rows with such an id are not scored.",
        "Nothing, if the label map is AVA's; otherwise name the ids in it.",
        is_problem=False,
    )
