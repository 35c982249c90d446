"""Subsampling of key frames, for a quick estimate of the mAP."""

import dataclasses

import numpy as np

from ava_jax.data.split import Split
from ava_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Subsample:
    """Some key frames of a split.

    Attributes:
      split: with these key frames only, ground truth included.
      rows: (P,) int64, the rows of the whole split's `proposal_boxes` that it has.
    """

    split: Split
    rows: np.ndarray


def subsample(split: Split, stride: int) -> Subsample:
    """Keeps the key frames whose whole second is a multiple of `stride`.

    PySlowFast's estimate during training is of this kind, with a stride of 4
    (`slowfast/datasets/ava_helper.py`, `slowfast/utils/meters.py`).

    Args:
      split: all key frames.
      stride: whole seconds, 0 or more; 0 and 1 keep all.

    Raises:
      UserError: no key frame with an annotated action is left.
    """
    if stride in (0, 1):
        return Subsample(split, np.arange(len(split.proposal_boxes)))
    keep = _is_due(split.second, stride)
    if not np.diff(split.truth_starts)[keep].any():
        raise UserError(
            f"config.eval.stride_seconds is {stride}, but no key frame with an action "
            f"is at a multiple of {stride} s (the first is at {split.second[0]:g} s). "
            "Give another stride, or 0 for all key frames."
        )
    table = split.ground_truth
    kept, rows = select(split, keep)
    kept = dataclasses.replace(
        kept,
        ground_truth=table.select(
            _is_due(table.timestamp, stride), _is_due(table.keyframe_timestamp, stride)
        ),
    )
    return Subsample(kept, rows)


def select(split: Split, keep: np.ndarray) -> tuple[Split, np.ndarray]:
    """Some key frames of a split, whose ground truth stays whole.

    Args:
      split: the split.
      keep: (K,) bool.

    Returns:
      The key frames, and the rows of `split.proposal_boxes` that they have.
    """
    truth_starts, truth = _keep_groups(split.truth_starts, keep)
    proposal_starts, rows = _keep_groups(split.proposal_starts, keep)
    kept = dataclasses.replace(
        split,
        video=split.video[keep],
        second=split.second[keep],
        centre=split.centre[keep],
        truth_starts=truth_starts,
        truth_boxes=split.truth_boxes[truth],
        truth_classes=split.truth_classes[truth],
        proposal_starts=proposal_starts,
        proposal_boxes=split.proposal_boxes[rows],
        repeats=split.repeats[keep],
    )
    return kept, rows


def _is_due(seconds: np.ndarray, stride: int) -> np.ndarray:
    return np.floor(seconds) % stride == 0


def _keep_groups(starts: np.ndarray, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts of the kept groups, and the rows that they consist of."""
    counts = np.diff(starts)
    rows = np.flatnonzero(np.repeat(keep, counts))
    return np.concatenate([[0], np.cumsum(counts[keep])]), rows
