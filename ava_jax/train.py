"""The training loop, top to bottom."""

import contextlib
import dataclasses
import math
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import ml_collections
import numpy as np
import optax
from absl import logging
from clu import metric_writers
from flax import linen

from ava_jax import config as ava_config
from ava_jax import files
from ava_jax.annotations import labels_file
from ava_jax.checkpoints import by_name, store
from ava_jax.data import class_balance, dataset, feature_bank, pipeline
from ava_jax.data.dataset import check_data
from ava_jax.evaluate import Evaluator
from ava_jax.models import build_detector, check_clips, init_variables
from ava_jax.models.preprocessing import Normalization
from ava_jax.prepare import sources
from ava_jax.report import contact_sheet
from ava_jax.report.tables import headline, scalars
from ava_jax.runtime import consistency, multihost, preemption, sharding
from ava_jax.training import nan_check, optimizer, step_cost
from ava_jax.training.class_weights import class_weights
from ava_jax.training.compilation import CompiledStep, compile_step
from ava_jax.training.precise_bn import PreciseStatistics
from ava_jax.training.profiler import Profile
from ava_jax.training.progress import Progress
from ava_jax.training.random_batch import random_batch
from ava_jax.training.train_state import TrainState, init_state
from ava_jax.training.train_step import batch_spec, make_train_step
from ava_jax.workdir import Workdir, is_trained

_DRY_STEPS = 2
_SHOWN = 4  # key frames with predictions in TensorBoard, at every evaluation


