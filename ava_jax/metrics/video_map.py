"""Frame-mAP and video-mAP, as MultiSports and MMAction2 1.x compute them.

Frame-mAP is the mean average precision of boxes at IoU 0.5. Video-mAP is that of
tubes: detected boxes are linked over frames (`metrics/tubes.py`), and a tube is true if
its overlap with a ground-truth tube of its class is high enough. That overlap is the
mean IoU over common frames, times the IoU of the time spans. The originals take the
length of a span as its last frame minus its first, without the one that would count
both, so a single common frame is no overlap.

The originals link with one score for all boxes: that of the last detection of the whole
file (a loop variable that is used after its loop). Then the boxes that tubes take, and
the rank of tubes, depend on the order of equal scores. `LINK_SCORES` has both rules.

Sources: `mmaction/evaluation/functional/multisports_utils.py` of MMAction2 1.2.0, and
https://github.com/MCG-NJU/MultiSports. Of equal scores, the earlier row comes first.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from ava_jax.metrics import tubes as tubes_lib
from ava_jax.metrics.iou import iou
from ava_jax.metrics.ranking import area
from ava_jax.metrics.tubes import FrameBoxes, Tubes

FRAME_IOU = 0.5
# What the originals report, and the IoUs whose mAPs each is the mean of.
VIDEO_IOUS = {
    "0.2": (0.2,),
    "0.5": (0.5,),
    "0.05:0.45": tuple(0.05 + 0.05 * i for i in range(9)),
    "0.10:0.90": tuple(0.1 + 0.1 * i for i in range(9)),
    "0.50:0.95": tuple(0.5 + 0.05 * i for i in range(10)),
}
LINK_SCORES = {
    "own": "boxes are linked and tubes ranked by each box's own score",
    "last": "boxes are linked and tubes ranked as if every box had the score of "
    "the last detection of the file, as in MMAction2 1.x",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """Average precision of boxes and of tubes.

    Attributes:
      frame: AP at IoU 0.5 by class id; classes without ground truth are left out.
      video: the same of tubes, by name in `VIDEO_IOUS`: the mean over its IoUs.
      tubes: the linked tubes.
      link_scores: name in `LINK_SCORES`.
    """

    frame: Mapping[int, float]
    video: Mapping[str, Mapping[int, float]]
    tubes: Tubes
    link_scores: str

    @property
    def frame_mean(self) -> float | None:
        """Frame-mAP; None without ground truth."""
        return _mean(self.frame)

    @property
    def video_means(self) -> dict[str, float | None]:
        """Video-mAP by name in `VIDEO_IOUS`."""
        return {name: _mean(values) for name, values in self.video.items()}


def evaluate(
    truth: Tubes,
    detections: FrameBoxes,
    class_ids: Iterable[int],
    num_frames: np.ndarray,
    *,
    link_scores: str = "own",
    pixel: float = 1.0,
    shortest: int = tubes_lib.SHORTEST,
) -> Result:
    """Frame-mAP and video-mAP of detections.

    Args:
      truth: ground-truth tubes.
      detections: detected boxes of the same videos, in the same units.
      class_ids: the classes to score.
      num_frames: (V,) last frame of each video.
      link_scores: name in `LINK_SCORES`.
      pixel: see `tubes.link`.
      shortest: see `tubes.link`.
    """
    if link_scores not in LINK_SCORES:
        raise ValueError(f"link_scores is {link_scores!r}, not in {tuple(LINK_SCORES)}")
    class_ids = np.intersect1d(np.fromiter(class_ids, np.int64), truth.label)
    linked = detections
    if link_scores == "last" and len(detections.score):
        score = np.full_like(detections.score, detections.score[-1])
        linked = dataclasses.replace(detections, score=score)
    found = tubes_lib.link(linked, num_frames, pixel=pixel, shortest=shortest)
    of_tube = np.repeat(np.arange(len(truth)), truth.lengths)
    boxes = _Judged(
        _best(*_frame_overlaps(truth, of_tube, detections), len(detections.label)),
        detections.label,
        detections.score,
        truth.label[of_tube],
    )
    tubes = _Judged(
        _best(*_tube_overlaps(truth, found), len(found)),
        found.label,
        found.score,
        truth.label,
    )
    by_iou = {
        threshold: tubes.average_precision(class_ids, threshold)
        for threshold in sorted({x for xs in VIDEO_IOUS.values() for x in xs})
    }
    video = {
        name: {
            label: float(np.mean([by_iou[x][label] for x in thresholds]))
            for label in class_ids.tolist()
        }
        for name, thresholds in VIDEO_IOUS.items()
    }
    frame = boxes.average_precision(class_ids, FRAME_IOU)
    return Result(frame, video, found, link_scores)


def tube_iou(a: Tubes, rows_a: np.ndarray, b: Tubes, rows_b: np.ndarray) -> np.ndarray:
    """Overlap of pairs of tubes in space and time; see above.

    Args:
      a: tubes.
      rows_a: (P,) which of `a`.
      b: tubes.
      rows_b: (P,) which of `b`.

    Returns:
      (P,) float64; 0 for tubes without a common frame.
    """
    first_a, first_b = a.first_frame[rows_a], b.first_frame[rows_b]
    last_a = first_a + a.lengths[rows_a] - 1
    last_b = first_b + b.lengths[rows_b] - 1
    begin, end = np.maximum(first_a, first_b), np.minimum(last_a, last_b)
    result = np.zeros(len(rows_a))
    # From one common frame on; a single one counts as none.
    meet = end > begin
    begin, shared = begin[meet], end[meet] - begin[meet]
    union = np.maximum(last_a, last_b)[meet] - np.minimum(first_a, first_b)[meet]
    boxes = []
    for tubes, rows in ((a, rows_a[meet]), (b, rows_b[meet])):
        start = tubes.starts[rows] + begin - tubes.first_frame[rows]
        boxes.append(tubes.box[tubes_lib.ranges(start, shared + 1)])
    spatial = tubes_lib.means(iou(*boxes), shared + 1)
    result[meet] = spatial * (shared / union)
    return result


class _Judged:
    """Detected boxes or tubes, and the ground truth that each overlaps most."""

    def __init__(self, best, label, score, truth_label):
        """Ranks what was detected.

        Args:
          best: (N,) ground truth and (N,) overlap, from `_best`.
          label: (N,) class ids.
          score: (N,) scores.
          truth_label: (T,) class ids of the ground truth.
        """
        # By class, and in it by descending score.
        order = np.lexsort((-score, label))
        self._target, self._overlap = (x[order] for x in best)
        self._label = label[order]
        self._truth_label = truth_label

    def average_precision(
        self, class_ids: np.ndarray, threshold: float
    ) -> dict[int, float]:
        """AP by class id, where true ones overlap by at least `threshold`."""
        reaches = np.flatnonzero(self._overlap >= threshold)
        # The first one that reaches it takes the ground truth; later ones are false.
        _, first = np.unique(self._target[reaches], return_index=True)
        true = np.sort(reaches[first])
        result = {}
        for label in class_ids.tolist():
            start, end = np.searchsorted(self._label, [label, label + 1])
            low, high = np.searchsorted(true, [start, end])
            rank = true[low:high] - start
            precision = np.arange(1, len(rank) + 1) / (rank + 1)
            labels = np.count_nonzero(self._truth_label == label)
            result[label] = area(precision, labels)
        return result


def _frame_overlaps(
    truth: Tubes, of_tube: np.ndarray, detections: FrameBoxes
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of a detection and a true box of its frame and class, and their IoU.

    Args:
      truth: ground-truth tubes.
      of_tube: (B,) the tube of each of its boxes.
      detections: detected boxes.
    """
    keys = (truth.video[of_tube], truth.label[of_tube], truth.frame)
    columns = (detections.video, detections.label, detections.frame)
    row, other = _pairs(columns, keys)
    return row, other, iou(truth.box[other], detections.box[row])


