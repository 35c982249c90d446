"""The difference between the two protocols, rule by rule."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ava_jax.metrics import ava_map
from ava_jax.metrics.ava_map import Ranking


class Gap(NamedTuple):
    """Effect of each rule, from `activitynet` to `mmaction2`.

    Each attribute holds the number of detections, actions or labels that the rule
    concerns, and the mAP after this rule and all previous ones were changed.

    Attributes:
      no_truth: detections on frames without ground truth no longer count.
      undetected: actions with ground truth but without detections (on frames with
        ground truth) are left out of the mean, instead of having AP 0.
      excluded: ground-truth labels on excluded frames count.
      no_area: detections without area are false positives, instead of being ignored.
        This step also includes the rounding to float32.
    """

    no_truth: tuple[int, float | None]
    undetected: tuple[int, float | None]
    excluded: tuple[int, float | None]
    no_area: tuple[int, float | None]


def protocol_gap(rankings: Mapping[str, Ranking]) -> Gap:
    """Changes one rule after the other, and scores after each.

    Args:
      rankings: the rankings under both protocols, from one call of `ava_map.rank`.
    """
    first, last = (rankings[name] for name in ava_map.PROTOCOLS)
    # `mmaction2` ranks exactly the detections on frames with ground truth, so its rows
    # show which of the rows of `activitynet` to keep. Both index the same table.
    rows = max(first.row.max(initial=-1), last.row.max(initial=-1)) + 1
    with_truth = np.zeros(rows, bool)
    with_truth[last.row] = True
    keep = with_truth[first.row]
    seen = first.part(keep, first.labels)
    # `is_averaged` of the other protocol leaves actions without detections out.
    undetected = (seen.labels > 0) & (np.diff(seen.offset) == 0)
    detected = dataclasses.replace(seen, protocol=last.protocol)
    all_labels = dataclasses.replace(detected, labels=last.labels)
    steps = (
        (len(keep) - keep.sum(), seen),
        (undetected.sum(), detected),
        (last.labels.sum() - first.labels.sum(), all_labels),
        (len(last.row) - keep.sum(), last),
    )
    return Gap(*((int(count), ava_map.average(step).mean) for count, step in steps))
