"""Normalisation of clips."""

import numpy as np

from ava_jax.models.preprocessing import Normalization
from configs import slowfast


def test_as_mmaction2_normalises(rng):
    """MMAction2's values of its AVA configurations, in float64."""
    normalize = Normalization.from_config(slowfast.get_config().data)
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    clips = rng.integers(0, 256, (2, 3, 4, 5, 3), np.uint8)
    # Three roundings of float32, of numbers up to 256 and of results up to 3.
    expected = (clips - mean) / std
    np.testing.assert_allclose(normalize(clips), expected, rtol=0, atol=2.5e-7)
