"""What about detections, and the ground truth they are for, may mislead."""

from collections.abc import Mapping

import numpy as np

from ava_jax.annotations.box_table import NO_LABEL, BoxTable, Problem, index_frames

# A coordinate beyond this is no fraction of a frame, however wrong the box.
_LARGEST_FRACTION = 2.0
_FEW = 0.01
_MOST = 0.5


def check_detections(
    ground_truth: BoxTable,
    detections: BoxTable,
    class_names: Mapping[int, str],
) -> list[Problem]:
    """What is wrong or doubtful about two tables that are to be compared.

    A problem is fatal where the mAP would not mean what it seems to: nothing
    to compare, pixels against fractions, no common key frame, ground truth that
    nothing can match. The others are counted for information.
    """
    problems = [*ground_truth.problems, *detections.problems]
    for table in (ground_truth, detections):
        problems += _check_labels(table, class_names)
    if any(problem.fatal for problem in problems):
        return problems
    problems += _check_units(ground_truth, detections)
    problems += _check_corners(ground_truth, detections)
    problems += _check_scores(detections)
    problems += _check_frames(ground_truth, detections)
    return problems


def _problem(
    name: str, table: BoxTable, rows: np.ndarray, message: str, fatal: bool = False
) -> list[Problem]:
    """One problem of the rows where `rows` holds; none where it never does.

    `message` is formatted with the first row's label, score, box, video and t.
    """
    rows = np.flatnonzero(rows)
    if not len(rows):
        return []
    first = rows[0]
    message = message.format(
        label=table.label[first],
        score=table.score[first],
        box=" ".join(f"{value:g}" for value in table.box[first]),
        video=table.videos[table.video[first]],
        t=f"{table.timestamp[first]:g}",
    )
    line = int(table.line[first])
    return [Problem(name, table.path, line, len(rows), message, fatal)]


def _check_labels(table: BoxTable, class_names: Mapping[int, str]) -> list[Problem]:
    known = np.isin(table.label, list(class_names))
    if not known.any():
        found = np.unique(table.label)[:5].tolist()
        message = (
            f"no row has an action of the label map (found {found}, expected ids "
            f"from {min(class_names)} to {max(class_names)}); "
            if len(table)
            else "no boxes; "
        )
        return [
            Problem(
                "nothing to score",
                table.path,
                0,
                len(table),
                message + "check that this is the right file and label map",
                fatal=True,
            )
        ]
    return _problem(
        "no label", table, table.label == NO_LABEL, "no action id; the row is ignored"
    ) + _problem(
        "unknown label",
        table,
        ~known & (table.label != NO_LABEL),
        "action id {label} is not in the label map; the row is ignored",
    )


def _check_units(ground_truth: BoxTable, detections: BoxTable) -> list[Problem]:
    large = [
        (np.abs(table.box) > _LARGEST_FRACTION).any(1)
        for table in (ground_truth, detections)
    ]
    in_pixels = [rows.mean() > _FEW for rows in large]
    problems = []
    for table, rows in zip((ground_truth, detections), large, strict=True):
        problems += _problem(
            "pixel coordinates",
            table,
            rows,
            "box {box}, expected fractions of the frame, 0 to 1; divide x by the "
            "width and y by the height",
            # If all is in pixels, IoU is right all the same.
            fatal=in_pixels[0] != in_pixels[1],
        )
        outside = ((table.box < 0) | (table.box > 1)).any(1) & ~rows
        problems += _problem(
            "outside the frame", table, outside, "box {box} reaches out of the frame"
        )
    return problems


def _check_corners(ground_truth: BoxTable, detections: BoxTable) -> list[Problem]:
    expected = "expected x1 y1 x2 y2 with x1 < x2 and y1 < y2"
    problems = _problem(
        "inverted box",
        ground_truth,
        (ground_truth.box[:, :2] > ground_truth.box[:, 2:]).any(1),
        f"box {{box}} of ground truth, which nothing can match; {expected}",
        fatal=True,
    )
    inverted = (detections.box[:, :2] > detections.box[:, 2:]).any(1)
    problems += _problem(
        "inverted box",
        detections,
        inverted,
        f"box {{box}}, which is ignored; {expected}",
        fatal=bool(inverted.mean() > _MOST),
    )
    flat = (detections.box[:, :2] == detections.box[:, 2:]).any(1) & ~inverted
    return problems + _problem(
        "box without area",
        detections,
        flat,
        "box {box}: `activitynet` ignores it, to `mmaction2` it is a false one",
    )


def _check_scores(detections: BoxTable) -> list[Problem]:
    score = detections.score
    return _problem(
        "no score",
        detections,
        np.isnan(score),
        "no score in column 8; it counts as 1, and equal scores rank by row",
    ) + _problem(
        "score outside [0, 1]",
        detections,
        (score < 0) | (score > 1),
        "score {score:g} (only the order of scores counts; if these are person ids, "
        "the file is ground truth and not detections)",
    )


def _check_frames(ground_truth: BoxTable, detections: BoxTable) -> list[Problem]:
    frames = index_frames(ground_truth, detections)
    in_truth = np.zeros(len(frames.video), bool)
    in_truth[frames.rows[0]] = in_truth[frames.keyframes[0]] = True
    detected = np.zeros(len(frames.video), bool)
    detected[frames.rows[1]] = True
    both = in_truth & detected
    without = ~in_truth[frames.rows[1]]
    place = "key frame {t} of {video} is not in the ground truth; "
    if not both.any():
        other = f"{ground_truth.timestamp[0]:g} of "
        other += ground_truth.videos[ground_truth.video[0]]
        place += f"none is in common (the ground truth begins with {other})"
        return _problem("no common key frame", detections, without, place, fatal=True)
    missed = ~detected[frames.rows[0]]
    return (
        _problem(
            "key frame without ground truth",
            detections,
            without,
            place + "its detections are false ones to `activitynet` and do not "
            "count to `mmaction2`",
        )
        + _problem(
            "key frame without detections",
            ground_truth,
            missed,
            "key frame {t} of {video} has no detections; its actions are missed",
        )
        + _check_padding(ground_truth, detections)
    )


def _check_padding(ground_truth: BoxTable, detections: BoxTable) -> list[Problem]:
    """Timestamps that are padded to four digits on one side alone."""
    problems = []
    for table, other in (
        (ground_truth, detections),
        (detections, ground_truth),
    ):
        if _padded(other).any() and not _padded(table).any():
            problems += _problem(
                "unpadded timestamp",
                table,
                (table.timestamp < 1000) & (table.digits < 4),
                "timestamp {t} is not padded to four digits, those of "
                f"{other.path} are; they match here, as numbers",
            )
    return problems


def _padded(table: BoxTable) -> np.ndarray:
    return (table.timestamp < 1000) & (table.digits >= 4)
