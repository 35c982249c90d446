"""Parity needs full float32 products, which accelerators do not use by default."""

import jax
import pytest


@pytest.fixture(autouse=True)
def highest_precision():
    with jax.default_matmul_precision("highest"):
        yield
