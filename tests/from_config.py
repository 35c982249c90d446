"""The package's functions of sections, called with a whole configuration."""

from ava_jax.checks import check
from ava_jax.data import dataset, eval_clips, examples, pipeline
from ava_jax.inference.eval_step import make_eval_step as _make_eval_step
from ava_jax.models.preprocessing import Normalization
from ava_jax.training import compilation, gradients, optimizer, train_step


def load_split(config, name):
    return dataset.load_split(config.data, name, config.model.num_classes)


def examine(config, **options):
    return check.examine(config.data, config.model.num_classes, **options)


def steps_per_epoch(split, config):
    return pipeline.steps_per_epoch(split, config.train.batch)


def train_batches(split, config, *, first_step, steps, rows):
    return pipeline.train_batches(
        split,
        config.data,
        batch=config.train.batch,
        seed=config.seed,
        first_step=first_step,
        steps=steps,
        rows=rows,
    )


def key_frames(split, config, step):
    return pipeline.key_frames(split, step, batch=config.train.batch, seed=config.seed)


def eval_batches(split, config, *, rows):
    return pipeline.eval_batches(
        split,
        config.data,
        batch=config.eval.batch,
        short_side=config.data.test_short_side,
        rows=rows,
    )


def eval_plan(split, config, rows):
    return eval_clips.plan(
        split,
        config.eval.batch,
        rows,
        short_side=config.data.test_short_side,
        max_boxes=config.data.max_boxes,
    )


def new_examples(split, config):
    return examples.Examples(split, config.data, config.seed)


def normalization(config):
    return Normalization.from_config(config.data)


def make_eval_step(module, config, mesh, flip=False):
    return _make_eval_step(
        module,
        normalization(config),
        mesh,
        multilabel=config.model.multilabel,
        flip=flip,
    )


def learning_rates(config, steps_per_epoch):
    return optimizer.learning_rates(
        config.optim,
        batch=config.train.batch,
        steps=optimizer.total_steps(config.train.epochs, steps_per_epoch),
        steps_per_epoch=steps_per_epoch,
    )


def make_optimizer(config, rates):
    return optimizer.make_optimizer(config.optim, rates, config.model)


def make_gradients(module, config, mesh):
    return gradients.make_gradients(
        module, normalization(config), mesh, model=config.model, train=config.train
    )


def make_train_step(module, optimizer, config, mesh):
    return train_step.make_train_step(
        module,
        optimizer,
        normalization(config),
        mesh,
        model=config.model,
        train=config.train,
        seed=config.seed,
    )


def batch_spec(config, mesh):
    return train_step.batch_spec(
        config.data,
        batch=config.train.batch,
        num_classes=config.model.num_classes,
        mesh=mesh,
    )


def compile_step(module, step, state, config, mesh):
    return compilation.compile_step(
        module,
        step,
        state,
        batch_spec(config, mesh),
        train=config.train,
        model=config.model,
    )