def train(config: ml_collections.ConfigDict, workdir: Workdir) -> dict[str, Any]:
    """Trains from `config.init_from`, or from the newest checkpoint of the folder.

    Args:
      config: the whole configuration.
      workdir: where everything is written; a stopped run in it is resumed.

    Returns:
      The contents of `metrics.json` after the last step.

    Raises:
      UserError: initial weights, data or configuration are not usable, the step
        does not fit into memory, or the loss is not finite.
      KeyboardInterrupt: it was asked to stop, and has saved its state.
    """
    ava_config.check(config)
    _check_clips(config)
    first_host = jax.process_index() == 0
    profile = Profile(config.profile, workdir / "profile", first_host)

    # ------------------------------------------------------ initial weights
    # Before anything that takes long, as they may not be found. A run that resumes
    # does not need them.
    is_new = not is_trained(workdir.path)
    with multihost.main_process_first("initial weights"):
        init_from = by_name.initial_weights(config.init_from) if is_new else None

    # ----------------------------------------------------------------- data
    with multihost.main_process_first("data set"):
        config = config.copy_and_resolve_references()
        config.data.root = sources.prepare(config.data, workdir.path)
        train_split = dataset.load_split(config.data, "train", config.model.num_classes)
    check_data("training", train_split)
    feature_bank.check_width(train_split.bank, config.model)
    if first_host:
        _write_labels(workdir, train_split, sources.dataset_name(config.data))
    steps_per_epoch = pipeline.steps_per_epoch(train_split, config.train.batch)
    total = optimizer.total_steps(config.train.epochs, steps_per_epoch)
    eval_every = _every(config.eval.every_epochs, steps_per_epoch)
    save_every = _every(config.train.save_every_epochs, steps_per_epoch)
    rows = sharding.rows_of_this_host(config.train.batch, "config.train.batch")

    # ---------------------------------------------------- model and optimiser
    counts = class_balance.box_counts(train_split)
    weights = class_weights(config.model.class_weights, counts)
    program = _build(config, steps_per_epoch, weights)
    mesh, module, variables = program.mesh, program.module, program.variables
    checkpoints = store.Store(workdir.path, keep=config.train.keep)
    if init_from is not None:
        variables = store.load_variables(init_from, config.model, variables)
    state = init_state(variables, program.tx, mesh, ema=config.train.ema > 0)

    def batches_between(first, end):
        return pipeline.train_batches(
            train_split,
            config.data,
            batch=config.train.batch,
            seed=config.seed,
            first_step=first,
            steps=end,
            rows=rows,
        )

    statistics = PreciseStatistics(
        module,
        batches_between,
        Normalization.from_config(config.data),
        mesh,
        steps=config.train.precise_bn_steps,
        bn=config.model.bn,
    )
    evaluator = Evaluator(config, mesh, module)

    # --------------------------------------------------------------- resume
    if checkpoints.latest_step() is not None:
        state = checkpoints.restore(state)
        logging.info("Resuming %s after step %d.", workdir.path, int(state.step))
    consistency.check_parameters(state.params)
    first_step = int(state.step)
    workdir.rewind_history(first_step)
    if first_step == total and (workdir / "metrics.json").exists():
        checkpoints.close()
        _say_complete(workdir)
        return files.read_json(workdir / "metrics.json")
    if first_host:  # left by an evaluation during training
        (workdir / "metrics.json").unlink(missing_ok=True)

    # -------------------------------------------------------- ahead of time
    train_step = program.compile(state)
    lines = step_cost.cost_lines(train_step.cost, config.optim, config.train, mesh)
    lines |= class_balance.lines(train_split, config.data.repeat_threshold, weights)
    logging.info(
        "%s: %d steps, %d an epoch\n%s",
        config.name,
        total,
        steps_per_epoch,
        step_cost.as_table(lines),
    )

    # ---------------------------------------------------------------- steps
    writer = metric_writers.create_default_writer(
        str(workdir.path), collection="events", just_logging=not first_host
    )
    progress = Progress(first_step, total, config.train.batch, first_host)
    batches = batches_between(first_step, total)
    window = []
    with (
        contextlib.closing(writer),
        contextlib.closing(checkpoints),
        contextlib.closing(profile),
        preemption.handle_signals() as signals,
    ):
        for step in range(first_step + 1, total + 1):
            profile.before(step)
            with progress.data_wait():
                batch = sharding.to_devices(next(batches), mesh)
            with jax.transfer_guard("disallow"):
                state, metrics = train_step(state, batch)
            profile.after(step, metrics)
            window.append(metrics)
            # Wait for the previous step: at most two batches are on the devices.
            jax.block_until_ready(window[-2:-1])

            stopping = signals.reached_sync_point(step, config.train.log_every)
            is_log = step % config.train.log_every == 0 or step == total
            # The last step is evaluated and saved after the loop.
            is_eval = step % eval_every == 0 and step != total
            is_save = (step % save_every == 0 and step != total) or stopping
            if is_log or is_eval or is_save:
                saved = checkpoints.latest_step()
                window = jax.device_get(window)
                nan_check.check(
                    window,
                    step,
                    train_split,
                    batch=config.train.batch,
                    seed=config.seed,
                    lr=config.optim.lr,
                    workdir=workdir,
                    saved=saved,
                )
            if is_log:
                measured = _means(window) | {"lr": float(program.rates[step - 1])}
                measured |= progress.report(step, measured)
                window = []
                writer.write_scalars(step, measured)
                workdir.append_history(step, measured)

            mean_ap = None
            if is_eval:
                with progress.pause(), _saved_if_stopped(signals, checkpoints, state):
                    state = statistics.update(state)
                    estimate = evaluator.estimate(state.variables)
                    mean_ap = _report_eval(step, evaluator, estimate, writer, workdir)
                    del estimate  # millions of rows
            if is_save:
                with progress.pause():
                    checkpoints.save(state, mean_ap)
            if stopping:
                progress.close()
                raise KeyboardInterrupt
        progress.close()

        # ----------------------------------------------------------- results
        with _saved_if_stopped(signals, checkpoints, state):
            state = statistics.update(state)
            results = evaluator.evaluate(state.variables)
        _report_eval(total, evaluator, results, writer, workdir)
        # On the same key frames as the earlier checkpoints, to compare with them.
        mean_ap = evaluator.subsample(results).metrics["mAP"]
        checkpoints.save(state, mean_ap)
    evaluator.write(results, workdir, workdir.history(), f"step {total}")
    _say_complete(workdir)
    return results.metrics


