"""SGD and learning rate schedules, as in mmcv."""

import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from ava_jax import config as ava_config
from ava_jax.errors import UserError
from ava_jax.models import trainable


def effective_lr(optim: ml_collections.ConfigDict, batch: int) -> float:
    """Peak learning rate: linear in the batch (Goyal et al., arXiv:1706.02677)."""
    return optim.lr * batch / optim.lr_batch


def learning_rates(
    optim: ml_collections.ConfigDict, *, batch: int, steps: int, steps_per_epoch: int
) -> np.ndarray:
    """The learning rate of every step, as mmcv's `LrUpdaterHook`s set it.

    Step schedules change between epochs, the cosine at every step; a linear warm-up
    scales the scheduled value.

    Args:
      optim: `config.optim`.
      batch: clips of a step.
      steps: of the whole run (see `total_steps`).
      steps_per_epoch: optimizer steps in one pass over the data.

    Returns:
      (steps,) float64.

    Raises:
      UserError: a field of `config.optim` has no such value.
    """
    ava_config.check(optim, "optim")
    peak = effective_lr(optim, batch)
    step = np.arange(steps)
    if optim.schedule == "step":
        # "right": the rate drops in the first step of a decay epoch, not after it.
        drops = np.searchsorted(optim.decay_epochs, step // steps_per_epoch, "right")
        rates = peak * optim.decay_factor**drops
    else:
        rates = peak * 0.5 * (1 + np.cos(np.pi * step / steps))
    warmup = optim.warmup_steps or optim.warmup_epochs * steps_per_epoch
    if warmup:
        # mmcv: rate * (1 - (1 - step / warmup) * (1 - ratio)).
        missing = np.clip(1 - step / warmup, 0, None) * (1 - optim.warmup_ratio)
        rates = rates * (1 - missing)
    return rates


def total_steps(epochs: float, steps_per_epoch: int) -> int:
    """Optimizer steps of the whole run."""
    return max(1, math.ceil(epochs * steps_per_epoch))


def sgd(
    optim: ml_collections.ConfigDict,
    rates: np.ndarray,
    model: ml_collections.ConfigDict,
) -> optax.GradientTransformation:
    """`torch.optim.SGD` after mmcv's gradient clipping.

    The gradient is clipped by its global norm first; weight decay, on every
    parameter that is not frozen, and momentum act on the clipped one. The factors
    of `config.optim.lr_multipliers` come last, as the rates of torch's parameter
    groups do.

    Args:
      optim: `config.optim`.
      rates: (steps,) learning rates. They are a table because a formula in
        float32 would lose the end of a cosine.
      model: `config.model`, which says what is frozen.
    """
    table = jnp.asarray(rates, jnp.float32)
    # The order is torch's: decay is added to the clipped gradient, and momentum sums
    # gradients before the rate scales them, so that a change of the rate acts at once.
    return optax.chain(
        optax.clip_by_global_norm(optim.clip_norm or math.inf),
        optax.add_decayed_weights(
            # Without the mask, weight decay would shrink frozen parameters.
            optim.weight_decay,
            mask=lambda params: trainable(model, params),
        ),
        optax.trace(decay=optim.momentum, nesterov=optim.nesterov),
        _scale_by_rates(table, optim.lr_multipliers),
    )


def _scale_by_rates(table, multipliers) -> optax.GradientTransformation:
    """Scales by the rate; the same state with and without multipliers.

    So a run can be resumed with other multipliers.
    """
    by_rate = optax.scale_by_learning_rate(lambda step: table[step])

    def update(updates, state, params=None):
        updates, state = by_rate.update(updates, state)
        if multipliers:
            factors = lr_factors(params, multipliers)
            updates = jax.tree.map(jnp.multiply, updates, factors)
        return updates, state

    return optax.GradientTransformation(by_rate.init, update)


def lr_factors(params: Any, multipliers: tuple[tuple[str, float], ...]) -> Any:
    """The factor of the learning rate of every parameter.

    Args:
      params: of a detector; a parameter's name is its path, such as
        'backbone/layer1/0/conv1/conv/kernel'.
      multipliers: (regular expression, factor) pairs. The first whose expression
        matches at the start of the name is used; without a match the factor is 1.

    Returns:
      A tree of floats like `params`.

    Raises:
      UserError: an entry is no such pair, or matches no parameter.
    """
    rules = [_rule(entry) for entry in multipliers]
    used = set()

    def factor(path, _):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        for i, (expression, value) in enumerate(rules):
            if expression.match(name):
                used.add(i)
                return value
        return 1.0

    factors = jax.tree.map_with_path(factor, params)
    for i, (expression, _) in enumerate(rules):
        if i not in used:
            first = jax.tree_util.tree_leaves_with_path(params)[0][0]
            name = jax.tree_util.keystr(first, simple=True, separator="/")
            raise UserError(
                f"config.optim.lr_multipliers has {expression.pattern!r}; it matches "
                "the start of no parameter's name (or only of names that an earlier "
                f"entry matches). A name is like {name!r}."
            )
    return factors


def _rule(entry) -> tuple[re.Pattern[str], float]:
    try:
        text, factor = entry
        rule = re.compile(text), float(factor)
    except (TypeError, ValueError, re.error) as error:
        raise UserError(
            f"config.optim.lr_multipliers has the entry {entry!r} ({error}); expected: "
            "pairs of a regular expression and a factor, such as "
            "--config.optim.lr_multipliers=\"(('backbone', 0.1),)\"."
        ) from error
    if rule[1] < 0:
        raise UserError(
            f"config.optim.lr_multipliers has the factor {factor!r} for {text!r}; "
            "expected: 0 or more."
        )
    return rule