def _tube_overlaps(
    truth: Tubes, found: Tubes
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of a linked tube and a true one of its video and class, and overlap."""
    row, other = _pairs((found.video, found.label), (truth.video, truth.label))
    return row, other, tube_iou(truth, other, found, row)


def _pairs(
    columns: Iterable[np.ndarray], others: Iterable[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows of two tables with equal values in all columns, in their order."""
    cell, other = _common_numbers(zip(columns, others, strict=True))
    order = np.argsort(other, kind="stable")
    low = np.searchsorted(other[order], cell, side="left")
    counts = np.searchsorted(other[order], cell, side="right") - low
    rows = np.repeat(np.arange(len(cell)), counts)
    return rows, order[tubes_lib.ranges(low, counts)]


def _common_numbers(
    columns: Iterator[tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers for the rows of two tables: equal where all columns are."""
    left = right = 0
    for a, b in columns:
        lowest = min(a.min(initial=0), b.min(initial=0))
        size = max(a.max(initial=0), b.max(initial=0)) - lowest + 1
        left, right = left * size + a - lowest, right * size + b - lowest
    return left, right


def _best(
    row: np.ndarray, other: np.ndarray, overlap: np.ndarray, rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) the first of the others that each row overlaps most, and how much.

    Args:
      row: (P,) ascending.
      other: (P,) ground truth.
      overlap: (P,) of the two; NaN counts as the highest, as for `np.argmax`, and
        reaches no threshold.
      rows: number of rows; those without a pair have overlap NaN.
    """
    key = np.where(np.isnan(overlap), np.inf, overlap)
    order = np.lexsort((-key, row))
    first = order[np.append(True, np.diff(row) != 0)[: len(row)]]
    target, highest = np.full(rows, -1), np.full(rows, np.nan)
    target[row[first]], highest[row[first]] = other[first], overlap[first]
    return target, highest


def _mean(values: Mapping[int, float]) -> float | None:
    return float(np.mean(list(values.values()))) if values else None
