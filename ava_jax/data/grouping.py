"""The rows of a split's files, grouped by key frame and person."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ava_jax import annotations
from ava_jax.annotations import BoxTable
from ava_jax.metrics.iou import best_overlaps

RECALL_IOUS = (0.5, 0.9)
# (N, 5) boxes with scores by (video, seconds).
Proposals = Mapping[tuple[str, float], np.ndarray]
# Rows of x1, y1, x2, y2, score.
_NONE = np.zeros((0, 5))
_FULL_FRAME = np.array([[0.0, 0, 1, 1, 1]])


@dataclasses.dataclass(frozen=True, eq=False)
class KeyFrames:
    """Key frames with their annotated people and proposals.

    The boxes of key frame k are rows `starts[k]` to `starts[k + 1]`.

    Attributes:
      videos: names of the movies that have key frames.
      video: (K,) int32, index into `videos`.
      second: (K,) float64 timestamp.
      line: (K,) int64, the first line in the annotation file; 0: it is that of a row
        without a box.
      truth_starts: (K + 1,) int64.
      truth_boxes: (G, 4) float64 xyxy, fractions of the frame.
      truth_classes: (G, num_classes) float32 multi-hot.
      proposal_starts: (K + 1,) int64.
      proposal_boxes: (P, 4) float64 xyxy, fractions of the frame, of the people
        detected with enough confidence.
      best_score: (K,) float64, highest score of the proposals; -inf: there are none.
      path: the annotation file.
    """

    videos: tuple[str, ...]
    video: np.ndarray
    second: np.ndarray
    line: np.ndarray
    truth_starts: np.ndarray
    truth_boxes: np.ndarray
    truth_classes: np.ndarray
    proposal_starts: np.ndarray
    proposal_boxes: np.ndarray
    best_score: np.ndarray
    path: str

    def __len__(self) -> int:
        """Number of key frames."""
        return len(self.second)

    def key(self, k: int) -> tuple[str, float]:
        """Video and second of a key frame."""
        return self.videos[self.video[k]], float(self.second[k])

    def place(self, k: int) -> str:
        """Where the annotation file has a key frame, for messages."""
        return f"{self.path}:{self.line[k]}" if self.line[k] else self.path

    def overlaps(self) -> np.ndarray:
        """(G,) the highest IoU that a proposal has with each person."""
        return best_overlaps(
            self.truth_boxes,
            self.truth_starts,
            self.proposal_boxes,
            self.proposal_starts,
        )


def key_text(key: tuple[str, float]) -> str:
    """A key frame as AVA's files write it."""
    return f"{key[0]},{key[1]:04g}"


def recall(overlaps: np.ndarray) -> dict[str, float]:
    """IoU -> share of the people whom a proposal overlaps by it; {} without people.

    Args:
      overlaps: (G,) see `KeyFrames.overlaps`.
    """
    if not len(overlaps):
        return {}
    return {f"{iou:g}": float((overlaps >= iou).mean()) for iou in RECALL_IOUS}


def join(
    table: BoxTable,
    class_ids: np.ndarray,
    proposals: Proposals,
    person_score: float,
    *,
    excluded: Iterable[tuple[str, float]] = (),
    is_training: bool,
    no_proposals: str = "error",
) -> KeyFrames:
    """Groups the rows of annotations and proposals by key frame and person.

    Args:
      table: the annotation file.
      class_ids: (num_classes,) int64, action id of each class; 0 for class 0.
      proposals: boxes with scores by key frame; {}: there are none.
      person_score: `config.data.person_score`.
      excluded: (video, second) of key frames that are left out.
      is_training: keep only key frames with an action to learn.
      no_proposals: of key frames that have none, 'skip' leaves them out and
        'full_frame' gives them one box of the whole frame.
    """
    index = annotations.index_frames(table)
    frame = index.rows[0]
    kept = np.ones(len(index.video), bool)
    kept[index.numbers(excluded)] = False
    learned = np.isin(table.label, class_ids[1:])
    if is_training:
        kept &= np.bincount(frame[learned], minlength=len(kept)) > 0

    numbers = np.flatnonzero(kept)
    videos = (index.videos[v] for v in index.video[numbers])
    keys = zip(videos, index.timestamp[numbers].tolist(), strict=True)
    found = [proposals.get(key, _NONE) for key in keys]
    if no_proposals == "skip":
        kept[numbers] = [len(boxes) > 0 for boxes in found]
        numbers, found = np.flatnonzero(kept), [boxes for boxes in found if len(boxes)]
    elif no_proposals == "full_frame":
        found = [boxes if len(boxes) else _FULL_FRAME for boxes in found]

    used, video = np.unique(index.video[numbers], return_inverse=True)
    return KeyFrames(
        videos=tuple(index.videos[v] for v in used),
        video=video.astype(np.int32),
        second=index.timestamp[numbers],
        line=_first_lines(table, frame, len(kept))[numbers],
        **_people(table, frame, learned, kept, class_ids),
        **_confident(found, person_score),
        path=table.path,
    )


def _first_lines(table: BoxTable, frame: np.ndarray, frames: int) -> np.ndarray:
    """(F,) the first line of each frame's rows; 0 where it has none."""
    line = np.full(frames, np.iinfo(np.int64).max)
    np.minimum.at(line, frame, table.line)
    # Frames that only a row without a box names, or none at all.
    line[np.bincount(frame, minlength=frames) == 0] = 0
    return line


def _people(
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
      `truth_starts`, `truth_boxes` and `truth_classes` of `KeyFrames`: by
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
    # The sort above was by box: back to the order of the file in each key frame.
    by_file = np.lexsort((rows[starts], frame[starts]))
    place = np.empty(len(starts), np.int64)
    place[by_file] = np.arange(len(starts))
    # A cumulative sum of `new` numbers the person of each row.
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
    # A table by action id; all ids that are no class stay at 0.
    classes = np.zeros(max(class_ids.max(), labels.max(initial=0)) + 1, np.int64)
    classes[class_ids] = np.arange(len(class_ids))
    return classes[labels]


def _confident(
    proposals: Sequence[np.ndarray], threshold: float
) -> dict[str, np.ndarray]:
    """The proposals with a score of at least `threshold`, or of their frame's best.

    Args:
      proposals: of each key frame, (n, 5) boxes with scores.
      threshold: lowest score that every key frame keeps.

    Returns:
      `proposal_starts`, `proposal_boxes` and `best_score` of `KeyFrames`.
    """
    frame = np.repeat(np.arange(len(proposals)), [len(boxes) for boxes in proposals])
    boxes = np.concatenate([_NONE, *proposals])
    best = np.full(len(proposals), -np.inf)
    np.maximum.at(best, frame, boxes[:, 4])
    # As MMAction2: a key frame whose people are all doubtful keeps the best one.
    keep = boxes[:, 4] >= np.minimum(best, threshold)[frame]
    counts = np.bincount(frame[keep], minlength=len(proposals))
    return {
        "proposal_starts": np.concatenate([[0], np.cumsum(counts)]),
        "proposal_boxes": boxes[keep, :4],
        "best_score": best,
    }
