"""Made-up weights, where training or an initialiser would take too long."""

import jax
import numpy as np

from ava_jax.models import detector


def made_up_variables(model):
    """Weights that keep the size of activations, without compiling an initialiser."""
    rng = np.random.default_rng(5)

    def value(path, leaf):
        if len(leaf.shape) > 1:
            # The head gets a tenth, so that scores are neither 0 nor 1.
            share = 2 if len(leaf.shape) > 2 else 0.02
            deviation = np.sqrt(share / np.prod(leaf.shape[:-1]))
            return rng.normal(0, deviation, leaf.shape).astype(np.float32)
        filled = np.ones if path[-1].key in ("scale", "var") else np.zeros
        return filled(leaf.shape, np.float32)

    return jax.tree.map_with_path(value, detector.variable_shapes(model))