@dataclasses.dataclass(frozen=True)
class _Program:
    """What a configuration describes, before any weights are read.

    Attributes:
      mesh: of the devices to train on.
      module: the detector.
      rates: (steps,) the learning rate of each step.
      tx: the optimiser.
      variables: with initial values, replicated over the mesh.
      batch_spec: the shapes of a batch.
      compile: from a train state to the compiled training step.
    """

    mesh: jax.sharding.Mesh
    module: linen.Module
    rates: np.ndarray
    tx: optax.GradientTransformation
    variables: dict[str, Any]
    batch_spec: dict[str, jax.ShapeDtypeStruct]
    compile: Callable[[TrainState], CompiledStep]


def _build(config, steps_per_epoch: int, weights: np.ndarray | None) -> _Program:
    mesh = sharding.make_mesh(config.devices)
    module = build_detector(config.model, sharding.AXIS)
    rates = optimizer.learning_rates(
        config.optim,
        batch=config.train.batch,
        steps=optimizer.total_steps(config.train.epochs, steps_per_epoch),
        steps_per_epoch=steps_per_epoch,
    )
    tx = optimizer.make_optimizer(config.optim, rates, config.model)
    variables = init_variables(config.model, jax.random.key(config.seed))
    step = make_train_step(
        module,
        tx,
        Normalization.from_config(config.data),
        mesh,
        model=config.model,
        train=config.train,
        seed=config.seed,
        class_weights=weights,
    )
    spec = batch_spec(
        config.data,
        batch=config.train.batch,
        num_classes=config.model.num_classes,
        mesh=mesh,
        bank_width=config.model.bank_width if config.data.feature_bank else 0,
    )
    return _Program(
        mesh=mesh,
        module=module,
        rates=rates,
        tx=tx,
        variables=sharding.replicate(variables, mesh),
        batch_spec=spec,
        compile=lambda state: compile_step(
            module, step, state, spec, train=config.train, model=config.model
        ),
    )


def _write_labels(workdir: Workdir, split: dataset.Split, dataset_name: str) -> None:
    ids = split.class_ids[1:].tolist()
    names = {str(i): split.labels.get(i, str(i)) for i in ids}
    labels_file.write(workdir / "labels.json", names, dataset_name)


def _check_clips(config) -> None:
    # Before anything that takes long, such as downloads.
    data = config.data
    sides = (data.crop, data.test_short_side, *config.eval.short_sides)
    check_clips(config.model, data.clip_len, *sides)
    feature_bank.check_config(data.feature_bank, config.model)


def _every(epochs: float, steps_per_epoch: int) -> float:
    """Steps between two events; infinity for 0 epochs."""
    return max(1, round(epochs * steps_per_epoch)) if epochs else math.inf


@contextlib.contextmanager
def _saved_if_stopped(signals, checkpoints, state) -> Iterator[None]:
    """Makes an evaluation interruptible: a stop saves the state at once."""
    try:
        with signals.interruptible():
            yield
    except KeyboardInterrupt:
        if jax.process_count() == 1:  # several processes would have to save together
            checkpoints.save(state)
        raise


def _means(window: list[dict[str, float]]) -> dict[str, float]:
    """Each metric's mean over the steps since the last report."""
    return {name: float(np.mean([m[name] for m in window])) for name in window[0]}


def _report_eval(step, evaluator, results, writer, workdir) -> float | None:
    measured = scalars(results.metrics)
    writer.write_scalars(step, measured)
    workdir.append_history(step, measured)
    sheet = contact_sheet.contact_sheet(evaluator.examples(results, _SHOWN))
    writer.write_images(step, {"predictions": sheet[None]})
    logging.info("step %d: %s", step, headline(results.metrics))
    return results.metrics["mAP"]


