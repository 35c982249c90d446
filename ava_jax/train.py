"""The training loop, top to bottom."""

import time
from typing import Any

import jax
import ml_collections
import numpy as np
from absl import logging
from clu import metric_writers

from ava_jax import interruption, optimizer, parallel, steps
from ava_jax.checkpoints import store
from ava_jax.data import dataset, pipeline, sources
from ava_jax.evaluate import Evaluator, class_lines
from ava_jax.models import build_detector, init_variables
from ava_jax.progress import Progress
from ava_jax.workdir import Workdir, read_json


def train(config: ml_collections.ConfigDict, workdir: Workdir) -> dict[str, Any]:
    """Trains from scratch, from `config.init_from` or from where it stopped.

    Args:
      config: the whole configuration.
      workdir: where everything is written, and a stopped run is found.

    Returns:
      The contents of `metrics.json` after the last step.

    Raises:
      UserError: data or configuration are not usable.
      KeyboardInterrupt: it was asked to stop, and has saved its state.
    """
    # ----------------------------------------------------------------- data
    config = sources.prepare(config, workdir.path)
    train_split = dataset.load_split(config, "train")
    steps_per_epoch = pipeline.steps_per_epoch(train_split, config)
    total = optimizer.total_steps(config, steps_per_epoch)
    eval_every = _every(config.eval.every_epochs, steps_per_epoch)
    save_every = _every(config.train.save_every_epochs, steps_per_epoch)
    rows = parallel.rows_of_this_host(config.train.batch, "config.train.batch")

    # ---------------------------------------------------- model and optimiser
    mesh = parallel.make_mesh()
    module = build_detector(config.model)
    rates = optimizer.learning_rates(config, steps_per_epoch)
    sgd = optimizer.sgd(config, rates)
    variables = init_variables(config.model, jax.random.key(config.seed))
    variables = jax.device_put(variables, parallel.replicated(mesh))
    if config.init_from:
        variables = store.load_variables(config.init_from, variables)
    state = steps.init_state(variables, sgd, mesh)
    train_step = steps.make_train_step(module, sgd, config, mesh)
    evaluator = Evaluator(config, mesh, steps.make_score_step(module, config, mesh))

    # --------------------------------------------------------------- resume
    checkpoints = store.Store(workdir.path, keep=config.train.keep)
    if checkpoints.latest_step() is not None:
        state = checkpoints.restore(state)
        logging.info("Resuming %s after step %d.", workdir.path, int(state.step))
    first_step = int(state.step)
    workdir.rewind_history(first_step)
    if first_step == total and (workdir / "metrics.json").exists():
        checkpoints.close()
        _say_complete(workdir)
        return read_json(workdir / "metrics.json")
    _say_plan(config, state, total, steps_per_epoch)

    # ---------------------------------------------------------------- steps
    writer = metric_writers.create_default_writer(
        str(workdir.path),
        collection="events",
        just_logging=not parallel.is_first_host(),
    )
    progress = Progress(first_step, total, config.train.batch, parallel.is_first_host())
    batches = pipeline.train_batches(
        train_split, config, first_step=first_step, steps=total, rows=rows
    )
    window = []
    with interruption.requests() as stop:
        for step in range(first_step + 1, total + 1):
            since = time.perf_counter()
            batch = parallel.to_devices(next(batches), mesh)
            progress.waited(time.perf_counter() - since)
            state, metrics = train_step(state, batch)
            window.append(metrics)

            if step % config.train.log_every == 0 or step == total:
                scalars = _means(window) | {"lr": float(rates[step - 1])}
                scalars |= progress.report(step, scalars)
                window = []
                writer.write_scalars(step, scalars)
                workdir.append_history(step, scalars)

            mean_ap = None
            if step % eval_every == 0 and step != total:
                with progress.pause():
                    metrics = evaluator.metrics(evaluator.scores(state.variables))
                    mean_ap = _report_eval(step, metrics, writer, workdir)
            if step % save_every == 0 or stop.made:
                with progress.pause():
                    checkpoints.save(state, mean_ap)
            if stop.made:
                checkpoints.close()
                progress.close()
                raise KeyboardInterrupt
    progress.close()

    # --------------------------------------------------------------- results
    scores = evaluator.scores(state.variables)
    mean_ap = _report_eval(total, evaluator.metrics(scores), writer, workdir)
    checkpoints.save(state, mean_ap)
    checkpoints.close()
    metrics = evaluator.write(scores, workdir, workdir.history())
    writer.close()
    _say_complete(workdir)
    return metrics


def _every(epochs: float, steps_per_epoch: int) -> int:
    return max(1, round(epochs * steps_per_epoch))


def _means(window: list[dict[str, jax.Array]]) -> dict[str, float]:
    """Each metric's mean over the steps since the last report."""
    window = jax.device_get(window)
    return {name: float(np.mean([m[name] for m in window])) for name in window[0]}


def _report_eval(step, metrics, writer, workdir) -> float:
    protocols = {
        f"mAP_{name}": protocol["mAP"]
        for name, protocol in metrics["protocols"].items()
    }
    scalars = {"mAP": metrics["mAP"], **protocols}
    writer.write_scalars(step, scalars)
    workdir.append_history(step, scalars)
    logging.info("step %d: mAP %.4f (%s)", step, metrics["mAP"], class_lines(metrics))
    return metrics["mAP"]


def _say_plan(config, state, total, steps_per_epoch) -> None:
    parameters = sum(x.size for x in jax.tree.leaves(state.params))
    logging.info(
        "%s: %.2f M parameters, %d steps of %d clips on %d devices (%d an epoch)",
        *(config.name, parameters / 1e6, total, config.train.batch),
        *(jax.device_count(), steps_per_epoch),
    )
    logging.info(
        "Learning rate %.4g: %.4g at %d clips, scaled to %d.",
        *(optimizer.effective_lr(config), config.optim.lr),
        *(config.optim.lr_batch, config.train.batch),
    )


def _say_complete(workdir) -> None:
    metrics = read_json(workdir / "metrics.json")
    logging.info(
        "Training in %s is complete: mAP %.4f.\nLook at %s",
        *(workdir.path, metrics["mAP"], workdir / "report/index.html"),
    )
