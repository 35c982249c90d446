"""Error analysis of detections: what lowers the mean average precision."""

import dataclasses
from collections.abc import Sequence

from ava_jax.metrics import (
    ava_map,
    breakdown,
    ceiling,
    matched,
    person_boxes,
    protocol_gap,
)
from ava_jax.metrics.ava_map import Boxes, Ranking

_MISTAKES = 12  # shown of each kind


@dataclasses.dataclass(frozen=True, eq=False)
class Analysis:
    """The analysis of detections under one protocol.

    Attributes:
      ranking: the detections, ranked and marked as true or false.
      truth: the ground truth that they were compared with.
      ceiling: the highest AP that scores can give on the detected boxes, by action
        id; None where the protocol does not average the action.
      gap: the effect of each rule in which the protocols differ.
      by_size: AP by the area of the person's box.
      by_people: AP by the number of annotated people in the key frame.
      confusion: the confusion between actions.
      false_alarms: the false positives with the highest scores.
      low_scores: the true actions of detected people with the lowest scores, which
        are below the score of some false positive of the same action.
    """

    ranking: Ranking
    truth: person_boxes.Truth
    ceiling: dict[int, float | None]
    gap: protocol_gap.Gap
    by_size: breakdown.Parts
    by_people: breakdown.Parts
    confusion: matched.Confusion
    false_alarms: list[matched.Mistake]
    low_scores: list[matched.Mistake]


def analyse(
    ground_truth: Boxes,
    detections: Boxes,
    class_ids: Sequence[int],
    *,
    excluded_frames: Sequence[int] = (),
    protocol: str = "activitynet",
    max_per_frame: int | None = None,
    iou_threshold: float = 0.5,
) -> Analysis:
    """Analyses detections; takes the arguments of `ava_map.evaluate`."""
    where = {"excluded_frames": excluded_frames, "iou_threshold": iou_threshold}
    # Ranked under both protocols, because `gap` compares them.
    rankings = ava_map.rank(
        ground_truth, detections, class_ids, max_per_frame=max_per_frame, **where
    )
    ranking = rankings[protocol]
    truth = person_boxes.Truth.make(ground_truth, ranking, excluded_frames)
    found = person_boxes.distinct(detections)
    reached = ceiling.reached_labels(truth, found, ranking, **where)
    pairs = matched.match(truth, found, ranking, **where)
    return Analysis(
        ranking=ranking,
        truth=truth,
        ceiling=ceiling.ceilings(ranking, truth, reached),
        gap=protocol_gap.protocol_gap(rankings),
        by_size=breakdown.by_size(ranking, detections, truth, reached),
        by_people=breakdown.by_people(ranking, detections, truth, reached),
        confusion=matched.confuse(pairs),
        false_alarms=matched.false_alarms(ranking, detections, truth, _MISTAKES),
        low_scores=matched.low_scores(pairs, found, ranking, _MISTAKES),
    )