def dry_run(
    config: ml_collections.ConfigDict, workdir: str | os.PathLike | None = None
) -> dict[str, float]:
    """Builds and compiles the training step, and runs it twice on random data.

    The data set and the initial weights are checked if they are there; nothing is
    downloaded or written.

    Args:
      config: the whole configuration.
      workdir: the working directory of the training, which may have the data set.

    Returns:
      The fields of `step_cost.StepCost`, and `clips_per_second`. They are printed,
      too.

    Raises:
      UserError: a field has no such value, the data or the initial weights are not
        usable, or the step does not fit into a device's memory.
    """
    ava_config.check(config)
    _check_clips(config)
    data, split = _checked_data(config, workdir)
    # Without data: enough steps for any schedule, and no action has boxes.
    steps_per_epoch, counts = 1000, np.zeros(config.model.num_classes - 1)
    if split is not None:
        steps_per_epoch = pipeline.steps_per_epoch(split, config.train.batch)
        counts = class_balance.box_counts(split)
    class_factors = class_weights(config.model.class_weights, counts)
    batch_size = config.train.batch
    rows = sharding.rows_of_this_host(batch_size, "config.train.batch")
    program = _build(config, steps_per_epoch, class_factors)
    variables, weights = _checked_weights(
        config.init_from, config.model, program.variables
    )
    mesh = program.mesh
    state = init_state(variables, program.tx, mesh, ema=config.train.ema > 0)
    train_step = program.compile(state)

    batch = random_batch(program.batch_spec, len(rows), config.seed)
    batch = sharding.to_devices(batch, mesh)
    since = time.perf_counter()
    for _ in range(_DRY_STEPS):
        state, metrics = train_step(state, batch)
    jax.block_until_ready(metrics)
    speed = batch_size * _DRY_STEPS / (time.perf_counter() - since)
    lines = step_cost.cost_lines(train_step.cost, config.optim, config.train, mesh)
    lines |= {"data": data, "initial weights": weights}
    if split is not None:
        threshold = config.data.repeat_threshold
        lines |= class_balance.lines(split, threshold, class_factors)
    lines["training"] = f"{speed:.2f} clips/s"
    lines["loss"] = f"{float(metrics['loss']):.4f} after {_DRY_STEPS} steps"
    clip = "x".join(map(str, batch["clip"].shape[1:4]))
    print(f"{config.name}, clips of {clip}\n{step_cost.as_table(lines)}")
    return dataclasses.asdict(train_step.cost) | {"clips_per_second": speed}


def _checked_data(config, workdir) -> tuple[str, dataset.Split | None]:
    """What is in the data set, and its training split, if it is there."""
    root = config.data.root or os.path.join(workdir or "", "data")
    boxes = pathlib.Path(root, config.data.train.boxes)
    if not boxes.is_file():
        return f"not checked: there is no {boxes}", None
    data = config.data.copy_and_resolve_references()
    data.root = root
    splits = {
        name: dataset.load_split(data, name, config.model.num_classes)
        for name in ("train", "val")
    }
    train, val = map(len, splits.values())
    text = f"{train} key frames to train on, {val} to validate, in {root}"
    return text, splits["train"]


def _checked_weights(init_from, model, variables) -> tuple[dict[str, Any], str]:
    """The variables with the initial weights, if they are there, and what they are."""
    text = by_name.describe(init_from)
    path = by_name.local_weights(init_from)
    if path is None:
        return variables, text
    loaded = store.load_variables(path, model, variables)
    same = jax.tree.map(np.array_equal, *_heads(variables, loaded))
    head = "is new" if all(jax.tree.leaves(same)) else "comes with them"
    return loaded, f"{text}, read; the head that scores actions {head}"


def _heads(*variables):
    return [jax.device_get(tree["params"]["roi_head"]) for tree in variables]


def _say_complete(workdir) -> None:
    metrics = files.read_json(workdir / "metrics.json")
    logging.info(
        "Training in %s is complete: %s.\nLook at %s",
        workdir.path,
        headline(metrics),
        workdir / "report/index.html",
    )
