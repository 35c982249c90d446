"""AVA's mean average precision, as the reference evaluators compute it.

A detection is a box with one action and a score. Within a frame and an action,
detections go by descending score; each takes the ground-truth box of highest
IoU, and is true if that IoU is at least 0.5 and no earlier detection took the
box. Over all frames, the detections of an action go by descending score again;
AP is the area under the precision envelope (PASCAL VOC 2010 onward), and mAP
the mean over actions.

What counts depends on the protocol, and `metrics/protocols.py` has a table of their
rules. In all protocols inverted boxes are dropped here; MMAction2 1.x's evaluator
crashes on them.

Ties: detections of equal score count in the order of their rows, and a detection with
equal IoU to several boxes takes the first. The references leave the first to their
sorts. `Result` has the range that any order gives (`metrics/tie_range.py`).
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ava_jax.metrics.matching import IOU_THRESHOLD, Matching, class_index
from ava_jax.metrics.protocols import DEFAULT, PROTOCOLS, Protocol, check_protocols
from ava_jax.metrics.ranking import Boxes, Curve, Ranking
from ava_jax.metrics.tie_range import precision_range

__all__ = [
    "IOU_THRESHOLD",
    "PROTOCOLS",
    "Boxes",
    "Curve",
    "Matching",
    "Protocol",
    "Ranking",
    "Result",
    "average",
    "check_protocols",
    "class_index",
    "evaluate",
    "rank",
]

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Result:
    """Average precision under one protocol.

    Attributes:
      protocol: its name.
      mean: mAP; None if no action was averaged.
      average_precision: AP by action id; None where it is not averaged.
      labels: number of ground-truth rows by action id, as the protocol counts.
      detections: number of detections that counted, by action id.
      mean_range: lowest and highest mAP that the order of equal scores can give.
      ranges: the same of each AP, by action id.
    """

    protocol: str
    mean: float | None
    average_precision: dict[int, float | None]
    labels: dict[int, int]
    detections: dict[int, int]
    mean_range: Range | None
    ranges: dict[int, Range | None]


def evaluate(
    ground_truth: Boxes,
    detections: Boxes,
    class_ids: Sequence[int],
    *,
    excluded_frames: Sequence[int] = (),
    keyframes: Sequence[int] = (),
    protocol: str = DEFAULT,
) -> Result:
    """AP of each action and their mean under one protocol.

    Args:
      ground_truth: one row for each action of each box.
      detections: one row for each action of each box, with scores.
      class_ids: the actions to score, from 1; rows with others are ignored.
      excluded_frames: ids of frames to leave out on both sides.
      keyframes: ids of frames that are annotated as having no box.
      protocol: a name in `PROTOCOLS`.

    Returns:
      The result under `protocol`.
    """
    check_protocols([protocol])
    rankings = rank(
        ground_truth,
        detections,
        class_ids,
        excluded_frames=excluded_frames,
        keyframes=keyframes,
        protocols=[PROTOCOLS[protocol]],
    )
    return average(rankings[protocol])


def rank(
    ground_truth: Boxes,
    detections: Boxes,
    class_ids: Sequence[int],
    *,
    excluded_frames: Sequence[int] = (),
    keyframes: Sequence[int] = (),
    protocols: Iterable[Protocol] = PROTOCOLS.values(),
) -> dict[str, Ranking]:
    """Judges every detection, under each of `protocols`; `evaluate`'s arguments."""
    matching = Matching(
        ground_truth,
        detections,
        class_ids,
        excluded_frames=excluded_frames,
        keyframes=keyframes,
    )
    return {protocol.name: matching.rank(protocol) for protocol in protocols}


def average(ranking: Ranking) -> Result:
    """AP of each action and their mean."""
    ids = ranking.class_ids.tolist()
    averaged = [i for i in range(len(ids)) if ranking.is_averaged(i)]
    none = dict.fromkeys(ids)
    precisions = {ids[i]: ranking.average_precision(i) for i in averaged}
    ranges = {ids[i]: precision_range(ranking, i) for i in averaged}
    return Result(
        protocol=ranking.protocol.name,
        mean=_mean(precisions),
        average_precision=none | precisions,
        labels=dict(zip(ids, ranking.labels.tolist(), strict=True)),
        detections=dict(zip(ids, np.diff(ranking.offset).tolist(), strict=True)),
        mean_range=mean_range(ranges),
        ranges=none | ranges,
    )


def mean_range(ranges: Mapping[int, Range | None]) -> Range | None:
    """Means of the lowest and of the highest APs; None without any."""
    known = [ends for ends in ranges.values() if ends is not None]
    if not known:
        return None
    low, high = (float(np.mean(column)) for column in zip(*known, strict=True))
    return low, high


def _mean(precisions: Mapping[int, float]) -> float | None:
    return float(np.mean(list(precisions.values()))) if precisions else None
