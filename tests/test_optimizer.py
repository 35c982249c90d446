"""Learning rates and SGD against mmcv's and torch's definitions."""

import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from ava_jax import optimizer
from ava_jax.errors import UserError
from configs import slowfast, slowonly

SCHEDULES = json.loads(
    (pathlib.Path(__file__).parent / "data/reference/schedules.json").read_text()
)
GET_CONFIG = dict.fromkeys(slowfast.VARIANTS, slowfast.get_config) | dict.fromkeys(
    slowonly.VARIANTS, slowonly.get_config
)


@pytest.mark.parametrize("length", ["main", "long_epochs"])
@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_learning_rates_equal_mmcv(name, length):
    config = GET_CONFIG[name](name)
    expected = SCHEDULES[name][length]
    rates = optimizer.learning_rates(config, expected["iters_per_epoch"])
    assert len(rates) == config.train.epochs * expected["iters_per_epoch"]
    # 1e-12: both are float64, in another order of operations; the absolute part
    # is for the last values of a cosine, where 1 + cos cancels.
    np.testing.assert_allclose(
        rates[expected["first_iter"] : expected["last_iter"] + 1 : expected["every"]],
        expected["lr"],
        rtol=1e-12,
        atol=1e-17,
    )


def test_every_published_recipe_has_a_schedule():
    assert sorted(GET_CONFIG) == sorted(SCHEDULES)


def test_the_rate_grows_with_the_batch():
    config = slowfast.get_config()
    rates = optimizer.learning_rates(config, 100)
    config.train.batch *= 2
    np.testing.assert_allclose(optimizer.learning_rates(config, 100), 2 * rates)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_torchs(nesterov):
    config = slowfast.get_config()
    config.optim.nesterov = nesterov
    config.optim.weight_decay = 0.01
    config.optim.clip_norm = 1.0
    rates = np.array([0.1, 0.3, 0.2])
    sgd = optimizer.sgd(config, rates)
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


def test_unknown_schedule_names_the_field():
    config = slowfast.get_config()
    config.optim.schedule = "polynomial"
    with pytest.raises(UserError, match="config.optim.schedule"):
        optimizer.learning_rates(config, 100)
