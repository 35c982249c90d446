"""Checks of person proposals against the annotated key frames."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from ava_jax import annotations
from ava_jax.annotations import BoxTable
from ava_jax.checks.findings import PLACES, Finding, Suspect, listed
from ava_jax.data import grouping
from ava_jax.metrics.iou import best_overlaps

RECALL_IOUS = (0.5, 0.9)
# Fewer people found than this, and something is wrong with the proposals.
_LEAST_RECALL = 0.5
# A coordinate beyond this is no fraction of a frame, however wrong the box.
_LARGEST_FRACTION = 2.0
_SUSPECTS = 6

Proposals = Mapping[tuple[str, float], np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class People:
    """The annotated people of a split's key frames, and the proposals there.

    Attributes:
      keys: (video, second) of every key frame.
      line: (K,) int64, its first line in the annotation file; 0: it is in a row
        without a box.
      boxes: (B, 4) float64, people; those of key frame k are rows `starts[k]` to
        `starts[k + 1]`.
      starts: (K + 1,) int64.
      classes: (B, num_classes) float32, multi-hot.
      proposals: (P, 4) float64, those that the configuration keeps.
      proposal_starts: (K + 1,) int64.
    """

    keys: list[tuple[str, float]]
    line: np.ndarray
    boxes: np.ndarray
    starts: np.ndarray
    classes: np.ndarray
    proposals: np.ndarray
    proposal_starts: np.ndarray

    def recall(self) -> dict[str, float]:
        """Share of the people whom a proposal overlaps enough, by IoU."""
        best = self.overlaps()
        if not len(best):
            return {}
        return {f"{iou:g}": float((best >= iou).mean()) for iou in RECALL_IOUS}

    def overlaps(self) -> np.ndarray:
        """(B,) the highest IoU that a proposal has with each person."""
        return best_overlaps(
            self.boxes, self.starts, self.proposals, self.proposal_starts
        )


def gather_people(
    table: BoxTable,
    class_ids: np.ndarray,
    proposals: Proposals,
    person_score: float,
    *,
    with_empty: bool,
) -> People:
    """Groups annotation rows and proposals by key frame, as `dataset` does.

    Args:
      table: annotations outside the excluded key frames.
      class_ids: (num_classes,) int64, action id of each class; 0 for class 0.
      proposals: (N, 5) boxes with scores by key frame; {}: there are none.
      person_score: `config.data.person_score`.
      with_empty: also key frames without a learned action, as in validation.
    """
    frames = annotations.index_frames(table)
    frame = frames.rows[0]
    learned = np.isin(table.label, class_ids[1:])
    kept = np.ones(len(frames.video), bool)
    if not with_empty:
        kept = np.bincount(frame[learned], minlength=len(kept)) > 0
    line = np.full(len(kept), np.iinfo(np.int64).max)
    np.minimum.at(line, frame, table.line)
    line[np.bincount(frame, minlength=len(kept)) == 0] = 0
    truth = grouping.people(table, frame, learned, kept, class_ids)
    videos = (frames.videos[number] for number in frames.video[kept])
    keys = list(zip(videos, frames.timestamp[kept].tolist(), strict=True))
    boxes, starts = _confident([proposals.get(key, ()) for key in keys], person_score)
    return People(
        keys=keys,
        line=line[kept],
        boxes=truth["truth_boxes"],
        starts=truth["truth_starts"],
        classes=truth["truth_classes"],
        proposals=boxes,
        proposal_starts=starts,
    )


def _confident(found, person_score: float) -> tuple[np.ndarray, np.ndarray]:
    """The boxes that are kept of each key frame's, and where they start."""
    some = [boxes for boxes in found if len(boxes)]
    counts = np.zeros(len(found), np.int64)
    if not some:
        return np.zeros((0, 4)), np.append(0, counts)
    kept = grouping.confident(some, person_score)
    counts[[len(boxes) > 0 for boxes in found]] = np.diff(kept["proposal_starts"])
    return kept["proposal_boxes"], np.append(0, np.cumsum(counts))


def check_keys(
    people: People, proposals: Proposals, table_path: str, path: str, split: str
) -> list[Finding]:
    """Annotated key frames without a proposal."""
    missing = np.flatnonzero(
        [not len(proposals.get(key, ())) for key in people.keys]
    ).tolist()
    if not missing:
        return []
    lines = (int(people.line[k]) for k in missing[:PLACES])
    files = (f"{table_path}:{line}" if line else table_path for line in lines)
    keys = (_key(people.keys[k]) for k in missing[:PLACES])
    places = tuple(f"{file}: no key '{key}'" for file, key in zip(files, keys))
    why = _why(people.keys[missing[0]], proposals)
    return [
        Finding(
            "key frames without proposals",
            len(missing),
            places,
            f"Of {len(people.keys):,} annotated key frames, {path} has no box for "
            f"these. {why}",
            "Write the keys as in the annotations, '<video>,<second>', or make "
            "proposals: python scripts/prepare_ava.py proposals --help. "
            "--config.data.no_proposals=skip leaves such key frames out.",
            split,
            suspects=_suspects(people, missing[:PLACES]),
        )
    ]


