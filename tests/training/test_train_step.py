"""The training step: on many devices, in parts, its options; precise statistics.

Where two computations add up the same float32 numbers in another order, they differ
by some units in the last place: relative 1e-5 leaves room for sums of thousands,
absolute 1e-6 for entries that cancel out.
"""

import os
import pathlib
import re
import subprocess
import sys

import from_config
import jax
import numpy as np
import pytest
import step_cases
from step_cases import as_dict, flat, small_batch, small_config, small_variables

from ava_jax import config as ava_config
from ava_jax.checkpoints import store
from ava_jax.errors import UserError
from ava_jax.models import action_loss, build_detector
from ava_jax.models.detector import variable_shapes
from ava_jax.runtime import sharding
from ava_jax.training import gradients, precise_bn
from ava_jax.training.train_state import init_state

TESTS = pathlib.Path(__file__).parents[1]
SAME = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """What eight devices compute."""
    out = tmp_path_factory.mktemp("eight") / "arrays.npz"
    subprocess.run(
        [sys.executable, TESTS / "step_cases.py", out],
        check=True,
        env=os.environ | {"PYTHONPATH": str(TESTS.parent)},
    )
    return np.load(out)


@pytest.fixture(scope="module")
def trained():
    """States before, between and after some steps with a moving average; metrics."""
    return step_cases.train(small_config(**{"train.ema": 0.9}))


def run(config):
    """`as_dict` of the gradients on this process's device."""
    program, arguments = step_cases.compile_gradients(config)
    return as_dict(program(*arguments))


def part(arrays, prefix):
    """Those whose name starts with `prefix/`, without it."""
    return {
        name.removeprefix(f"{prefix}/"): arrays[name]
        for name in arrays
        if name.startswith(f"{prefix}/") and not name.endswith("program")
    }


