"""Learning rates, SGD and AdamW against mmcv's, MMEngine's and torch's definitions."""

import json
import pathlib
import subprocess
import sys

import flax.traverse_util
import from_config
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ava_jax import config as ava_config
from ava_jax.checkpoints.pytorch import key_names
from ava_jax.errors import UserError
from ava_jax.models.detector import variable_shapes
from ava_jax.training import optimizer
from configs import slowfast, slowonly

REFERENCE = pathlib.Path(__file__).parents[1] / "data/reference"
SCHEDULES = json.loads((REFERENCE / "schedules.json").read_text())
GOLDENS_1X = REFERENCE / "mmaction2_1x/goldens"
SCHEDULES_1X = json.loads((GOLDENS_1X / "schedules.json").read_text())
RECIPES = {
    path.partition(":")[2]: config
    for file in ava_config.DETECTORS
    for path, config in ava_config.variants(f"configs/{file}.py").items()
}


@pytest.mark.parametrize("length", ["main", "long_epochs"])
@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_learning_rates_equal_mmcv(name, length):
    config = RECIPES[name]
    expected = SCHEDULES[name][length]
    rates = from_config.learning_rates(config, expected["iters_per_epoch"])
    assert len(rates) == config.train.epochs * expected["iters_per_epoch"]
    # 1e-12: both are float64, in another order of operations; the absolute part
    # is for the last values of a cosine, where 1 + cos cancels.
    np.testing.assert_allclose(
        rates[expected["first_iter"] : expected["last_iter"] + 1 : expected["every"]],
        expected["lr"],
        rtol=1e-12,
        atol=1e-17,
    )


def schedule_1x(name):
    """A configuration with the schedule of a config of MMAction2 1.x."""
    stored = SCHEDULES_1X[name]
    warmup, main = stored["param_scheduler"]
    config = slowfast.get_config()
    config.train.epochs = stored["max_epochs"]
    config.optim.lr = stored["optimizer"]["lr"]
    config.optim.lr_batch = config.train.batch
    by_step = warmup.get("convert_to_iter_based", False)
    config.optim.warmup = "mmengine" if by_step else "mmengine_epochs"
    config.optim.warmup_epochs = float(warmup["end"])
    config.optim.warmup_ratio = warmup["start_factor"]
    if main["type"] == "CosineAnnealingLR":
        config.optim.schedule = "cosine_after_warmup"
    else:
        config.optim.decay_epochs = tuple(main["milestones"])
    return config


@pytest.mark.parametrize("length", ["every_iteration", "main", "long_epochs"])
@pytest.mark.parametrize("name", sorted(SCHEDULES_1X))
def test_learning_rates_equal_mmengine(name, length):
    curves = SCHEDULES_1X[SCHEDULES_1X[name].get("same_curve_as", name)]
    expected = curves[length]
    configs = [schedule_1x(name)]
    if "lfb" not in name:
        configs.append(RECIPES[name])
    for config in configs:
        rates = from_config.learning_rates(config, expected["iters_per_epoch"])
        assert len(rates) == expected["last_iter"] + 1
        # MMEngine multiplies the rate of the step before: its errors add up.
        np.testing.assert_allclose(
            rates[:: expected["every"]], expected["lr"], rtol=1e-11, atol=1e-17
        )


def test_every_published_recipe_has_a_schedule():
    names = {*slowfast.VARIANTS, *slowonly.VARIANTS} - {*SCHEDULES_1X}
    assert names == {*SCHEDULES}


