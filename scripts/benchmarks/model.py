"""Speed of a detector: inference, or the forward and backward pass of a step."""

import os
import platform
import statistics
import time
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from ava_jax import config as ava_config
from ava_jax.models import action_loss, build_detector, conv
from ava_jax.models.detector import variable_shapes

NAME = "model"
HELP = "a detector's inference or training step"
SIZES = {"infer": "256x340", "train": "256x256"}


def add_arguments(parser):
    """Options of the subcommand."""
    add = parser.add_argument
    add(
        "--config",
        default="configs/slowfast.py",
        metavar="FILE[:VARIANT]",
        help="configuration: configs/FILE.py or configs/FILE.py:VARIANT",
    )
    add("--mode", choices=SIZES, default="infer", help="what to measure")
    add("--batch", type=int, default=1, metavar="N", help="clips per batch")
    add("--boxes", type=int, default=5, metavar="N", help="boxes per clip")
    sizes = ", ".join(f"{size} for {mode}" for mode, size in SIZES.items())
    add(
        "--size",
        metavar="HEIGHTxWIDTH",
        help=f"size of the clips in pixels (default: {sizes})",
    )
    add(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="precision of the computation",
    )
    add(
        "--repeats",
        type=int,
        default=5,
        metavar="N",
        help="measurements, of which the median is reported",
    )
    add("--compare", choices=("conv3d",), help="also measure plain 3D convolutions")


def run(args) -> dict:
    """Compiles, warms up, and times; see `show` for what is returned."""
    config = ava_config.load(args.config)
    config.model.dtype = args.dtype
    size = tuple(map(int, (args.size or SIZES[args.mode]).split("x")))
    inputs = _inputs(config, args, size)
    programs = {"folded": _compile(config.model, args.mode, inputs)}
    with mock.patch.object(conv, "conv3d", _plain_conv3d):
        # The arithmetic of the model, whichever way it is done.
        flops = _lower(config.model, args.mode, inputs).cost_analysis()["flops"]
        if args.compare:
            programs["conv3d"] = _compile(config.model, args.mode, inputs)
    product, product_flops = _matrix_product(args.dtype)
    calls = {name: p["call"] for name, p in programs.items()} | {"product": product}
    seconds = _time(calls, args.repeats)
    rate = product_flops / seconds["product"]
    return {
        "config": config.name or args.config,
        "mode": args.mode,
        "dtype": args.dtype,
        "batch": args.batch,
        "size": size,
        "device": jax.devices()[0].device_kind,
        "cpus": len(os.sched_getaffinity(0)),
        "versions": {"jax": jax.__version__, "python": platform.python_version()},
        "gflop_per_clip": flops / args.batch / 1e9,
        "matmul_gflop_per_second": rate / 1e9,
        "models": {
            name: {
                "clips_per_second": args.batch / seconds[name],
                "seconds_per_step": seconds[name],
                "share_of_matmul_rate": flops / seconds[name] / rate,
                "trace_seconds": program["trace_seconds"],
                "compile_seconds": program["compile_seconds"],
                "memory_gib": program["memory_gib"],
            }
            for name, program in programs.items()
        },
    }


def show(results: dict) -> None:
    """Prints what `run` returned."""
    print(
        "{config}, {mode}, {dtype}, batch {batch}, {size[0]} x {size[1]}\n"
        "{device}, {cpus} CPU cores, jax {versions[jax]}\n"
        "{gflop_per_clip:.1f} GFLOP per clip; large matrix product: "
        "{matmul_gflop_per_second:.0f} GFLOP/s\n".format(**results)
    )
    print("model    clips/s   s/step  of product rate  trace s  compile s  memory GiB")
    for name, row in results["models"].items():
        print(
            f"{name:7} {row['clips_per_second']:8.2f} {row['seconds_per_step']:8.3f}"
            f" {row['share_of_matmul_rate']:15.0%} {row['trace_seconds']:8.1f}"
            f" {row['compile_seconds']:10.1f} {row['memory_gib']:11.2f}"
        )


def _inputs(config, args, size):
    rng = np.random.default_rng(0)
    shape = (args.batch, config.data.clip_len, *size, 3)
    clips = rng.standard_normal(shape, np.float32)
    corners = rng.uniform(0, 1, (2, args.batch, args.boxes, 2)) * (size[1], size[0])
    boxes = np.concatenate([corners.min(0), corners.max(0)], axis=-1)
    labels = rng.random((args.batch, args.boxes, config.model.num_classes)) < 0.05
    variables = jax.tree.map(
        lambda leaf: (
            0.02 * rng.standard_normal(leaf.shape, np.float32) + (leaf.ndim == 1)
        ),
        variable_shapes(config.model),
    )
    return jax.device_put((variables, clips, boxes.astype(np.float32), labels))


def _lower(config, mode, inputs):
    detector = build_detector(config)

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

    return jax.jit(infer if mode == "infer" else train).lower(*inputs)


def _compile(config, mode, inputs):
    start = time.perf_counter()
    lowered = _lower(config, mode, inputs)
    traced = time.perf_counter()
    compiled = lowered.compile()
    done = time.perf_counter()
    memory = compiled.memory_analysis()
    parts = ("argument", "output", "temp")
    used = sum(getattr(memory, f"{part}_size_in_bytes") for part in parts)
    return {
        "call": lambda: compiled(*inputs),
        "trace_seconds": traced - start,
        "compile_seconds": done - traced,
        "memory_gib": used / 2**30,
    }


def _matrix_product(dtype):
    """What the machine can do: a large product, in the same precision."""
    n = 2048 if jax.default_backend() == "cpu" else 16384
    a = jnp.ones((n, n), dtype)
    product = jax.jit(jnp.matmul)
    return lambda: product(a, a), 2 * n**3


def _plain_conv3d(x, kernel, strides=(1, 1, 1), dilation=1):
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


def _time(calls, repeats):
    """Median seconds of each call, in turns, so that noise hits all alike."""
    seconds = {name: [] for name in calls}
    for i in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            if i:  # the first is the warm-up
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
