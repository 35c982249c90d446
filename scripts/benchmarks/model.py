"""Speed of a detector: inference, or the forward and backward pass of a step."""

import concurrent.futures
import dataclasses
import itertools
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from unittest import mock

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from benchmarks import kernels

from ava_jax import command_line
from ava_jax import config as ava_config
from ava_jax.models import action_loss, build_detector, conv
from ava_jax.models.detector import cpu_device, variable_shapes

NAME = "model"
HELP = "a detector's inference or training step"
SIZES = {"infer": "256x340", "train": "256x256"}
COMPARE = ("conv3d", "torch", "torch.compile")
# So many clips are drawn; a larger batch repeats them.
_DRAWN = 8


def add_arguments(parser):
    """Options of the subcommand; those with several values give all combinations."""
    add = parser.add_argument
    add(
        "--config",
        nargs="+",
        default=["configs/slowfast.py"],
        metavar="FILE[:VARIANT]",
        help="one or more configurations: configs/FILE.py or configs/FILE.py:VARIANT",
    )
    add("--mode", nargs="+", choices=SIZES, default=["infer"], help="what to measure")
    add(
        "--batch",
        type=command_line.whole(1),
        nargs="+",
        default=[1],
        metavar="N",
        help="clips per batch",
    )
    add(
        "--boxes",
        type=command_line.whole(1),
        default=5,
        metavar="N",
        help="boxes per clip",
    )
    sizes = ", ".join(f"{size} for {mode}" for mode, size in SIZES.items())
    add(
        "--size",
        type=command_line.size,
        metavar="HEIGHTxWIDTH",
        help=f"size of the clips in pixels (default: {sizes})",
    )
    add(
        "--dtype",
        nargs="+",
        choices=("float32", "bfloat16"),
        default=["float32"],
        help="precision of the computation",
    )
    add(
        "--repeats",
        type=command_line.whole(1),
        default=5,
        metavar="N",
        help="measurements, of which the median is reported",
    )
    add(
        "--compare",
        nargs="+",
        choices=COMPARE,
        default=[],
        help="also measure plain 3D convolutions, or the same network in PyTorch "
        "(needs torch and torchvision)",
    )
    add(
        "--kernels",
        type=command_line.whole(0),
        default=0,
        metavar="N",
        help="number of the longest operations to list, from a trace",
    )


@dataclasses.dataclass(frozen=True)
class Case:
    """What is timed, in one or several programs; `size` is height and width."""

    config: str
    mode: str
    dtype: str
    batch: int
    boxes: int
    size: tuple[int, int]

    def load(self) -> ml_collections.ConfigDict:
        """The whole configuration, with this dtype."""
        config = ava_config.load(self.config)
        config.model.dtype = self.dtype
        return config


def run(args) -> dict:
    """Compiles, warms up, and times; see `show` for what is returned."""
    cases = [
        Case(
            config,
            mode,
            dtype,
            batch,
            args.boxes,
            args.size or command_line.size(SIZES[mode]),
        )
        for config, mode, dtype, batch in itertools.product(
            args.config, args.mode, args.dtype, args.batch
        )
    ]
    torch_rows = _time_torch(cases, args)
    rows = list(_time_jax(cases, args))
    for row, torch_row in zip(rows, torch_rows, strict=True):
        row["models"] |= torch_row
        _add_shares(row)
    return {
        "device": jax.devices()[0].device_kind,
        "cpus": len(os.sched_getaffinity(0)),
        "versions": {"jax": jax.__version__, "python": platform.python_version()},
        "cases": rows,
    }


def show(results: dict) -> None:
    """Prints what `run` returned."""
    print("{device}, {cpus} CPU cores, jax {versions[jax]}".format(**results))
    for case in results["cases"]:
        print(
            "\n{config}, {mode}, {dtype}, batch {batch}, {size[0]} x {size[1]}\n"
            "{gflop_per_clip:.1f} GFLOP per clip; large matrix product: "
            "{matmul_gflop_per_second:.0f} GFLOP/s\n".format(**case)
        )
        print(
            "model          clips/s   s/step  of product rate  trace s  compile s  "
            "memory GiB"
        )
        for name, row in case["models"].items():
            print(f"{name:13} {_line(row)}")
        for name, row in case["models"].items():
            for kernel in row.get("kernels", []):
                print("{0} {ms:9.3f} ms {share:5.1%}  {name}".format(name, **kernel))


