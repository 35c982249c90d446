"""What a compiler makes of a detector for a device that need not be here.

XLA's compiler for TPUs comes with libtpu (`pip install libtpu`) and compiles for a
topology by its name. Its counts are of the program, not of a run: `bytes` is what all
operations read and write if nothing stays in a cache, so time is at least the larger
floor where the compiler's counts hold, and usually more. Without a topology the program
is for the devices of this host.
"""

import dataclasses
import math
import os
import re
import time
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from benchmarks import model as model_benchmark
from benchmarks.communication import collective_bytes
from benchmarks.training_step import make_optimizer, make_step
from jax.sharding import AxisType, Mesh

from ava_jax import command_line
from ava_jax import config as ava_config
from ava_jax.errors import UserError
from ava_jax.inference.eval_step import make_eval_step
from ava_jax.models import build_detector, conv
from ava_jax.models.detector import variable_shapes
from ava_jax.models.preprocessing import Normalization
from ava_jax.runtime import sharding
from ava_jax.training.train_state import init_state

NAME = "compile"
HELP = "the compiled program for a TPU topology, or this host's devices"

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
    """Figures of a data sheet, for one chip.

    Attributes:
      flops: bfloat16 operations a second.
      bandwidth: bytes a second of its memory.
      memory: bytes.
    """

    flops: float
    bandwidth: float
    memory: float


# Google Cloud's pages of each version.
CHIPS = {
    "v4": Chip(275e12, 1228e9, 32 * GIB),
    "v5e": Chip(197e12, 819e9, 16 * GIB),
    "v5p": Chip(459e12, 2765e9, 95 * GIB),
    "v6e": Chip(918e12, 1638e9, 32 * GIB),
}
# 'bf16[8,32,64,64,8]{4,3,2,1,0:T(8,128)(2,1)}': type, sides, order of the axes from the
# fastest, tiles of the fastest ones.
_BUFFER = re.compile(r"([a-z]+\d+|pred)\[([\d,]*)\]\{([\d,]*)(?::T\(([\d,]+)\))?")
# '  %name = TYPE operation(': TYPE has no blank, but in tuples.
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (\S+) ([a-z][\w-]*)\(", re.M)
# These hold no buffer of their own.
_NO_BUFFER = {"bitcast", "get-tuple-element", "tuple", "parameter", "constant"}


def add_arguments(parser):
    """Options of the subcommand."""
    add = parser.add_argument
    add(
        "--config",
        default="configs/slowfast.py",
        metavar="FILE[:VARIANT]",
        help="configuration: configs/FILE.py or configs/FILE.py:VARIANT",
    )
    add("--mode", choices=("train", "infer"), default="train", help="what to compile")
    add(
        "--topology",
        metavar="VERSION:CHIPS",
        help="such as v5e:2x2, v5e:16x16, v4:2x2x1; default: the devices of this host",
    )
    add(
        "--devices",
        type=command_line.whole(1),
        metavar="N",
        help="take the first N (default: all)",
    )
    add(
        "--clips",
        type=command_line.whole(1),
        default=8,
        metavar="N",
        help="clips per device",
    )
    add(
        "--size",
        type=command_line.size,
        default=(256, 256),
        metavar="HEIGHTxWIDTH",
        help="size of the clips in pixels",
    )
    add(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="bfloat16",
        help="precision of the computation",
    )
    add(
        "--program",
        choices=("folded", "conv3d"),
        nargs="+",
        default=["folded"],
        help="this project's convolutions, or plain 3D ones",
    )
    add(
        "--buffers",
        type=command_line.whole(0),
        default=20,
        metavar="N",
        help="largest arrays to list",
    )


def run(args) -> dict:
    """Compiles each program; see `show` for what is returned."""
    devices = _devices(args.topology)[: args.devices]
    chip = CHIPS.get((args.topology or "").partition(":")[0])
    return {
        "config": ava_config.load(args.config).name or args.config,
        "mode": args.mode,
        "dtype": args.dtype,
        "clips_per_device": args.clips,
        "size": args.size,
        "devices": len(devices),
        "device_kind": devices[0].device_kind,
        "topology": args.topology,
        "jax": jax.__version__,
        "programs": {
            name: _program(args, name, devices, chip) for name in args.program
        },
    }


def _devices(topology):
    if topology is None:
        return jax.devices()
    # Nothing is run, and no TPU need be looked for.
    jax.config.update("jax_platforms", "cpu")
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    from jax.experimental import topologies

    try:
        return topologies.get_topology_desc(topology, platform="tpu").devices
    except Exception as error:
        # Of several types: no libtpu, a name or a shape that it does not know.
        raise UserError(
            f"There is no compiler for the topology {topology}: "
            f"{str(error).splitlines()[0]:.200}. TPUs' comes with pip install libtpu; "
            f"versions known here: {', '.join(CHIPS)}; CHIPS are 2x2, 4x4, ... (v4 and "
            "v5p: 2x2x1, 2x2x2, ...)."
        ) from error


def _program(args, name, devices, chip):
    """The figures of one program, or the reason why there is none."""
    start = time.perf_counter()
    convolution = model_benchmark.plain_conv3d if name == "conv3d" else conv.conv3d
    with mock.patch.object(conv, "conv3d", convolution):
        lowered = _lower(args, devices)
    traced = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        return {"error": str(error).splitlines()[0][:300]}
    seconds = {
        "trace_seconds": traced - start,
        "compile_seconds": time.perf_counter() - traced,
    }
    return seconds | figures(compiled, chip, args.buffers)


def figures(compiled: jax.stages.Compiled, chip: Chip | None, buffers: int) -> dict:
    """What a compiled program says of itself.

    Args:
      compiled: the program, of one device.
      chip: for the floors of its time, and whether it fits; None: without them.
      buffers: how many of the largest arrays to list.

    Returns:
      Operations, bytes, memory, and collectives of one device for one step.
    """
    cost, memory = compiled.cost_analysis(), compiled.memory_analysis()
    parts = {
        part: getattr(memory, f"{part}_size_in_bytes")
        for part in ("argument", "output", "temp", "alias")
    }
    used = parts["argument"] + parts["output"] + parts["temp"] - parts["alias"]
    text = compiled.as_text()
    result = {
        "flops": cost["flops"],
        "bytes_accessed": cost["bytes accessed"],
        "temp_bytes": parts["temp"],
        "memory_bytes": used,
        "collective_bytes": collective_bytes(text),
        "buffers": largest_buffers(text, buffers),
    }
    if chip is not None:
        result |= {
            "arithmetic_seconds": cost["flops"] / chip.flops,
            "memory_seconds": cost["bytes accessed"] / chip.bandwidth,
            "fits": used <= chip.memory,
        }
    return result


def largest_buffers(program: str, count: int) -> list[dict]:
    """The largest arrays that operations of an HLO program write.

    Args:
      program: text of the compiled program.
      count: how many.

    Returns:
      `name`, `shape`, `bytes` with the padding of its tiles, and `padding`, how many
      times the values' own size that is; the largest first.
    """
    entry = program[program.index("\nENTRY ") :]
    rows = [
        {"name": name, "shape": text, **dict(zip(("bytes", "padding"), size))}
        for name, text, operation in _INSTRUCTION.findall(entry)
        if operation not in _NO_BUFFER and (size := buffer_size(text))
    ]
    return sorted(rows, key=lambda row: -row["bytes"])[:count]


def buffer_size(text: str) -> tuple[int, float] | None:
    """Bytes of an array with its padding, and how many times its values' size.

    Args:
      text: type, shape and layout in HLO, like 'bf16[8,3]{1,0:T(8,128)(2,1)}'.

    Returns:
      None for tuples and scalars.
    """
    match = _BUFFER.match(text)
    if match is None or not match[2]:
        return None
    bits = re.search(r"\d+", match[1])
    sides = [int(side) for side in match[2].split(",")]
    padded = [sides[int(axis)] for axis in match[3].split(",")]
    tile = [int(side) for side in (match[4] or "1").split(",")][::-1]
    for i, side in enumerate(tile[: len(padded)]):
        padded[i] = math.ceil(padded[i] / side) * side
    item = int(bits[0]) / 8 if bits else 1
    return int(math.prod(padded) * item), math.prod(padded) / max(math.prod(sides), 1)


def _lower(args, devices):
    config = ava_config.load(args.config)
    config.model.dtype = args.dtype
    config.train.batch = args.clips * len(devices)
    mesh = Mesh(np.array(devices), (sharding.AXIS,), axis_types=(AxisType.Auto,))
    step, inputs = (_train if args.mode == "train" else _infer)(config, mesh, args.size)
    platform = devices[0].platform
    return step.trace(*inputs).lower(lowering_platforms=(platform,))


def _train(config, mesh, size):
    config.data.crop = size[0]
    optimizer = make_optimizer(config)
    shapes = variable_shapes(config.model)
    state = jax.eval_shape(lambda x: init_state(x, optimizer, mesh), shapes)
    step, batch = make_step(config, optimizer, mesh)
    return step, (state, batch)


def _infer(config, mesh, size):
    rows, everywhere = sharding.split(mesh), sharding.replicated(mesh)
    clips = (config.train.batch, config.data.clip_len, *size, 3)
    boxes = (config.train.batch, config.data.max_boxes, 4)
    variables = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere),
        variable_shapes(config.model),
    )
    step = make_eval_step(
        build_detector(config.model, sharding.AXIS),
        Normalization.from_config(config.data),
        mesh,
        multilabel=config.model.multilabel,
    )
    return step, (
        variables,
        jax.ShapeDtypeStruct(clips, jnp.uint8, sharding=rows),
        jax.ShapeDtypeStruct(boxes, jnp.float32, sharding=rows),
    )