def _why(key: tuple[str, float], proposals: Proposals) -> str:
    """What the keys of the proposals look like beside one that is missing."""
    video, second = key
    if not proposals:
        return "It has no boxes at all."
    seconds = sorted(t for name, t in proposals if name == video)
    if seconds:
        nearest = min(seconds, key=lambda t: abs(t - second))
        return (
            f"It has {len(seconds)} other seconds of {video}, from {seconds[0]:g} to "
            f"{seconds[-1]:g}; the nearest to {second:g} is {nearest:g}."
        )
    names = list(dict.fromkeys(name for name, _ in proposals))
    folded = video.casefold()
    alike = [n for n in names if folded in n.casefold() or n.casefold() in folded]
    return f"It does not know {video}; it knows {(alike or names)[0]}, for example."


def _key(key: tuple[str, float]) -> str:
    return f"{key[0]},{key[1]:04g}"


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
    """Proposals in pixels, inverted, or with scores that are none."""
    keys = [key for key, boxes in proposals.items() if len(boxes)]
    if not keys:
        return []
    counts = [len(proposals[key]) for key in keys]
    frame = np.repeat(np.arange(len(keys)), counts)
    boxes = np.concatenate([proposals[key] for key in keys])

    def finding(name, rows, found, remedy):
        indices = np.flatnonzero(rows)
        if not len(indices):
            return []
        values = " ".join(f"{value:g}" for value in boxes[indices[0]])
        frames = list(dict.fromkeys(frame[indices].tolist()))[:PLACES]
        return [
            Finding(
                name,
                len(indices),
                tuple(f"{path}: '{_key(keys[k])}'" for k in frames),
                f"The first is {values}; {found}",
                remedy,
                split,
            )
        ]

    large = (np.abs(boxes[:, :4]) > _LARGEST_FRACTION).any(1)
    inverted = (boxes[:, :2] > boxes[:, 2:4]).any(1)
    score = boxes[:, 4]
    return [
        *finding(
            "proposals in pixels",
            large,
            "expected fractions of the frame, 0 to 1.",
            "Divide x1 and x2 by the width of the frame, y1 and y2 by its height.",
        ),
        *finding(
            "inverted proposals",
            inverted,
            "expected x1 y1 x2 y2 with x1 < x2 and y1 < y2.",
            "Order the corners. Is it x y width height? Then write x y x+width "
            "y+height.",
        ),
        *finding(
            "proposals with scores outside 0 to 1",
            (score < 0) | (score > 1),
            "the fifth number is the score, 0 to 1.",
            "Write the person detector's confidence.",
        ),
    ]


def check_scores(
    proposals: Proposals, people: People, person_score: float, split: str, path: str
) -> list[Finding]:
    """Key frames of which only the best box is kept, because all scores are low."""
    return listed(
        "key frames whose proposals all have low scores",
        [
            f"{path}: '{_key(key)}'"
            for key in people.keys
            if len(proposals.get(key, ())) and proposals[key][:, 4].max() < person_score
        ],
        f"All are below config.data.person_score={person_score:g}; only the best box "
        "of each is kept.",
        "Set --config.data.person_score to what the detector's scores mean.",
        split=split,
        is_problem=False,
    )


def check_recall(people: People, split: str, path: str) -> list[Finding]:
    """Whether the proposals find the annotated people."""
    recall = people.recall()
    if not recall or not len(people.proposals):
        return []
    missed = people.overlaps() < RECALL_IOUS[0]
    if not missed.any():
        return []
    key_frame = np.repeat(np.arange(len(people.keys)), np.diff(people.starts))
    misses = np.bincount(key_frame[missed], minlength=len(people.keys))
    worst = np.argsort(-misses, kind="stable")[:_SUSPECTS]
    worst = worst[misses[worst] > 0].tolist()
    shares = ", ".join(f"{share:.1%} at IoU {iou}" for iou, share in recall.items())
    return [
        Finding(
            "people whom no proposal covers",
            int(missed.sum()),
            tuple(
                f"{path}: '{_key(people.keys[k])}' misses {misses[k]}"
                for k in worst[:PLACES]
            ),
            f"The proposals find {shares} of {len(people.boxes):,} annotated people. "
            "What they miss cannot be scored: no mAP is higher than the first share "
            "allows.",
            "Are they of the same videos and seconds, in fractions, corners in order? "
            "Then find people better, or lower config.data.person_score.",
            split,
            is_problem=recall[f"{RECALL_IOUS[0]:g}"] < _LEAST_RECALL,
            suspects=_suspects(people, worst),
        )
    ]


def _suspects(people: People, key_frames: list[int]) -> tuple[Suspect, ...]:
    suspects = []
    for k in key_frames:
        boxes = people.boxes[people.starts[k] : people.starts[k + 1]]
        proposals = slice(*people.proposal_starts[k : k + 2])
        captions = ("annotated",) * len(boxes)
        suspects.append(
            Suspect(*people.keys[k], boxes, captions, people.proposals[proposals])
        )
    return tuple(suspects)