def _line(row):
    if "error" in row:
        return f"{row['error']:>8}"
    trace, memory = row.get("trace_seconds", 0), row.get("memory_gib", 0)
    return (
        f"{row['clips_per_second']:8.2f} {row['seconds_per_step']:8.4f}"
        f" {row['share_of_matmul_rate']:15.0%} {trace:8.1f}"
        f" {row['compile_seconds']:10.1f} {memory:11.2f}"
    )


def _time_jax(cases, args):
    """A row for each case, with the programs of this project."""
    gflops = {}
    for case in cases:
        key = case.config, case.mode
        if key not in gflops:
            gflops[key] = _gflop_per_clip(case)
        yield _time_case(case, gflops[key], args)


def _time_case(case, gflop_per_clip, args):
    """Times the programs of a case and a matrix product in turns."""
    inputs = _device_inputs(case)
    models, calls = {}, {}
    for name in ("folded", *({"conv3d"} & set(args.compare))):
        try:
            program, models[name] = _compile(case, name)
            call = _repeat(program, inputs)
            call(1)
            calls[name] = call
        except jax.errors.JaxRuntimeError as error:
            models[name] = {"error": _reason(error)}
    calls["product"], product_flops = _matrix_product(case.dtype)
    seconds = _time(calls, args.repeats, _in_a_row(jax.default_backend()))
    rate = product_flops / seconds.pop("product")
    for name in seconds:
        models[name] |= _speed(case, seconds[name])
        if args.kernels:
            models[name]["kernels"] = kernels.longest(calls[name], args.kernels)
    _progress(case, models)
    return {
        **dataclasses.asdict(case),
        "config": case.load().name or case.config,
        "gflop_per_clip": gflop_per_clip,
        "matmul_gflop_per_second": rate / 1e9,
        "models": models,
    }


def _gflop_per_clip(case):
    """The arithmetic of the model, whichever way it is done; counted for a CPU.

    The compilers for GPUs and TPUs count nothing before they have compiled.
    """
    with jax.default_device(cpu_device()):
        lowered = _lower(case, "conv3d")
    return lowered.cost_analysis()["flops"] / case.batch / 1e9


def _add_shares(row):
    """What each program does in a second, over what the matrix product does."""
    for model in row["models"].values():
        if "error" not in model:
            gflops = row["gflop_per_clip"] * model["clips_per_second"]
            share = gflops / row["matmul_gflop_per_second"]
            model["share_of_matmul_rate"] = share


def _speed(case, seconds):
    return {"clips_per_second": case.batch / seconds, "seconds_per_step": seconds}


def _reason(error):
    """One line of an error; running out of memory is what is expected of sweeps."""
    text = str(error)
    if "RESOURCE_EXHAUSTED" in text or "out of memory" in text:
        return "out of memory"
    return text.partition("\n")[0][:200]


def _progress(case, models):
    for name, row in models.items():
        label = f"{case.config} {case.mode} {case.dtype} {case.batch} {name}"
        text = ", ".join(f"{key} {value}" for key, value in row.items())
        print(f"{label}: {text}", file=sys.stderr, flush=True)


def _host_inputs(case):
    """Clips, boxes and labels."""
    rng = np.random.default_rng(0)
    config, (height, width) = case.load(), case.size
    shape = (config.data.clip_len, height, width, 3)
    clips = rng.standard_normal((min(case.batch, _DRAWN), *shape), np.float32)
    corners = rng.uniform(0, 1, (2, case.batch, case.boxes, 2)) * (width, height)
    boxes = np.concatenate([corners.min(0), corners.max(0)], axis=-1)
    labels = rng.random((case.batch, case.boxes, config.model.num_classes)) < 0.05
    return np.resize(clips, (case.batch, *shape)), boxes.astype(np.float32), labels


def _device_inputs(case):
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: (
            0.02 * rng.standard_normal(leaf.shape, np.float32) + (leaf.ndim == 1)
        ),
        variable_shapes(case.load().model),
    )
    return jax.device_put((variables, *_host_inputs(case)))