def test_the_rate_grows_with_the_batch():
    config = slowfast.get_config()
    rates = from_config.learning_rates(config, 100)
    config.train.batch *= 2
    np.testing.assert_allclose(from_config.learning_rates(config, 100), 2 * rates)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_torchs(nesterov):
    config = slowfast.get_config()
    config.optim.nesterov = nesterov
    config.optim.weight_decay = 0.01
    config.optim.clip_norm = 1.0
    rates = np.array([0.1, 0.3, 0.2])
    sgd = from_config.make_optimizer(config, rates)
    parameter = np.array([1.0, -2.0])
    params = {"w": jnp.asarray(parameter, jnp.float32)}
    state = sgd.init(params)
    buffer = 0.0
    for rate, gradient in zip(rates, np.array([[3, 4], [0.1, 0.2], [-6, 8]])):
        updates, state = sgd.update({"w": jnp.asarray(gradient)}, state, params)
        params = {"w": params["w"] + updates["w"]}
        clipped = gradient * min(1.0, 1.0 / np.linalg.norm(gradient))
        direction = clipped + 0.01 * parameter
        buffer = 0.9 * buffer + direction
        step = direction + 0.9 * buffer if nesterov else buffer
        parameter = parameter - rate * step
    np.testing.assert_allclose(params["w"], parameter, rtol=1e-6)  # float32


def test_adamw_is_torchs():
    """Its decay is not clipped, nor part of the moments."""
    config = slowfast.get_config()
    config.optim.optimizer = "adamw"
    config.optim.weight_decay = 0.5
    config.optim.clip_norm = 1.0
    rates = np.array([0.1, 0.3, 0.2])
    adamw = from_config.make_optimizer(config, rates)
    kernel, first, second = np.array([[1.0, -2.0]]), 0.0, 0.0
    params = {"w": jnp.asarray(kernel, jnp.float32)}
    state = adamw.init(params)
    gradients = np.array([[[3, 4]], [[0.1, 0.2]], [[-6, 8]]])
    for step, (rate, gradient) in enumerate(zip(rates, gradients), 1):
        updates, state = adamw.update({"w": jnp.asarray(gradient)}, state, params)
        params = {"w": params["w"] + updates["w"]}
        clipped = gradient * min(1.0, 1.0 / np.linalg.norm(gradient))
        first = 0.9 * first + 0.1 * clipped
        second = 0.999 * second + 0.001 * clipped**2
        kernel = kernel * (1 - rate * 0.5)
        denominator = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        kernel = kernel - rate * first / (1 - 0.9**step) / denominator
    np.testing.assert_allclose(params["w"], kernel, rtol=1e-5)  # float32


@pytest.mark.parametrize("name", [name for name in RECIPES if "vit-" in name])
def test_rates_and_decay_of_every_parameter_are_mmaction2s(name):
    """Without a gradient, AdamW moves a parameter by its rate and decay alone."""
    config = RECIPES[name]
    shapes = variable_shapes(config.model)["params"]
    params = jax.tree.map(lambda x: jnp.ones((1,) * len(x.shape)), shapes)
    adamw = from_config.make_optimizer(config, np.array([config.optim.lr]))
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = adamw.update(zeros, adamw.init(params), params)
    factors = optimizer.layer_factors(params, config.optim.layer_decay)
    updates, factors = (by_key(tree) for tree in (updates, factors))
    stored = json.loads((GOLDENS_1X / f"param_groups_{name}.json").read_text())
    assert (
        config.optim.weight_decay
        == stored["optim_wrapper"]["optimizer"]["weight_decay"]
    )
    seen = set()
    for group in stored["groups"]:
        for key in group["params"]:
            np.testing.assert_allclose(factors[key], group["lr_scale"], rtol=1e-14)
            np.testing.assert_allclose(
                np.ravel(updates[key]),
                -group["lr"] * group["weight_decay"],
                rtol=1e-6,  # float32
                err_msg=key,
            )
        seen |= set(group["params"])
    assert seen == set(updates)


def by_key(tree):
    """Leaves of a tree of parameters by MMAction2's keys."""
    flat = flax.traverse_util.flatten_dict(tree)
    return {key_names.to_key(("params", *path)): x for path, x in flat.items()}


