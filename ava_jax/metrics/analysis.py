"""What a mean average precision is made of, and where the rest was lost."""

import dataclasses
from collections.abc import Sequence

from ava_jax.metrics import (
    ava_map,
    breakdown,
    ceiling,
    chance,
    matched,
    person_boxes,
    protocol_gap,
)
from ava_jax.metrics.ava_map import Boxes, Ranking
from ava_jax.metrics.protocols import DEFAULT, PROTOCOLS, check_protocols

_MISTAKES = 12  # of each kind


@dataclasses.dataclass(frozen=True, eq=False)
class Analysis:
    """Detections under one protocol, analysed.

    Attributes:
      ranking: the detections, ranked and judged.
      truth: the ground truth that judged them.
      ceiling: the highest AP that scores can give on the detected boxes, by action
        id; None where the protocol does not average the action.
      chance: AP of random scores on the detected boxes, by action id; None likewise.
      steps: from one protocol to the other, rule by rule.
      by_size: AP by the area of people's boxes.
      by_people: AP by the number of annotated people in the key frame.
      confusion: between actions.
      false_alarms: the highest-scored false detections.
      low_scores: the lowest-scored true actions of people who were found, below
        some false detection of the action.
    """

    ranking: Ranking
    truth: person_boxes.Truth
    ceiling: dict[int, float | None]
    chance: dict[int, chance.Chance | None]
    steps: list[protocol_gap.Step]
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
    keyframes: Sequence[int] = (),
    protocol: str = DEFAULT,
) -> Analysis:
    """Analyses detections; arguments as of `ava_map.evaluate`."""
    check_protocols([protocol])
    matching = ava_map.Matching(
        ground_truth,
        detections,
        class_ids,
        excluded_frames=excluded_frames,
        keyframes=keyframes,
    )
    ranking = matching.rank(PROTOCOLS[protocol])
    truth = person_boxes.Truth.make(ground_truth, ranking, excluded_frames)
    found = person_boxes.distinct(detections)
    reached = ceiling.reached_labels(
        truth, found, ranking, excluded_frames=excluded_frames
    )
    pairs = matched.match(truth, found, ranking, excluded_frames=excluded_frames)
    return Analysis(
        ranking=ranking,
        truth=truth,
        ceiling=ceiling.ceilings(ranking, truth, reached),
        chance=chance.chances(ranking, detections, truth, found, reached),
        steps=protocol_gap.steps(matching, list(PROTOCOLS.values())),
        by_size=breakdown.by_size(ranking, detections, truth, reached),
        by_people=breakdown.by_people(ranking, detections, truth, reached),
        confusion=matched.confuse(pairs),
        false_alarms=matched.false_alarms(ranking, detections, truth, _MISTAKES),
        low_scores=matched.low_scores(pairs, found, ranking, _MISTAKES),
    )