def _input_shapes(case):
    config = case.load()
    clips = (case.batch, config.data.clip_len, *case.size, 3)
    labels = (case.batch, case.boxes, config.model.num_classes)
    return (
        variable_shapes(config.model),
        jax.ShapeDtypeStruct(clips, jnp.float32),
        jax.ShapeDtypeStruct((case.batch, case.boxes, 4), jnp.float32),
        jax.ShapeDtypeStruct(labels, jnp.bool),
    )


def _lower(case: Case, name: str) -> jax.stages.Lowered:
    """The program 'folded' or 'conv3d', before XLA compiles it."""
    detector = build_detector(case.load().model)

    def infer(variables, clips, boxes, labels):
        return detector.apply(variables, clips, boxes)

    def train(variables, clips, boxes, labels):
        def loss(params):
            logits, new = detector.apply(
                variables | {"params": params},
                clips,
                boxes,
                True,
                mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(0)},
            )
            return action_loss(logits, labels, jnp.ones(boxes.shape[:2], bool)), new

        return jax.value_and_grad(loss, has_aux=True)(variables["params"])

    step = jax.jit(infer if case.mode == "infer" else train)
    convolution = plain_conv3d if name == "conv3d" else conv.conv3d
    with mock.patch.object(conv, "conv3d", convolution):
        return step.lower(*_input_shapes(case))


def _compile(case: Case, name: str) -> tuple[Callable, dict[str, float]]:
    """The compiled program, and what it took."""
    start = time.perf_counter()
    lowered = _lower(case, name)
    traced = time.perf_counter()
    compiled = lowered.compile()
    done = time.perf_counter()
    memory = compiled.memory_analysis()
    parts = ("argument", "output", "temp")
    used = sum(getattr(memory, f"{part}_size_in_bytes") for part in parts)
    return compiled, {
        "trace_seconds": traced - start,
        "compile_seconds": done - traced,
        "memory_gib": used / 2**30,
    }


def _repeat(program: Callable, inputs: tuple) -> Callable[[int], None]:
    """A function that runs `program` a number of times, and waits for the last."""

    def call(times: int) -> None:
        for _ in range(times):
            result = program(*inputs)
        jax.block_until_ready(result)

    return call


def _matrix_product(dtype):
    """What the machine can do: a large product, in the same precision."""
    n = 2048 if jax.default_backend() == "cpu" else 16384
    # Random numbers: processors are faster on zeros and ones.
    a = jax.random.normal(jax.random.key(0), (n, n), dtype)
    return _repeat(jax.jit(jnp.matmul), (a, a)), 2 * n**3


def plain_conv3d(x, kernel, strides, dilation, padding):
    """`conv.conv3d` as one 3D convolution."""
    del padding  # the ResNets' is symmetric
    spacing = (1, dilation, dilation)
    pads = [
        ((k - 1) // 2 * d,) * 2 for k, d in zip(kernel.shape[:3], spacing, strict=True)
    ]
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        strides,
        pads,
        rhs_dilation=spacing,
        dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
    )


def _in_a_row(backend: str) -> int:
    """Steps that are timed together: a GPU is given the next before one is done."""
    return 1 if backend == "cpu" else 5


def _time(calls, repeats, times):
    """Median seconds of a step of each, in turns, so that noise hits all alike."""
    seconds = {name: [] for name in calls}
    for i in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call(times)
            if i:  # the first is the warm-up
                seconds[name].append((time.perf_counter() - start) / times)
    return {name: statistics.median(values) for name, values in seconds.items()}


def _time_torch(cases, args):
    """For each case what PyTorch takes, by name; in a process of its own.

    It ends before JAX starts: both keep the GPU memory that they once took.
    """
    names = [name for name in args.compare if name.startswith("torch")]
    if not names:
        return [{} for _ in cases]
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        return [
            pool.submit(_time_torch_case, case, names, args.repeats).result()
            for case in cases
        ]


def _time_torch_case(case, names, repeats):
    from benchmarks import torch_detector

    config, inputs = case.load().model, _host_inputs(case)
    models = {}
    for name in names:
        step = torch_detector.Step(config, case.mode, inputs, name == "torch.compile")
        try:
            row = step.first()
            times = _in_a_row(step.device.type)
            seconds = _time({name: step}, repeats, times)[name]
            row |= _speed(case, seconds) | {"memory_gib": step.memory_gib()}
        except RuntimeError as error:
            row = {"error": _reason(error)}
        models[name] = row
        del step
    _progress(case, models)
    return models
