"""A training step of a configuration, for the benchmarks."""

from ava_jax.models import build_detector
from ava_jax.models.preprocessing import Normalization
from ava_jax.runtime import sharding
from ava_jax.training import optimizer
from ava_jax.training.train_step import batch_spec, make_train_step

_STEPS_PER_EPOCH = 1000


def make_optimizer(config):
    """The optimiser, for epochs of 1000 steps."""
    rates = optimizer.learning_rates(
        config.optim,
        batch=config.train.batch,
        steps=optimizer.total_steps(config.train.epochs, _STEPS_PER_EPOCH),
        steps_per_epoch=_STEPS_PER_EPOCH,
    )
    return optimizer.make_optimizer(config.optim, rates, config.model)


def make_step(config, sgd, mesh):
    """The step, and the shapes of its batch."""
    step = make_train_step(
        build_detector(config.model, sharding.AXIS),
        sgd,
        Normalization.from_config(config.data),
        mesh,
        model=config.model,
        train=config.train,
        seed=config.seed,
    )
    classes = config.model.num_classes
    spec = batch_spec(
        config.data, batch=config.train.batch, num_classes=classes, mesh=mesh
    )
    return step, spec
