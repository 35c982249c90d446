"""Weights of the actions: their values, and that the step's loss has them."""

import flax.linen as nn
import from_config
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ava_jax.data import class_balance
from ava_jax.errors import UserError
from ava_jax.models import action_loss
from ava_jax.models.preprocessing import Normalization
from ava_jax.runtime import sharding
from ava_jax.training.class_weights import class_weights
from ava_jax.training.gradients import make_gradients

COUNTS = np.array([100, 4, 0, 1])


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        # 105 labels of 3 actions: 105 / 3 / n.
        ("inverse", [0.35, 8.75, 1, 35]),
        # 1 / sqrt(n) is 0.1, 0.5, 1: together 10 + 2 + 1 over the labels, so 105 / 13.
        ("sqrt_inverse", [10.5 / 13, 52.5 / 13, 1, 105 / 13]),
        ("2, 1,0.5, 3", [2, 1, 0.5, 3]),
        ("(1.0, 1.0, 2e1, 1.0)", [1, 1, 20, 1]),
    ],
)
def test_values(setting, expected):
    np.testing.assert_allclose(class_weights(setting, COUNTS), expected, rtol=1e-6)


def test_effective_number():
    # (1 - 0.999^n) / (1 - 0.999): nearly n where n is small, and 1,000 at the most.
    effective = np.array([sum(0.999**i for i in range(n)) for n in COUNTS])
    found = class_weights("effective_number", COUNTS)
    np.testing.assert_allclose(found[0] / found[3], 1 / effective[0], rtol=1e-6)
    np.testing.assert_allclose(found[1] / found[3], 1 / effective[1], rtol=1e-6)
    np.testing.assert_allclose((found * COUNTS).sum(), COUNTS.sum(), rtol=1e-6)
    many = class_weights("effective_number", np.array([10**6, 10**7]))
    np.testing.assert_allclose(many, 1, rtol=1e-6)


def test_none_and_nothing_to_count():
    assert class_weights("none", COUNTS) is None
    np.testing.assert_array_equal(class_weights("inverse", np.zeros(3)), 1)


def test_another_number_of_weights():
    with pytest.raises(UserError, match="has 3 numbers, and the model 4 actions"):
        class_weights("1, 2, 3", COUNTS)


def test_balance_of_a_split(tiny_config):
    split = from_config.load_split(tiny_config, "train")
    counts = class_balance.box_counts(split)
    np.testing.assert_array_equal(counts, split.truth_classes.sum(0)[1:])
    lines = class_balance.lines(split, 0, None)
    assert list(lines) == ["boxes by action"]
    common = split.labels[int(split.class_ids[1 + counts.argmax()])]
    assert lines["boxes by action"].startswith(f"{common} {counts.max()}, ")
    weights = class_weights("inverse", counts)
    assert list(class_balance.lines(split, 0.5, weights)) == [
        "boxes by action",
        "class weights",
        "repeat factors",
    ]


class Linear(nn.Module):
    """Logits of the boxes' coordinates."""

    @nn.compact
    def __call__(self, clips, boxes, train, box_mask, bank):
        self.variable("batch_stats", "unused", jnp.zeros, ())
        return nn.Dense(4)(boxes)


@pytest.mark.parametrize("parts", [1, 2])
def test_gradients_of_the_weighted_loss(tiny_config, rng, parts):
    tiny_config.train.accumulate = parts
    batch = {
        "clip": np.zeros((4, 1, 2, 2, 3), np.uint8),
        "boxes": rng.standard_normal((4, 3, 4)).astype(np.float32),
        "box_mask": np.ones((4, 3), bool),
        "labels": (rng.random((4, 3, 4)) < 0.5).astype(np.float32),
    }
    weights = np.array([0.5, 2, 3], np.float32)
    variables = Linear().init(jax.random.key(0), None, batch["boxes"], True, None, None)
    step = make_gradients(
        Linear(),
        Normalization.from_config(tiny_config.data),
        sharding.make_mesh(1),
        model=tiny_config.model,
        train=tiny_config.train,
        class_weights=weights,
    )
    params, stats = variables["params"], variables["batch_stats"]
    found = step(params, stats, batch, jax.random.key(0))

    def loss(params):
        logits = (
            batch["boxes"] @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]
        )
        return action_loss(
            logits, batch["labels"], batch["box_mask"], class_weights=weights
        )

    expected = jax.value_and_grad(loss)(params)
    # Two orders of the same sums in float32.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        (found.loss, found.grads),
        expected,
    )
