"""The choice of key frames, against a table computed by hand."""

import numpy as np
import pytest

from ava_jax.prepare import key_frame_choice
from ava_jax.prepare.key_frame_choice import CHANGING, RARE, SPREAD, UNCERTAIN, choose

# Two videos with three and two key frames; person 1 is at all, person 2 at key frame 3.
VIDEO = np.array([0, 0, 0, 1, 1])
FRAME = np.array([0, 1, 2, 3, 3, 4])
PERSON = np.array([1, 1, 1, 1, 2, 1])
SCORES = np.array([[1, 0], [1, 0], [0.5, 0], [1, 0], [0.5, 1], [1, 0]])


def test_measures():
    # A yes or no at 0.5 is one bit, of two actions half a bit; certain ones have none.
    entropy = key_frame_choice.entropy(SCORES)
    np.testing.assert_allclose(entropy, [0, 0, 0.5, 0, 0.5, 0], atol=1e-9)
    # The actions have the frequencies 5/6 and 1/6.
    first, second = np.log2(6 / 5), np.log2(6)
    rarity = key_frame_choice.rarity(SCORES)
    np.testing.assert_allclose(rarity, [first, first, first / 2, first, second, first])
    # Key frames 2 and 3 are of two videos, and person 2 is seen once.
    change = key_frame_choice.change(VIDEO, FRAME, PERSON, SCORES)
    np.testing.assert_allclose(change, [0, 0.5, 0.5, 0, 0, 0])


def test_order():
    # Shares of key frames with less. Entropy: 3/5 for 2 and 3, else 0. Rarity: 4/5 for
    # 3, 0 for 2, 1/5 for the others. Change: 3/5 for 1 and 2, else 0.
    # First turn: 3 of the second video, 1 of the first, which comes before its equal 2.
    # Second turn: 2, as its 3/5 / 2 is more than 1/5 / 2 of 0; then 4.
    assert choose(VIDEO, FRAME, PERSON, SCORES) == [
        (3, RARE, pytest.approx(0.8)),
        (1, CHANGING, pytest.approx(0.6)),
        (2, UNCERTAIN, pytest.approx(0.6)),
        (4, RARE, pytest.approx(0.2)),
        (0, RARE, pytest.approx(0.2)),
    ]


def test_without_scores_it_is_spread():
    nobody = np.zeros(0, int)
    chosen = choose(np.zeros(5, int), nobody, nobody, np.zeros((0, 0)))
    # The first, the one that is farthest, and the one between.
    assert [one.frame for one in chosen][:3] == [0, 4, 2]
    assert {(one.reason, one.value) for one in chosen} == {(SPREAD, 0)}
    assert choose(nobody, nobody, nobody, np.zeros((0, 0))) == []
