"""Why the two protocols differ on the same detections, rule by rule."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ava_jax.metrics import ava_map
from ava_jax.metrics.ava_map import Ranking


class Gap(NamedTuple):
    """What each rule does here, on the way from `activitynet` to `mmaction2`.

    Of each rule: how many things it is about, and mAP when it and all before it
    are changed.

    Attributes:
      no_truth: detections on frames without ground truth count, or don't.
      undetected: actions with ground truth and without detections (on frames
        with ground truth) have AP 0, or are left out of the mean.
      excluded: ground-truth labels on excluded frames don't count, or do.
      no_area: detections without area are ignored, or false. The rest of the
        difference is in this too: rounding to float32.
    """

    no_truth: tuple[int, float | None]
    undetected: tuple[int, float | None]
    excluded: tuple[int, float | None]
    no_area: tuple[int, float | None]


def protocol_gap(rankings: Mapping[str, Ranking]) -> Gap:
    """Changes one rule after another.

    Args:
      rankings: of both protocols, from one call of `ava_map.rank`.
    """
    first, last = (rankings[name] for name in ava_map.PROTOCOLS)
    # `mmaction2` ranks the detections on frames with ground truth, and no others.
    rows = max(first.row.max(initial=-1), last.row.max(initial=-1)) + 1
    with_truth = np.zeros(rows, bool)
    with_truth[last.row] = True
    keep = with_truth[first.row]
    seen = first.part(keep, first.labels)
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
