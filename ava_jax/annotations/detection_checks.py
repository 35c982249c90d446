"""Checks of a table of detections together with its ground truth."""

from collections.abc import Mapping

import numpy as np

from ava_jax.annotations.box_checks import (
    check_area,
    check_corners,
    check_extent,
    check_scores,
    check_units,
    row_findings,
)
from ava_jax.annotations.box_table import NO_LABEL, BoxTable, index_frames
from ava_jax.annotations.findings import Finding, as_notes
from ava_jax.annotations.label_checks import check_unlabeled, check_unnamed

_FEW = 0.01
_MOST = 0.5
_ALL = 0.99


def check_detections(
    ground_truth: BoxTable,
    detections: BoxTable,
    class_names: Mapping[int, str],
) -> list[Finding]:
    """What is wrong or doubtful about two tables that are to be compared.

    A problem is where the mAP would not mean what it seems to: nothing to compare,
    pixels against fractions, no common key frame, ground truth that nothing can
    match. The others are counted for information.
    """
    findings = [*ground_truth.problems, *detections.problems]
    for table in (ground_truth, detections):
        findings += _check_labels(table, class_names)
    findings += _check_first_id(detections, class_names)
    if any(finding.is_problem for finding in findings):
        return findings
    findings += _check_boxes(ground_truth, detections)
    findings += check_scores(
        detections,
        "Only the order of scores counts. If these are person ids, the file is ground "
        "truth and not detections.",
        is_problem=False,
    )
    findings += row_findings(
        detections,
        "rows without a score",
        np.isnan(detections.score),
        "There is none in column 8: it counts as 1, and equal scores rank by row.",
        "Write the scores of the detector.",
        is_problem=False,
    )
    findings += _check_for_truth(ground_truth, detections)
    return findings + _check_frames(ground_truth, detections)


def _check_for_truth(ground_truth: BoxTable, detections: BoxTable) -> list[Finding]:
    """Ground truth that is given as detections.

    Its column 8 has person ids, which for one or two people are 0 and 1 as scores may
    be. (Of higher ones `check_scores` says that they are no scores.)
    """
    score = detections.score
    if not (np.isnan(score) | (score == 0) | (score == 1)).all():
        return []
    frames = index_frames(ground_truth, detections).rows
    rows = [
        np.column_stack([frame, table.box, table.label])
        for frame, table in zip(frames, (ground_truth, detections), strict=True)
    ]
    _, number = np.unique(np.concatenate(rows), axis=0, return_inverse=True)
    annotated, detected = np.split(number, [len(ground_truth)])
    share = np.isin(detected, annotated).mean()
    return row_findings(
        detections,
        "detections that seem to be ground truth",
        np.full(len(detections), share >= _ALL or bool((score == 0).any())),
        f"Column 8 has no other numbers than 0 and 1, as person ids; {share:.1%} of "
        "the rows have box and action of a row of the ground truth.",
        "Give the file that the detector wrote.",
        is_problem=False,
    )


def _check_first_id(
    detections: BoxTable, class_names: Mapping[int, str]
) -> list[Finding]:
    """Action ids that are one lower than in the label map, from 0 to the last but one.

    Where class 0 is a background class, the last id is that of the label map.
    """
    label, last = detections.label, max(class_names)
    return row_findings(
        detections,
        "action ids that count from 0",
        (label == NO_LABEL) & (label.max(initial=0) == last - 1),
        f"The ids are from 0 to {last - 1}, those of the label map from "
        f"{min(class_names)} to {last}: every score would count for the action before "
        "its own.",
        "Add 1 to the ids. If 0 stands for no action, leave these rows out.",
    )


def _check_labels(table: BoxTable, class_names: Mapping[int, str]) -> list[Finding]:
    if not np.isin(table.label, list(class_names)).any():
        found = (
            f"No row has an action of the label map (found "
            f"{np.unique(table.label)[:5].tolist()}, expected ids from "
            f"{min(class_names)} to {max(class_names)})."
            if len(table)
            else "There are no boxes."
        )
        remedy = "Check that this is the right file and label map."
        name = "nothing to score"
        return [Finding(name, 1, (table.path,), found, remedy)]
    return [
        *check_unlabeled(table, is_problem=False),
        *check_unnamed(table, class_names),
    ]


def _check_boxes(ground_truth: BoxTable, detections: BoxTable) -> list[Finding]:
    tables = ground_truth, detections
    units = [check_units(table) for table in tables]
    in_pixels = [
        _share(found, table) > _FEW for found, table in zip(units, tables, strict=True)
    ]
    # If all is in pixels, IoU is right all the same.
    if in_pixels[0] == in_pixels[1]:
        units = [as_notes(found) for found in units]
    inverted = check_corners(detections)
    if _share(inverted, detections) <= _MOST:
        inverted = as_notes(inverted)
    effect = "`mmaction2` counts it as a false one, the other protocols ignore it"
    return [
        *units[0],
        *check_extent(ground_truth, is_problem=False),
        *units[1],
        *check_extent(detections, is_problem=False),
        *check_corners(ground_truth),
        *inverted,
        *check_area(detections, effect=effect, is_problem=False),
    ]


def _share(findings: list[Finding], table: BoxTable) -> float:
    """Of the table's rows, those that a rule has found."""
    return sum(finding.count for finding in findings) / len(table)


def _check_frames(ground_truth: BoxTable, detections: BoxTable) -> list[Finding]:
    frames = index_frames(ground_truth, detections)
    in_truth = np.zeros(len(frames.video), bool)
    in_truth[frames.rows[0]] = in_truth[frames.keyframes[0]] = True
    detected = np.zeros(len(frames.video), bool)
    detected[frames.rows[1]] = True
    without = ~in_truth[frames.rows[1]]
    place = "The first is second {t} of {video}"
    if not (in_truth & detected).any():
        video = ground_truth.videos[ground_truth.video[0]]
        return row_findings(
            detections,
            "no common key frame",
            without,
            f"{place}; the ground truth begins with second "
            f"{ground_truth.timestamp[0]:g} of {video}.",
            "Name videos and seconds in both files alike.",
        )
    return [
        *row_findings(
            detections,
            "detections on key frames without ground truth",
            without,
            f"{place}: they are false ones to `pyslowfast`; to `activitynet` and "
            "`mmaction2` they do not count.",
            "Leave them out, if these key frames are not annotated.",
            is_problem=False,
        ),
        *row_findings(
            ground_truth,
            "rows of key frames without detections",
            ~detected[frames.rows[0]],
            f"{place}: its actions are missed.",
            "Score all annotated key frames.",
            is_problem=False,
        ),
        *_check_padding(ground_truth, detections),
        *_check_padding(detections, ground_truth),
    ]


def _check_padding(table: BoxTable, other: BoxTable) -> list[Finding]:
    """Timestamps that are padded to four digits in the other table alone."""
    if _padded(table).any() or not _padded(other).any():
        return []
    return row_findings(
        table,
        "unpadded timestamps",
        (table.timestamp < 1000) & (table.digits < 4),
        f"The first is {{t}}; those of {other.path} have four digits. They match "
        "here, as numbers.",
        "Nothing here; other programs may want four digits in both files.",
        is_problem=False,
    )


def _padded(table: BoxTable) -> np.ndarray:
    return (table.timestamp < 1000) & (table.digits >= 4)
