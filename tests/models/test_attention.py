"""Attention by each platform's program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ava_jax.models import attention


def arrays(dtype, scale=1.0):
    rng = np.random.default_rng(0)
    q, k, v = scale * rng.standard_normal((3, 2, 40, 3, 16))
    return [jnp.asarray(x, dtype) for x in (q, k, v)]


def definition(q, k, v):
    """In double precision: softmax over all keys, for every head."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    logits = np.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(q.shape[-1])
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("bhqk,bkhd->bqhd", weights, v)


@pytest.mark.parametrize("program", [attention.attention, attention.head_by_head])
@pytest.mark.parametrize(
    ("dtype", "scale", "tolerance"),
    [
        # A few units in the last place of the largest value.
        ("float32", 1, 1e-6),
        # Logits of thousands: exp of them is not finite.
        ("float32", 30, 2e-4),
        # It rounds to 1 in 256, its weights too.
        ("bfloat16", 1, 8e-3),
    ],
)
def test_equals_its_definition(program, dtype, scale, tolerance):
    inputs = arrays(dtype, scale)
    found = jax.jit(program)(*inputs)
    expected = definition(*inputs)
    assert found.dtype == dtype
    error = np.abs(np.asarray(found, np.float64) - expected).max()
    assert error <= tolerance * np.abs(expected).max()


def test_gradients_are_those_of_all_heads_at_once():
    inputs = arrays("float32")

    def gradients(program):
        def loss(*inputs):
            return jnp.sin(program(*inputs)).sum()

        return jax.jit(jax.grad(loss, (0, 1, 2)))(*inputs)

    found, expected = map(
        gradients, (attention.head_by_head, jax.nn.dot_product_attention)
    )
    for one, other in zip(found, expected, strict=True):
        # Float32, and sums in another order.
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-6)


def test_attention_is_cudnns_on_gpus_that_have_it(monkeypatch):
    used = []

    def recorded(query, key, value, implementation="plain"):
        used.append(implementation)
        return query

    monkeypatch.setattr(jax.nn, "dot_product_attention", recorded)
    monkeypatch.setattr(attention, "has_flash_attention", lambda: True)
    for dtype in ("float32", "bfloat16"):
        x = jnp.zeros((1, 4, 2, 8), dtype)
        jax.eval_shape(attention.attention, x, x, x)
    # Half precision traces both: a program may be exported for another platform.
    assert used[0] == "plain" and sorted(used[1:]) == ["cudnn", "plain"]


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="for the CPU")
def test_this_host_has_no_cudnn():
    assert not attention.has_flash_attention()
