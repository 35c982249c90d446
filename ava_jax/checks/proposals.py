"""Checks that the doctor alone makes of person proposals."""

import numpy as np

from ava_jax.annotations import BoxTable
from ava_jax.annotations.box_checks import (
    check_people,
    check_position,
    row_findings,
)
from ava_jax.annotations.findings import PLACES, Finding, listed
from ava_jax.data.grouping import RECALL_IOUS, KeyFrames, Proposals, key_text, recall
from ava_jax.data.split_checks import suspects_of

# Fewer people found than this, and something is wrong with the proposals.
_LEAST_RECALL = 0.5
_SUSPECTS = 6


def check_padding(keys: list[str], path: str, split: str) -> list[Finding]:
    """Keys that are read here and not by MMAction2: see `proposals.unpadded_keys`."""
    return listed(
        "proposal keys that are not padded",
        [f"{path}: '{key}'" for key in keys],
        "Here they are read as numbers, and match. MMAction2 looks for four digits and "
        "would give these key frames one box of the whole frame.",
        "Write the seconds with four digits if MMAction2 is to read the file.",
        split=split,
        is_problem=False,
    )


def check_boxes(proposals: Proposals, path: str, split: str) -> list[Finding]:
    """Proposals in pixels, inverted, off the frame, or with scores that are none."""
    table = BoxTable.from_frames(proposals, path)
    return [
        *check_people(table, split=split),
        *check_position(table, "proposals", split=split),
        *_check_for_ids(table, split),
    ]


def _check_for_ids(table: BoxTable, split: str) -> list[Finding]:
    """Person ids where scores should be: the file is ground truth."""
    score = table.score
    # Higher ids are no probabilities, which is a finding of its own; and where all are
    # 1, the file may well say that it has no scores.
    are_ids = np.isin(score, (0, 1)).all() and (score == 0).any()
    return row_findings(
        table,
        "proposals with person ids for scores",
        np.full(len(table), are_ids),
        "All scores are 0 or 1, as the person ids of column 8 in ground truth: the "
        "person 0 would be the least likely one.",
        "Give the file of a person detector: ava-jax prepare proposals "
        "--help. To use the annotated boxes as proposals, leave column 8 empty.",
        split=split,
    )


def check_low_scores(
    key_frames: KeyFrames, person_score: float, path: str, split: str
) -> list[Finding]:
    """Key frames of which only the best box is kept, because all scores are low."""
    best = key_frames.best_score
    low = np.flatnonzero((best < person_score) & ~np.isneginf(best))
    return listed(
        "key frames whose proposals all have low scores",
        [f"{path}: '{key_text(key_frames.key(k))}'" for k in low[:PLACES]],
        f"All are below config.data.person_score={person_score:g}; only the best box "
        "of each is kept.",
        "Set --config.data.person_score to what the detector's scores mean.",
        count=len(low),
        split=split,
        is_problem=False,
    )


def check_recall(key_frames: KeyFrames, split: str, path: str) -> list[Finding]:
    """Whether the proposals find the annotated people."""
    overlaps = key_frames.overlaps()
    missed = overlaps < RECALL_IOUS[0]
    if not missed.any() or not len(key_frames.proposal_boxes):
        return []
    key_frame = np.repeat(np.arange(len(key_frames)), np.diff(key_frames.truth_starts))
    misses = np.bincount(key_frame[missed], minlength=len(key_frames))
    worst = np.argsort(-misses, kind="stable")[:_SUSPECTS]
    worst = worst[misses[worst] > 0].tolist()
    found = recall(overlaps)
    shares = ", ".join(f"{share:.1%} at IoU {iou}" for iou, share in found.items())
    return [
        Finding(
            "people whom no proposal covers",
            int(missed.sum()),
            tuple(
                f"{path}: '{key_text(key_frames.key(k))}' misses {misses[k]}"
                for k in worst[:PLACES]
            ),
            f"The proposals find {shares} of {len(overlaps):,} annotated people. What "
            "they miss cannot be scored: no mAP is higher than the first share allows.",
            "Are they of the same videos and seconds, in fractions, corners in order? "
            "Then find people better, or lower config.data.person_score.",
            split,
            is_problem=found[f"{RECALL_IOUS[0]:g}"] < _LEAST_RECALL,
            suspects=suspects_of(key_frames, worst),
        )
    ]
