"""Batch normalisation: torch's running statistics, and whose statistics count."""

import jax
import numpy as np
import pytest

from ava_jax.models.batch_norm import BatchNorm, PerReplica


@pytest.fixture
def data(rng):
    """Two replicas' maps (replica, B, T, H, W, C), far from mean 0."""
    return (5 + 2 * rng.standard_normal((2, 3, 2, 4, 5, 6))).astype(np.float32)


@pytest.fixture
def variables(rng):
    def draw():
        return rng.uniform(0.5, 1.5, 6).astype(np.float32)

    return {
        "params": {"scale": draw(), "bias": draw()},
        "batch_stats": {"mean": draw(), "var": draw()},
    }


def _normalised(x, mean, var, params):
    return (x - mean) / np.sqrt(var + 1e-5) * params["scale"] + params["bias"]


def _train(mode, variables, x):
    return BatchNorm(mode).apply(variables, x, True, mutable=["batch_stats"])


def test_training_normalises_by_the_batch(data, variables):
    x = data.reshape(-1, *data.shape[2:])
    y, new = _train("global", variables, x)
    exact = x.reshape(-1, 6).astype(np.float64)
    expected = _normalised(x, exact.mean(0), exact.var(0), variables["params"])
    # float32, values up to 5.
    np.testing.assert_allclose(y, expected, rtol=0, atol=5e-6)
    old = variables["batch_stats"]
    np.testing.assert_allclose(
        new["batch_stats"]["mean"], 0.9 * old["mean"] + 0.1 * exact.mean(0), rtol=1e-6
    )
    np.testing.assert_allclose(
        new["batch_stats"]["var"],
        0.9 * old["var"] + 0.1 * exact.var(0, ddof=1),
        rtol=1e-6,
    )


def test_masked_rows_do_not_enter_the_statistics(data, variables):
    x = data.reshape(-1, *data.shape[2:])
    mask = np.array([1, 0, 1, 1, 0, 1], bool)
    expected, new = _train("global", variables, x[mask])
    other = np.where(mask[:, None, None, None, None], x, 1000)
    module = BatchNorm("global")
    found, found_new = module.apply(
        variables, other, True, mask, mutable=["batch_stats"]
    )
    np.testing.assert_allclose(found[mask], expected, rtol=0, atol=5e-6)
    for name, value in new["batch_stats"].items():
        np.testing.assert_allclose(found_new["batch_stats"][name], value, rtol=1e-6)
    _, none = module.apply(variables, x, True, mask & False, mutable=["batch_stats"])
    assert all(np.isfinite(value).all() for value in none["batch_stats"].values())


@pytest.mark.parametrize(("mode", "train"), [("global", False), ("frozen", True)])
def test_running_statistics_are_used_and_kept(mode, train, data, variables):
    y, new = BatchNorm(mode).apply(variables, data[0], train, mutable=["batch_stats"])
    stats = variables["batch_stats"]
    expected = _normalised(data[0], stats["mean"], stats["var"], variables["params"])
    np.testing.assert_allclose(y, expected, rtol=0, atol=5e-6)
    jax.tree.map(np.testing.assert_array_equal, new["batch_stats"], stats)


def test_replicas_use_their_own_statistics_and_average_the_running_ones(
    data, variables
):
    replicas = jax.vmap(
        lambda x: _train(PerReplica("replica"), variables, x), axis_name="replica"
    )
    y, new = replicas(data)
    alone = [_train("global", variables, x) for x in data]
    for i in range(2):
        np.testing.assert_allclose(y[i], alone[i][0], rtol=0, atol=2e-6)
        for name, value in new["batch_stats"].items():
            mean = (
                alone[0][1]["batch_stats"][name] + alone[1][1]["batch_stats"][name]
            ) / 2
            np.testing.assert_allclose(value[i], mean, rtol=1e-6)


def test_statistics_of_bfloat16_maps_are_float32(data, variables):
    x = data[0].astype("bfloat16")
    y, new = _train("global", variables, x)
    assert y.dtype == x.dtype
    exact = np.asarray(x, np.float64).reshape(-1, 6)
    assert new["batch_stats"]["mean"].dtype == np.float32
    np.testing.assert_allclose(
        new["batch_stats"]["mean"],
        0.9 * variables["batch_stats"]["mean"] + 0.1 * exact.mean(0),
        rtol=1e-6,
    )


def test_a_single_value_a_channel_stays_finite(variables):
    y, new = _train("global", variables, np.ones((1, 1, 1, 1, 6), np.float32))
    assert np.isfinite(y).all()
    assert all(np.isfinite(v).all() for v in new["batch_stats"].values())
