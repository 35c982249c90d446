"""Rows of annotation files, grouped by key frame and person."""

from collections.abc import Sequence

import numpy as np

from ava_jax.annotations.box_table import BoxTable


def people(
    table: BoxTable,
    frames: np.ndarray,
    learnable: np.ndarray,
    kept: np.ndarray,
    class_ids: np.ndarray,
) -> dict[str, np.ndarray]:
    """The people of some key frames: rows with the same box are one person.

    Args:
      table: R rows.
      frames: (R,) number of each row's key frame.
      learnable: (R,) bool, which rows count.
      kept: (F,) bool, by number: the key frames that are wanted.
      class_ids: (num_classes,) action id of each class.

    Returns:
      `truth_starts`, `truth_boxes` and `truth_classes` of a `Split`: by
      key frame, and within it in the order of the file.
    """
    rows = np.flatnonzero(learnable & kept[frames])
    frame, box = frames[rows], table.box[rows]
    # Rows of one person become neighbours, the first of the file first.
    order = np.lexsort((rows, *box.T, frame))
    rows, frame, box = rows[order], frame[order], box[order]
    new = np.ones(len(rows), bool)
    new[1:] = (frame[1:] != frame[:-1]) | (box[1:] != box[:-1]).any(axis=1)
    starts = np.flatnonzero(new)
    by_file = np.lexsort((rows[starts], frame[starts]))
    place = np.empty(len(starts), np.int64)
    place[by_file] = np.arange(len(starts))
    classes = np.zeros((len(starts), len(class_ids)), np.float32)
    classes[place[np.cumsum(new) - 1], classes_of(table.label[rows], class_ids)] = 1
    counts = np.bincount(frame[starts], minlength=len(kept))[kept]
    return {
        "truth_starts": np.concatenate([[0], np.cumsum(counts)]),
        "truth_boxes": box[starts[by_file]],
        "truth_classes": classes,
    }


def classes_of(labels: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """(R,) int64, the class of each of (R,) action ids; 0 where it is not learned."""
    classes = np.zeros(max(class_ids.max(), labels.max(initial=0)) + 1, np.int64)
    classes[class_ids] = np.arange(len(class_ids))
    return classes[labels]


def confident(
    proposals: Sequence[np.ndarray], threshold: float
) -> dict[str, np.ndarray]:
    """The proposals with a score of at least `threshold`, or of their frame's best.

    Args:
      proposals: of each key frame, (n, 5) boxes with scores, n > 0.
      threshold: lowest score that every key frame keeps.

    Returns:
      `proposal_starts` and `proposal_boxes` of a `Split`.
    """
    counts = np.array([len(boxes) for boxes in proposals])
    boxes = np.concatenate(proposals)
    starts = np.cumsum(counts) - counts
    least = np.minimum(np.maximum.reduceat(boxes[:, 4], starts), threshold)
    keep = boxes[:, 4] >= np.repeat(least, counts)
    kept = np.add.reduceat(keep, starts, dtype=np.int64)
    return {
        "proposal_starts": np.concatenate([[0], np.cumsum(kept)]),
        "proposal_boxes": boxes[keep, :4],
    }