def show(results: dict) -> None:
    """Prints what `run` returned."""
    where = f"{results['devices']} x {results['device_kind']}"
    height, width = results["size"]
    print(
        f"{results['config']}, {results['mode']}, {results['dtype']}, "
        f"{results['clips_per_device']} clips of {height} x {width} a device, {where}, "
        f"jax {results['jax']}; compiled, not run\n"
    )
    for name, row in results["programs"].items():
        print(f"{name}: {row['error']}" if "error" in row else _lines(name, row))


def _lines(name, row):
    lines = [
        f"{name}: traced in {row['trace_seconds']:.0f} s, compiled in "
        f"{row['compile_seconds']:.0f} s",
        f"  {row['flops'] / 1e12:.2f} TFLOP, {row['bytes_accessed'] / 1e9:.1f} GB "
        f"accessed, {row['temp_bytes'] / GIB:.2f} GiB of temporaries, "
        f"{row['memory_bytes'] / GIB:.2f} GiB in all",
    ]
    if "fits" in row:
        lines.append(
            f"  at least {1e3 * row['arithmetic_seconds']:.1f} ms of arithmetic, "
            f"{1e3 * row['memory_seconds']:.1f} ms of memory; "
            f"{'fits' if row['fits'] else 'does not fit'}"
        )
    for kind, count in row["collective_bytes"].items():
        lines.append(f"  {kind}: {count / 1e6:.2f} MB")
    lines += [
        f"  {buffer['bytes'] / 1e6:9.1f} MB, {buffer['padding']:5.1f} x its values: "
        f"{buffer['shape']} {buffer['name']}"
        for buffer in row["buffers"]
    ]
    return "\n".join(lines)
