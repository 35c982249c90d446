"""Speed of training: the step, and what input, checkpoints and evaluation cost."""

import itertools
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Iterator

import jax
from benchmarks.training_step import make_optimizer, make_step

from ava_jax import command_line
from ava_jax import config as ava_config
from ava_jax.checkpoints.store import Store
from ava_jax.models import build_detector, init_variables
from ava_jax.runtime import sharding
from ava_jax.training.compilation import compile_step
from ava_jax.training.random_batch import random_batch
from ava_jax.training.train_state import init_state

NAME = "train"
HELP = "training steps with and without input, checkpoints, evaluation"


def add_arguments(parser):
    """Options of the subcommand."""
    add = parser.add_argument
    add(
        "--config",
        default="configs/mini.py",
        metavar="FILE[:VARIANT]",
        help="configuration: configs/FILE.py or configs/FILE.py:VARIANT",
    )
    add(
        "--batch",
        type=command_line.whole(1),
        metavar="N",
        help="clips per step (default: the configuration's)",
    )
    add(
        "--dtype",
        choices=("float32", "bfloat16"),
        help="precision of the computation (default: the configuration's)",
    )
    add(
        "--steps",
        type=command_line.whole(1),
        default=20,
        metavar="N",
        help="steps per measurement",
    )
    add(
        "--repeats",
        type=command_line.whole(1),
        default=3,
        metavar="N",
        help="measurements, of which the median is reported",
    )
    add(
        "--data",
        metavar="DIR",
        help="data.root for steps with input (default: the miniature, which is made)",
    )


def run(args) -> dict:
    """Compiles once, then times; see `show` for what is returned."""
    config = ava_config.load(args.config)
    config.train.batch = args.batch or config.train.batch
    config.model.dtype = args.dtype or config.model.dtype
    config.data.root = args.data or config.data.root
    has_data = bool(args.data) or config.data.source == "mini"
    with tempfile.TemporaryDirectory() as folder:
        training = _Training(config, pathlib.Path(folder), has_data)
        times = _times(training, args.steps, args.repeats)
        checkpoint = _checkpoint(training, times["synthetic"][0], args)
        evaluation = training.evaluation_seconds() if has_data else None
    return {
        "config": config.name or args.config,
        "batch": config.train.batch,
        "dtype": config.model.dtype,
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "cpus": len(os.sched_getaffinity(0)),
        "compile_seconds": training.step.cost.compile_seconds,
        "steps": {
            name: {
                "seconds": seconds,
                "clips_per_second": config.train.batch / seconds,
                "dispatch_ms": 1000 * dispatch,
                "data_wait": waited,
            }
            for name, (seconds, dispatch, waited) in times.items()
        },
        "checkpoint": checkpoint,
        "evaluation_seconds": evaluation,
    }


def show(results: dict) -> None:
    """Prints what `run` returned."""
    print(
        "{config}, {dtype}, batch {batch}\n{device}, {cpus} CPU cores; compiled in "
        "{compile_seconds:.1f} s\n".format(**results)
    )
    print("input      s/step  clips/s  dispatch ms  waiting for data")
    for name, row in results["steps"].items():
        print(
            f"{name:9} {row['seconds']:7.3f} {row['clips_per_second']:8.2f}"
            f" {row['dispatch_ms']:12.2f} {row['data_wait']:17.1%}"
        )
    rows = results["steps"]
    if "pipeline" in rows:
        lost = 1 - rows["synthetic"]["seconds"] / rows["pipeline"]["seconds"]
        print(f"lost to input: {lost:.1%}")
    print(
        "checkpoint: {call_ms:.1f} ms in the call, {stall_ms:.1f} ms in all, "
        "{of_a_step:.0%} of a step".format(**results["checkpoint"])
    )
    if results["evaluation_seconds"] is not None:
        print(f"evaluation: {results['evaluation_seconds']:.1f} s, once compiled")


class _Training:
    """A training without its loop."""

    def __init__(self, config, folder: pathlib.Path, has_data: bool):
        self.mesh = sharding.make_mesh()
        self.folder = folder
        module = build_detector(config.model, sharding.AXIS)
        sgd = make_optimizer(config)
        variables = init_variables(config.model, jax.random.key(0))
        variables = sharding.replicate(variables, self.mesh)
        self.state = init_state(variables, sgd, self.mesh)
        step, spec = make_step(config, sgd, self.mesh)
        self.step = compile_step(
            module, step, self.state, spec, train=config.train, model=config.model
        )
        rows = sharding.rows_of_this_host(config.train.batch, "batch")
        self.inputs = {"synthetic": itertools.repeat(random_batch(spec, len(rows)))}
        if has_data:
            self._read(config, module, rows)

    def _read(self, config, module, rows) -> None:
        # TensorFlow is imported only where it is needed.
        from ava_jax.data import dataset, pipeline
        from ava_jax.evaluate import Evaluator
        from ava_jax.prepare import sources

        config.data.root = sources.prepare(config.data, self.folder)
        split = dataset.load_split(config.data, "train", config.model.num_classes)
        self.inputs["pipeline"] = pipeline.train_batches(
            split,
            config.data,
            batch=config.train.batch,
            seed=config.seed,
            first_step=0,
            steps=10**6,
            rows=rows,
        )
        self._evaluator = Evaluator(config, self.mesh, module)

    def evaluation_seconds(self) -> float:
        """For which training stands still, the second time."""
        self._evaluator.estimate(self.state.variables)
        since = time.perf_counter()
        self._evaluator.estimate(self.state.variables)
        return time.perf_counter() - since

    def run(self, batches: Iterator, count: int) -> tuple[float, float, float]:
        """Seconds a step, seconds in which it is called, share of waiting."""
        since, waited, calls, running = time.perf_counter(), 0.0, [], []
        for _ in range(count):
            start = time.perf_counter()
            batch = sharding.to_devices(next(batches), self.mesh)
            ready = time.perf_counter()
            self.state, metrics = self.step(self.state, batch)
            calls.append(time.perf_counter() - ready)
            waited += ready - start
            running.append(metrics)
            jax.block_until_ready(running[-2:-1])
        jax.block_until_ready(self.state)
        seconds = time.perf_counter() - since
        return seconds / count, statistics.median(calls), waited / seconds


def _times(training, count: int, repeats: int) -> dict:
    """Medians for each input, in turns, so that noise hits all alike."""
    found = {name: [] for name in training.inputs}
    for batches in training.inputs.values():
        training.run(batches, 2)
    for _ in range(repeats):
        for name, batches in training.inputs.items():
            found[name].append(training.run(batches, count))
    return {
        name: tuple(map(statistics.median, zip(*rows, strict=True)))
        for name, rows in found.items()
    }


def _checkpoint(training, step_seconds: float, args) -> dict:
    """What saving adds to as many steps; all of it, if none of it is hidden."""
    calls, stalls = [], []
    batches = training.inputs["synthetic"]
    store = Store(training.folder)
    for _ in range(args.repeats):
        since = time.perf_counter()
        store.save(training.state)
        calls.append(time.perf_counter() - since)
        seconds, *_ = training.run(batches, args.steps)
        stalls.append(calls[-1] + (seconds - step_seconds) * args.steps)
    store.close()
    stall = statistics.median(stalls)
    return {
        "call_ms": 1000 * statistics.median(calls),
        "stall_ms": 1000 * stall,
        "of_a_step": stall / step_seconds,
    }
