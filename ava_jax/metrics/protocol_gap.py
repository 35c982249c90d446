"""The difference between the protocols, rule by rule."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ava_jax.metrics import ava_map
from ava_jax.metrics.matching import Matching
from ava_jax.metrics.protocols import RULES, Protocol
from ava_jax.metrics.ranking import Ranking


class Step(NamedTuple):
    """One more rule of the next protocol.

    Attributes:
      rule: one of `RULES`; None for the first protocol.
      protocol: the protocol, if all its rules hold now.
      words: the rule as it is now.
      count: number of detections, labels or actions that the change concerns; None
        for the first protocol.
      mean: mAP under the rules that hold now.
    """

    rule: str | None
    protocol: Protocol | None
    words: str
    count: int | None
    mean: float | None


def steps(matching: Matching, protocols: Sequence[Protocol]) -> list[Step]:
    """Goes from the first protocol to the last, one rule at a time.

    Args:
      matching: detections and ground truth.
      protocols: in order.
    """
    before = matching.rank(protocols[0])
    found = [Step(None, protocols[0], "", None, ava_map.average(before).mean)]
    for rule, mixed in _between(protocols):
        after = matching.rank(mixed)
        found.append(
            Step(
                rule=rule,
                protocol=mixed if mixed in protocols else None,
                words=mixed.describe(rule),
                count=_concerned(before, after),
                mean=ava_map.average(after).mean,
            )
        )
        before = after
    return found


def _between(protocols: Sequence[Protocol]) -> Iterator[tuple[str, Protocol]]:
    """(rule, protocol with it) of each step; those on the way are in no table."""
    for first, last in itertools.pairwise(protocols):
        rules = [r for r in RULES if getattr(first, r) != getattr(last, r)]
        mixed = first
        for rule in rules[:-1]:
            mixed = dataclasses.replace(
                mixed, name=f"{first.name} with {rule}", **{rule: getattr(last, rule)}
            )
            yield rule, mixed
        yield rules[-1], last


def _concerned(before: Ranking, after: Ranking) -> int:
    """How many detections, else labels, else actions, else judgements differ."""
    averaged = [
        sum(map(ranking.is_averaged, range(len(ranking.class_ids))))
        for ranking in (before, after)
    ]
    counts = (
        (len(before.row), len(after.row)),
        (before.labels.sum(), after.labels.sum()),
        averaged,
    )
    for first, last in counts:
        if first != last:
            return int(abs(last - first))
    return int(np.sum((before.taken < 0) != (after.taken < 0)))
