"""Repeat-factor sampling: its factors, its epochs, and that nothing else decides."""

import dataclasses
import functools

import from_config
import numpy as np
import pipeline_worker
import pytest
import tensorflow as tf

from ava_jax import config as ava_config
from ava_jax.data import class_balance, pipeline, subsampling
from ava_jax.data.repeat_factors import (
    Epochs,
    class_factors,
    epoch_size,
    frequency,
    repeat_factors,
)
from ava_jax.errors import UserError

# 16 key frames: all show class 1, four class 2, one class 3; nobody does class 4.
SHOWN = [{1, 2, 3}, {1}, {1, 2}, {1, 2}, {1, 2}, *[{1}] * 11]


def table(shown):
    """`truth_starts` and `truth_classes` of one box for each class and key frame."""
    rows = np.array([np.eye(5)[c] for classes in shown for c in sorted(classes)])
    return np.cumsum([0, *map(len, shown)]), rows.astype(np.float32)


def stream(factors, seed, epochs, first=0):
    """(epochs, size) rows of key frames."""
    size = epoch_size(factors)
    at = tf.function(Epochs(factors, seed).key_frame)
    positions = tf.range(first * size, (first + epochs) * size, dtype=tf.int64)
    return tf.map_fn(at, positions).numpy().reshape(epochs, size)


def test_factors_of_a_table():
    starts, classes = table(SHOWN)
    shares = frequency(starts, classes)
    np.testing.assert_array_equal(shares, [0, 1, 4 / 16, 1 / 16, 0])
    # max(1, sqrt(0.5625 / f)): 0.75 -> 1, 1.5, 3; 1 for what nobody shows.
    np.testing.assert_allclose(class_factors(shares, 0.5625), [1, 1, 1.5, 3, 1])
    expected = [3, 1, 1.5, 1.5, 1.5, *[1] * 11]
    np.testing.assert_allclose(repeat_factors(starts, classes, 0.5625), expected)
    assert epoch_size(np.array(expected)) == 20  # of 19.5


def test_a_class_that_two_boxes_of_a_key_frame_have_counts_once():
    classes = np.eye(3, dtype=np.float32)[[1, 1, 2]]
    np.testing.assert_array_equal(frequency([0, 2, 3], classes), [0, 0.5, 0.5])


def test_off_is_one_and_the_order_that_it_was():
    starts, classes = table(SHOWN)
    factors = repeat_factors(starts, classes, 0.0)
    np.testing.assert_array_equal(factors, 1)
    expected = [
        [
            tf.random.experimental.index_shuffle(
                index, tf.constant([7, epoch], tf.int64), 15
            ).numpy()
            for index in range(16)
        ]
        for epoch in range(2)
    ]
    np.testing.assert_array_equal(stream(factors, 7, 2), expected)


def test_key_frames_come_as_often_as_their_factors_say():
    factors = np.array([3, 1, 1.5, 1.25, 2.25, 1, 1, 1])
    drawn = stream(factors, seed=1, epochs=400)
    counts = np.array([np.bincount(epoch, minlength=8) for epoch in drawn])
    exact = factors == np.floor(factors)
    np.testing.assert_array_equal(counts[:, exact], np.tile(factors[exact], (400, 1)))
    # Rounded down or up, never further; at random, with the factor as the mean.
    assert (counts >= np.floor(factors)).all() and (counts <= np.ceil(factors)).all()
    # Five standard deviations of the mean of 400 coins.
    np.testing.assert_allclose(counts.mean(0), factors, atol=5 * 0.5 / 20)
    # In another order every time, as far as the permutations of few numbers go.
    assert len({tuple(epoch) for epoch in drawn}) > 200


def test_every_key_frame_is_seen_in_every_epoch():
    factors = 1 + np.random.default_rng(0).random(50)
    assert all(set(epoch) == set(range(50)) for epoch in stream(factors, 0, 20))


def test_the_stream_is_a_function_of_seed_and_position():
    factors = np.array([2.3, 1, 1.7, 1])
    whole = stream(factors, 5, 6)
    np.testing.assert_array_equal(stream(factors, 5, 2, first=4), whole[4:])
    assert (stream(factors, 6, 6) != whole).any()


@pytest.fixture
def repeating(tiny_config):
    tiny_config.data.repeat_threshold = 1.0
    return tiny_config


def test_batches(repeating):
    """Any number of hosts, a resumed run and the messages about clips agree."""
    split = from_config.load_split(repeating, "train")
    size = epoch_size(split.repeats)
    assert len(split) < size <= split.repeats.sum() + 1
    assert from_config.steps_per_epoch(split, repeating) == -(-size // 4)
    read = functools.partial(pipeline_worker.read, repeating)
    whole = read(0, 1, 0, 4)
    halves = [read(host, 2, 2, 4) for host in range(2)]
    for name in [name for name in whole if name.startswith(("train 2", "train 3"))]:
        joined = np.concatenate([half[name] for half in halves])
        np.testing.assert_array_equal(joined, whole[name])
    stream_rows = stream(split.repeats, repeating.seed, 2).ravel()
    for step in range(4):
        keys = from_config.key_frames(split, repeating, step)
        np.testing.assert_array_equal(keys, stream_rows[4 * step : 4 * step + 4])


def test_the_log_says_how_long_an_epoch_is(repeating):
    split = from_config.load_split(repeating, "train")
    line = class_balance.lines(split, 1.0, None)["repeat factors"]
    size = epoch_size(split.repeats)
    assert line.endswith(f"; {size} clips an epoch of {len(split)} key frames")


def test_many_actions_are_shown_in_short(repeating):
    split = from_config.load_split(repeating, "train")
    split = dataclasses.replace(
        split,
        labels={},
        class_ids=np.arange(12),
        truth_classes=np.tril(np.ones((12, 12), np.float32))[:, ::-1][::-1],
    )
    assert class_balance.lines(split, 0, None)["boxes by action"] == (
        "11 12, 10 11, 9 10, 8 9, ... (3 more), 4 5, 3 4, 2 3, 1 2"
    )


def test_validation_does_not_repeat(repeating):
    split = from_config.load_split(repeating, "val")
    np.testing.assert_array_equal(split.repeats, 1)
    kept = subsampling.subsample(split, 2).split
    assert len(kept.repeats) == len(kept) < len(split)
    assert pipeline.steps_per_epoch(kept, 1) == len(kept)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_what_is_no_threshold(tiny_config, value):
    tiny_config.data.repeat_threshold = value
    expected = r"data\.repeat_threshold is .*; expected: a number from 0 to 1"
    with pytest.raises(UserError, match=expected):
        ava_config.check(tiny_config)
