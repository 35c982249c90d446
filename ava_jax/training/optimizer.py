"""SGD, AdamW and learning rate schedules, as in mmcv and MMEngine."""

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
from ava_jax.models import trainable, vit


def effective_lr(optim: ml_collections.ConfigDict, batch: int) -> float:
    """Peak learning rate: linear in the batch (Goyal et al., arXiv:1706.02677)."""
    return optim.lr * batch / optim.lr_batch


def learning_rates(
    optim: ml_collections.ConfigDict, *, batch: int, steps: int, steps_per_epoch: int
) -> np.ndarray:
    """The learning rate of every step.

    As mmcv's `LrUpdaterHook`s or MMEngine's schedulers set it. Step schedules change
    between epochs, the cosine at every step; the warm-up scales the scheduled value.

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
    step = np.arange(steps)
    warmup = optim.warmup_steps or optim.warmup_epochs * steps_per_epoch
    rates = effective_lr(optim, batch) * _scheduled(
        optim, step, steps_per_epoch, warmup
    )
    return rates * _warmup_factors(optim, step, steps_per_epoch, warmup)


def _scheduled(optim, step, steps_per_epoch, warmup):
    """The share of the peak rate at every step, without the warm-up."""
    if optim.schedule == "step":
        # "right": the rate drops in the first step of a decay epoch, not after it.
        drops = np.searchsorted(optim.decay_epochs, step // steps_per_epoch, "right")
        return optim.decay_factor**drops
    first = warmup if optim.schedule == "cosine_after_warmup" else 0
    share = np.clip(step - first, 0, None) / max(len(step) - first, 1)
    return 0.5 * (1 + np.cos(np.pi * share))


def _warmup_factors(optim, step, steps_per_epoch, warmup):
    """The factor of the scheduled rate at every step: 1 after the warm-up."""
    if not warmup:
        return np.ones(len(step))
    if optim.warmup == "mmengine":
        step, warmup = step, warmup - 1
    elif optim.warmup == "mmengine_epochs":
        step, warmup = step // steps_per_epoch, warmup / steps_per_epoch - 1
    # mmcv: 1 - (1 - step / warmup) * (1 - ratio).
    missing = np.clip(1 - step / max(warmup, 1e-9), 0, None)
    return 1 - missing * (1 - optim.warmup_ratio)


def total_steps(epochs: float, steps_per_epoch: int) -> int:
    """Optimizer steps of the whole run."""
    return max(1, math.ceil(epochs * steps_per_epoch))


def make_optimizer(
    optim: ml_collections.ConfigDict,
    rates: np.ndarray,
    model: ml_collections.ConfigDict,
) -> optax.GradientTransformation:
    """The optimiser that `config.optim` describes.

    The gradient is clipped by its global norm first. The factors of
    `config.optim.lr_multipliers` and `layer_decay` come last, as the rates of torch's
    parameter groups do.

    Args:
      optim: `config.optim`.
      rates: (steps,) learning rates. They are a table because a formula in
        float32 would lose the end of a cosine.
      model: `config.model`, which says what is frozen.

    Raises:
      UserError: `layer_decay` is for another backbone.
    """
    if optim.layer_decay != 1 and model.backbone != "vit":
        raise UserError(
            f"config.optim.layer_decay is {optim.layer_decay}, and the backbone is "
            f"{model.backbone!r}: only the blocks of 'vit' have rates of their own. "
            "Set it to 1; --config.optim.lr_multipliers scales rates by name."
        )
    inner = {"sgd": _sgd, "adamw": _adamw}[optim.optimizer](optim, model)
    return optax.chain(
        optax.clip_by_global_norm(optim.clip_norm or math.inf),
        *inner,
        _scale_by_rates(jnp.asarray(rates, jnp.float32), optim),
    )


def _sgd(optim, model):
    """`torch.optim.SGD`, whose decay is added to the clipped gradient.

    Momentum sums gradients before the rate scales them, so that a change of the rate
    acts at once.
    """
    return (
        optax.add_decayed_weights(
            # Without the mask, weight decay would shrink frozen parameters.
            optim.weight_decay,
            mask=lambda params: trainable(model, params),
        ),
        optax.trace(decay=optim.momentum, nesterov=optim.nesterov),
    )


def _adamw(optim, model):
    """`torch.optim.AdamW`; as in MMAction2, vectors have no weight decay."""

    def decayed(params):
        return jax.tree.map(
            lambda is_trainable, x: is_trainable and x.ndim > 1,
            trainable(model, params),
            params,
        )

    return (
        optax.scale_by_adam(),
        optax.add_decayed_weights(optim.weight_decay, mask=decayed),
    )


def _scale_by_rates(table, optim) -> optax.GradientTransformation:
    """Scales by the rate; the same state whatever the factors.

    So a run can be resumed with other ones.
    """
    by_rate = optax.scale_by_learning_rate(lambda step: table[step])

    def update(updates, state, params=None):
        updates, state = by_rate.update(updates, state)
        factors = []
        if optim.lr_multipliers:
            factors.append(lr_factors(params, optim.lr_multipliers))
        if optim.layer_decay != 1:
            factors.append(layer_factors(params, optim.layer_decay))
        updates = jax.tree.map(lambda x, *f: math.prod(f, start=x), updates, *factors)
        return updates, state

    return optax.GradientTransformation(by_rate.init, update)


def layer_factors(params: Any, decay: float) -> Any:
    """The factor of the learning rate of every parameter of a ViT detector.

    MMAction2's `LearningRateDecayOptimizerConstructor`: a power of `decay` for each
    layer that a parameter is below the last one.

    Args:
      params: of the detector.
      decay: `config.optim.layer_decay`.

    Returns:
      A tree of floats like `params`.
    """
    numbers = vit.layer_numbers(params)
    last = max(jax.tree.leaves(numbers))
    return jax.tree.map(lambda number: decay ** (last - number), numbers)


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
