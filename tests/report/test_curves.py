import numpy as np
import pytest

from ava_jax.metrics.ava_map import Curve
from ava_jax.report import curves


def curve_of(precision):
    count = len(precision)
    return Curve(np.linspace(1, 0, count), np.arange(1, count + 1) / count, precision)


def random_walk(count):
    steps = np.random.default_rng(0).normal(0, 0.02, count)
    return np.clip(0.7 + np.cumsum(steps), 0, 1)


@pytest.mark.parametrize(
    ("precision", "most"),
    [
        (np.zeros(0), 0),
        (np.ones(1), 1),
        (np.linspace(1, 0.3, 5000), 2),
        (1 / (1 + np.linspace(0, 5, 20000)), 40),
        (np.array([1, 0.5, 2 / 3, 0.75]), 4),
        (random_walk(500), 500),
    ],
)
def test_a_thinned_curve_looks_the_same(precision, most):
    whole = curve_of(precision)
    thin = curves.thin(whole)
    assert len(thin.recall) <= most
    points = set(zip(*whole, strict=True))
    assert points >= set(zip(*thin, strict=True))
    if len(precision):
        drawn = np.interp(whole.recall, thin.recall, thin.precision)
        np.testing.assert_allclose(drawn, whole.precision, rtol=0, atol=0.002 + 1e-12)
        assert thin.recall[0] == whole.recall[0] and thin.recall[-1] == 1