def assert_close(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(
            found[name], expected[name], err_msg=name, **(tolerance or SAME)
        )


def by_device(config, shards):
    """Loss and gradients of rows in so many groups, each normalised by itself."""
    module = step_cases.small_network(config)
    variables, batch = small_variables(config), small_batch(config)
    groups = jax.tree.map(lambda x: x.reshape(shards, -1, *x.shape[1:]), batch)

    def loss_fn(params):
        def forward(clip, boxes):
            return module.apply(
                variables | {"params": params},
                from_config.normalization(config)(clip),
                boxes,
                train=True,
                mutable=["batch_stats"],
            )

        logits, updates = jax.vmap(forward, axis_name=sharding.AXIS)(
            groups["clip"], groups["boxes"]
        )
        logits = logits.reshape(batch["labels"].shape)
        loss = action_loss(logits, batch["labels"], batch["box_mask"])
        # `pmean` has made all groups' the same.
        first = jax.tree.map(lambda x: x[0], updates["batch_stats"])
        return loss, (first, logits)

    value_and_grad = jax.jit(jax.value_and_grad(loss_fn, has_aux=True))
    (loss, (stats, logits)), grads = value_and_grad(variables["params"])
    return as_dict(gradients.Gradients(loss, grads, stats, logits))


def test_eight_devices_train_as_one_does(trained, eight):
    states, metrics = trained
    last = {"params": states[-1].params, "batch_stats": states[-1].batch_stats}
    assert_close(part(eight, "global"), flat(last) | flat(metrics[-1]))


def test_replicas_normalise_their_own_rows_and_share_all_else(trained, eight):
    config = small_config(**{"model.bn": "per_replica"})
    expected = by_device(config, shards=8)
    assert_close(part(eight, "per_replica"), expected)
    # The test can tell them from a global batch's.
    _, metrics = trained
    assert not np.allclose(metrics[0]["loss"], expected["loss"], rtol=1e-3)


def test_parts_are_normalised_one_after_the_other(eight):
    """Loss and gradients are the whole batch's; statistics move with every part."""
    config = small_config(**{"train.accumulate": 2})
    expected = run(config)
    assert_close(part(eight, "parts"), expected)

    half = small_config(**{"train.batch": step_cases.BATCH // 2})
    module = step_cases.small_network(half)
    compute = jax.jit(from_config.make_gradients(module, half, sharding.make_mesh()))
    variables, batch = small_variables(config), small_batch(config)
    stats, key = variables["batch_stats"], jax.random.key(0)
    found, weights = [], []
    for i in range(2):
        rows = jax.tree.map(lambda x, i=i: x[i::2], batch)
        result = compute(variables["params"], stats, rows, key)
        stats = result.batch_stats
        found.append(result)
        labelled = (rows["labels"][..., 1:] > 0).any(-1) & rows["box_mask"]
        weights.append(labelled.sum())
    weights = np.array(weights) / sum(weights)
    loss, grads = jax.tree.map(
        lambda a, b: weights[0] * a + weights[1] * b,
        *((result.loss, result.grads) for result in found),
    )
    logits = np.stack([result.logits for result in found], 1)
    logits = logits.reshape(batch["labels"].shape)
    assert_close(expected, as_dict(gradients.Gradients(loss, grads, stats, logits)))


def test_parts_equal_the_whole_batch_where_nothing_is_normalised_by_it():
    whole = run(small_config(**{"model.bn": "frozen"}))
    in_parts = run(small_config(**{"model.bn": "frozen", "train.accumulate": 4}))
    assert_close(in_parts, whole)


@pytest.mark.parametrize("name", ["per_replica", "parts", "per_replica_parts"])
def test_devices_exchange_sums_only(eight, name):
    program = str(eight[f"{name}/program"])
    exchanges = re.findall(r".* (?:all|collective|reduce-sc)[a-z-]+\(.*", program)
    assert all(" all-reduce(" in line for line in exchanges)
    # With statistics of its own, a device's gradients are added up after the loop.
    in_loop = [line for line in exchanges if "while/body" in line]
    kernel = "f32[3,1,1,8,8]"
    if name == "per_replica_parts":
        assert in_loop and not any(kernel in line for line in in_loop)
    if name != "parts":
        assert sum(kernel in line for line in exchanges) == 1


def test_detectors_can_be_divided():
    """Every operation of theirs knows that devices hold different values."""
    config = small_config(
        **{"model.bn": "per_replica", "train.accumulate": 2, "data.crop": 32}
    )
    config.model.update(depth=10, width=8, remat=(2,))
    config.model.update(slow_stride=2, context=True, focal_gamma=1.0)
    mesh = sharding.make_mesh()
    module = build_detector(config.model, sharding.AXIS)
    compute = from_config.make_gradients(module, config, mesh)
    variables = variable_shapes(config.model)
    result = jax.eval_shape(
        compute,
        variables["params"],
        variables["batch_stats"],
        from_config.batch_spec(config, mesh),
        jax.random.key(0),
    )
    assert jax.tree.map(lambda x: x.shape, result.grads) == jax.tree.map(
        lambda x: x.shape, variables["params"]
    )


def test_the_average_follows_the_parameters(trained):
    states, _ = trained
    average = flat(states[0].params)
    for i, state in enumerate(states[1:]):
        decay = min(0.9, (1 + i) / (10 + i))
        new = flat(state.params)
        average = {k: decay * average[k] + (1 - decay) * new[k] for k in new}
        assert_close(flat(state.ema), average, rtol=1e-6)
        assert state.variables["params"] is state.ema


def test_the_average_changes_no_training(trained, eight):
    """`eight` was trained without one."""
    states, _ = trained
    expected = part(eight, "global/params")
    assert_close(flat(states[-1].params), expected)


def test_a_checkpoint_has_the_average_and_training_goes_on(trained, tmp_path):
    states, _ = trained
    config = small_config(**{"train.ema": 0.9})
    everywhere = sharding.replicated(sharding.make_mesh())
    state = jax.device_put(states[-1], everywhere)
    saved = store.Store(tmp_path)
    saved.save(state)
    saved.close()
    opened = store.Store(tmp_path)
    restored = opened.restore(jax.device_put(states[0], everywhere))
    opened.close()
    jax.tree.map(np.testing.assert_array_equal, restored, state)
    like = jax.device_put(small_variables(config))
    for_use = store.load_variables(tmp_path, config.model, like)
    jax.tree.map(np.testing.assert_array_equal, for_use["params"], state.ema)


def test_metrics_are_of_the_step(trained):
    states, metrics = trained
    for state, values in zip(states[1:], metrics):
        squares = [
            np.square(x, dtype=np.float64).sum() for x in jax.tree.leaves(state.params)
        ]
        np.testing.assert_allclose(values["param_norm"], sum(squares) ** 0.5, rtol=1e-6)


def test_the_old_state_is_donated():
    config = small_config()
    mesh = sharding.make_mesh()
    sgd = from_config.make_optimizer(config, np.ones(1))
    variables = jax.device_put(small_variables(config), sharding.replicated(mesh))
    state = init_state(variables, sgd, mesh, ema=True)
    config.train.ema = 0.5
    module = step_cases.small_network(config)
    step = from_config.make_train_step(module, sgd, config, mesh)
    batch = sharding.to_devices(small_batch(config), mesh)
    with jax.transfer_guard("disallow"):
        compiled = step.lower(state, batch).compile()
        compiled(state, batch)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))


def test_precise_statistics_are_those_that_training_mixes_in(trained):
    states, _ = trained
    config = small_config()
    moments_step = precise_bn.make_moments_step(
        step_cases.small_network(config),
        from_config.normalization(config),
        sharding.make_mesh(),
        config.model.bn,
    )
    batch = small_batch(config)
    before, after = states[:2]
    variables = {"params": before.params, "batch_stats": before.batch_stats}
    found = moments_step(variables, batch)
    old, new = flat(before.batch_stats), flat(after.batch_stats)
    expected = {k: (new[k] - np.float64(0.9) * old[k]) / 0.1 for k in old}
    # 1e-5: the division by 0.1 magnifies the rounding of `new`.
    assert_close(flat(found), expected, rtol=1e-5, atol=1e-5)


MISTAKES = {
    "parts": (
        {"train.accumulate": 3},
        "is 3: a batch of 16 .*divisor of 16",
    ),
    "no parts": ({"train.accumulate": 0}, "accumulate is 0"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told_before_anything_is_compiled(name):
    changes, message = MISTAKES[name]
    config = small_config(**changes)
    sgd = from_config.make_optimizer(config, np.ones(1))
    with pytest.raises(UserError, match=message):
        from_config.make_train_step(
            step_cases.small_network(config), sgd, config, sharding.make_mesh()
        )


def test_options_are_off_by_default():
    config = ava_config.default()
    train = config.train
    assert (train.accumulate, train.ema, train.precise_bn_steps) == (1, 0.0, 0)
    assert config.optim.lr_multipliers == ()
    assert config.profile == ""