def test_layer_decay_is_for_a_transformer():
    config = slowfast.get_config()
    config.optim.layer_decay = 0.75
    with pytest.raises(UserError, match="layer_decay is 0.75.*'slowfast'.*lr_mult"):
        from_config.make_optimizer(config, np.ones(1))


def test_unknown_schedule_names_the_field():
    config = slowfast.get_config()
    config.optim.schedule = "polynomial"
    with pytest.raises(UserError, match="config.optim.schedule"):
        from_config.learning_rates(config, 100)


PARAMS = {
    "backbone": {"conv1": {"bn": {"scale": 1.0}}, "layer1": {"conv": {"kernel": 1.0}}},
    "roi_head": {"fc_cls": {"kernel": 1.0, "bias": 1.0}},
}
FACTORS = {
    # Multipliers -> factors of scale, layer1's kernel, bias and kernel of fc_cls.
    "none": ((), (1, 1, 1, 1)),
    "part": ((("backbone", 0.1),), (0.1, 0.1, 1, 1)),
    "first counts": ((("backbone/conv1", 0), ("backbone", 0.5)), (0, 0.5, 1, 1)),
    "expression": (((".*/(bias|bn/)", 2),), (2, 1, 2, 1)),
    "beginning": ((("roi", 3), ("back", 4)), (4, 4, 3, 3)),
}


@pytest.mark.parametrize("name", FACTORS)
def test_factors_by_name(name):
    multipliers, expected = FACTORS[name]
    factors = optimizer.lr_factors(PARAMS, multipliers)
    assert jax.tree.structure(factors) == jax.tree.structure(PARAMS)
    assert tuple(jax.tree.leaves(factors)) == expected


def test_a_factor_acts_on_the_rate_alone():
    """Neither on momentum nor on the norm that is clipped, as torch's groups."""
    config = slowfast.get_config()
    rates = np.array([0.1, 0.2, 0.3])

    def updates(multipliers):
        config.optim.lr_multipliers = multipliers
        sgd = from_config.make_optimizer(config, rates)
        params = jax.tree.map(jnp.asarray, PARAMS)
        state, found = sgd.init(params), []
        for gradient in (30.0, -50.0, 1.0):
            gradients = jax.tree.map(lambda x, g=gradient: g * x, params)
            update, state = sgd.update(gradients, state, params)
            found.append(update)
        return found

    for plain, scaled in zip(updates(()), updates((("backbone", 0.25),)), strict=True):
        # A power of two: exact.
        expected = jax.tree.map(lambda x: 0.25 * x, plain["backbone"])
        assert scaled == {"backbone": expected, "roi_head": plain["roi_head"]}


WRONG = {
    "no parameter": ((("backbon/", 0.1),), "'backbon/'; it .*no parameter.*'backbone/"),
    "taken": ((("b", 1.0), ("backbone", 0.1)), "'backbone'; it .*an earlier"),
    "no pair": (("backbone", 0.1), "entry 'backbone' .*pairs"),
    "no expression": ((("(", 0.1),), "entry .*pairs"),
    "no number": ((("backbone", "low"),), "entry .*pairs"),
    "negative": ((("backbone", -1),), "factor -1 .*0 or more"),
}


@pytest.mark.parametrize("name", WRONG)
def test_multipliers_that_mean_nothing(name):
    multipliers, message = WRONG[name]
    with pytest.raises(UserError, match=message):
        optimizer.lr_factors(PARAMS, multipliers)


PRINT_MULTIPLIERS = """
from absl import app
from ml_collections import config_flags
config = config_flags.DEFINE_config_file("config")
app.run(lambda _: print(config.value.optim.lr_multipliers))
"""


def test_multipliers_can_be_given_as_a_flag():
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            PRINT_MULTIPLIERS,
            "--config=configs/mini.py",
            "--config.optim.lr_multipliers=(('backbone', 0.1), ('.*bias', 2.0))",
        ],
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert result.stdout == "(('backbone', 0.1), ('.*bias', 2.0))\n", result.stderr
