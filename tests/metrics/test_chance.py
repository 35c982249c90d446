"""The AP of random scores against the metric itself on random scores."""

import numpy as np
import pytest

from ava_jax import scoring
from ava_jax.annotations import BoxTable

NAMES = {1: "frequent", 2: "rare", 3: "without ground truth"}
WIDTH = 0.05  # of a box; boxes side by side do not overlap


def table(frame, place, label, score=None):
    frame, place = np.asarray(frame), np.asarray(place)
    left = place * 2 * WIDTH
    box = np.stack([left, left * 0, left + WIDTH, left * 0 + 1], axis=1)
    columns = {"label": label} | ({} if score is None else {"score": score})
    return BoxTable.from_columns(["v"], np.zeros(len(frame)), frame, box, **columns)


@pytest.fixture
def people(rng):
    """Frame and place of 60 boxes, and which of them do what; 6 labels have no box."""
    frame, place = np.divmod(np.arange(60), 3)
    does = {1: rng.permutation(60)[:40], 2: rng.permutation(60)[:4]}
    rows = [(frame[k], place[k], label) for label, own in does.items() for k in own]
    rows += [(second, 5, label) for second in (0, 1, 2) for label in (1, 2)]
    return frame, place, table(*np.array(rows).T)


def detections(people, score):
    frame, place, _ = people
    labels = np.repeat([1, 2, 3], len(frame))
    return table(np.tile(frame, 3), np.tile(place, 3), labels, score)


def test_it_is_the_mean_of_random_scores(people, rng):
    """The mean of 500 draws is that of 400 others within four standard errors."""
    truth = people[2]
    found = detections(people, rng.random(180))
    chance = scoring.analyse_tables(truth, found, NAMES).analysis.chance
    draws = [
        scoring.score_tables(truth, detections(people, rng.random(180)), NAMES)
        for _ in range(400)
    ]
    for label in (1, 2):
        aps = np.array([metrics["per_class"][str(label)] for metrics in draws])
        error = aps.std() * np.sqrt(1 / 500 + 1 / 400)
        assert abs(chance[label].mean - aps.mean()) < 4 * error
        # Of 400, 4 are expected, and more than 12 in one test of 10,000.
        assert 0 < (aps > chance[label].limit).sum() <= 12
    assert chance[3] is None


def test_scores_and_other_actions_change_nothing(people, rng):
    """Only the boxes count: those that a model scored low for an action, too."""
    truth = people[2]
    whole = detections(people, rng.random(180))
    # Of action 2 the file has no row.
    part = whole.select(whole.label != 2, np.zeros(0, bool))
    first, second = (
        scoring.analyse_tables(truth, found, NAMES).analysis.chance
        for found in (whole, part)
    )
    assert first == second


@pytest.mark.parametrize("protocol", ["pyslowfast", "activitynet", "mmaction2"])
def test_without_boxes_or_ground_truth(people, protocol):
    nothing = table([], [], [])
    found = detections(people, np.ones(180))
    options = {"protocol": protocol}
    chance = scoring.analyse_tables(nothing, found, NAMES, **options).analysis.chance
    assert set(chance.values()) == {None}
    chance = scoring.analyse_tables(people[2], nothing, NAMES, **options)
    expected = None if protocol == "mmaction2" else (0, 0)
    assert chance.analysis.chance[1] == expected
