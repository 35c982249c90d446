"""What crosses between devices in a training step, read from the compiled program.

Nothing is run: the compiler divides the step among virtual CPU devices, and its
program is read as it leaves the partitioner. Which values are exchanged is decided
there, and alike for CPUs, GPUs and TPUs.
"""

import collections
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from benchmarks.training_step import make_optimizer, make_step

from ava_jax import command_line
from ava_jax import config as ava_config
from ava_jax.config import ranges
from ava_jax.errors import UserError
from ava_jax.training.train_state import init_state

NAME = "communication"
HELP = "bytes that a training step exchanges, by number of devices"

_PASS = "spmd-partitioning"
_KINDS = "all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute"
# '%x = f32[8,64]{1,0} all-reduce(', or a tuple of such types.
_COLLECTIVE = re.compile(rf"= (\S.*?) ({_KINDS})(?:-start)?\(")
_TYPE = re.compile(r"\b(?:pred|[a-z]+(\d+))\[([\d,]*)\]")
_COMPILE_SECONDS = 600
# Bytes a second that an all-reduce moves in and out of one device, of the makers'
# data sheets: NVLink 4 within 8 GPUs; beyond, one 400 Gbit/s port a GPU.
_NVLINK, _NVLINK_DEVICES, _NETWORK = 450e9, 8, 50e9


def add_arguments(parser):
    """Options of the subcommand."""
    add = parser.add_argument
    add(
        "--config",
        default="configs/slowfast.py",
        metavar="FILE[:VARIANT]",
        help="configuration: configs/FILE.py or configs/FILE.py:VARIANT",
    )
    add(
        "--devices",
        type=command_line.whole(1),
        nargs="+",
        default=[2, 8, 32, 256],
        metavar="N",
        help="numbers of devices",
    )
    add(
        "--clips",
        type=command_line.whole(1),
        default=8,
        metavar="N",
        help="clips per device",
    )
    add(
        "--step-seconds",
        type=command_line.number(ranges.above(0)),
        metavar="SECONDS",
        help="duration of a step on one device; gives the projected scaling",
    )


def run(args) -> dict:
    """Compiles for each number of devices; see `show` for what is returned."""
    config = ava_config.load(args.config)
    counts = {n: traffic(args.config, n, args.clips) for n in args.devices}
    bytes_exchanged = max(sum(kinds.values()) for kinds in counts.values())
    return {
        "config": config.name or args.config,
        "bytes": {str(n): kinds for n, kinds in counts.items()},
        "step_seconds": args.step_seconds,
        "seconds": {
            str(n): all_reduce_seconds(bytes_exchanged, n)
            for n in (8, 16, 64, 256, 1024)
        },
    }


def show(results: dict) -> None:
    """Prints what `run` returned."""
    print(f"{results['config']}: MB a device gives into collectives, a step\ndevices")
    for n, kinds in results["bytes"].items():
        parts = (f"{kind} {count / 1e6:.3f}" for kind, count in kinds.items())
        print(f"{n:>7} {', '.join(parts)}")
    print("\nCalculated from link bandwidths, none of it hidden behind arithmetic:")
    for n, seconds in results["seconds"].items():
        line = f"{n:>7} devices: {1e3 * seconds:.2f} ms exchange"
        if results["step_seconds"]:
            step = results["step_seconds"]
            line += f", {1e3 * (step + seconds):.1f} ms a step"
            line += f", {step / (step + seconds):.1%} of linear"
        print(line)


def traffic(config: str, devices: int, clips: int) -> dict[str, int]:
    """Bytes that a device gives into each kind of collective in a training step.

    Args:
      config: FILE[:VARIANT], or FILE.json of a working directory.
      devices: over how many a batch is divided.
      clips: a device.

    Raises:
      UserError: the program cannot be compiled.
    """
    return collective_bytes(_partitioned(config, devices, devices * clips))


def collective_bytes(program: str) -> dict[str, int]:
    """Bytes that enter the collectives of an HLO program, by kind.

    One device's share, as the shapes of a partitioned program are; of an all-gather
    it is what comes out.
    """
    counts = collections.Counter()
    for types, kind in _COLLECTIVE.findall(program):
        for bits, shape in _TYPE.findall(types):
            sides = [int(side) for side in shape.split(",") if side]
            counts[kind] += math.prod(sides) * int(bits or 8) // 8
    return dict(counts)


def all_reduce_seconds(size: int, devices: int) -> float:
    """Time of an all-reduce of `size` bytes, by bandwidth alone.

    A ring within a machine of 8 GPUs, then each GPU's share, an eighth, in a ring
    between machines.
    """
    inside = min(devices, _NVLINK_DEVICES)
    machines = devices // inside
    seconds = 2 * (inside - 1) / inside * size / _NVLINK
    return seconds + 2 * (machines - 1) / machines * size / inside / _NETWORK


def lower_step(config_path: str, batch: int):
    """The training step for abstract arguments, lowered for all devices here.

    As for a GPU: on CPUs some gradients are computed by loops over frames, which are
    divided badly.
    """
    import jax

    from ava_jax.models.detector import variable_shapes
    from ava_jax.runtime import sharding

    config = ava_config.load(config_path)
    config.train.batch = batch
    mesh = sharding.make_mesh()
    sgd = make_optimizer(config)
    state = jax.eval_shape(
        lambda variables: init_state(variables, sgd, mesh),
        variable_shapes(config.model),
    )
    train_step, spec = make_step(config, sgd, mesh)
    traced = train_step.trace(state, spec)
    return traced.lower(lowering_platforms=("cuda",))


def _partitioned(config: str, devices: int, batch: int) -> str:
    """The training step's program for one of the devices."""
    with tempfile.TemporaryDirectory() as folder:
        flags = [
            f"--xla_force_host_platform_device_count={devices}",
            f"--xla_dump_to={folder}",
            "--xla_dump_hlo_module_re=.*train_step",
            f"--xla_dump_hlo_pass_re={_PASS}",
        ]
        command = f"communication.lower_step({config!r}, {batch}).compile()"
        process = subprocess.Popen(
            [sys.executable, "-c", f"from benchmarks import communication; {command}"],
            env=os.environ
            | {
                "XLA_FLAGS": " ".join(flags),
                "JAX_PLATFORMS": "cpu",
                "JAX_ENABLE_COMPILATION_CACHE": "0",
                "PYTHONPATH": os.pathsep.join([str(_SCRIPTS), *sys.path]),
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            return _wait_for(pathlib.Path(folder), process)
        finally:
            # The rest, machine code for this CPU, would take most of the time.
            process.kill()
            process.communicate()


_SCRIPTS = pathlib.Path(__file__).parents[1]


def _wait_for(folder: pathlib.Path, process: subprocess.Popen) -> str:
    end = time.monotonic() + _COMPILE_SECONDS
    while time.monotonic() < end:
        time.sleep(0.2)
        for path in folder.glob(f"*after_{_PASS}*"):
            program = path.read_text()
            if program.rstrip().endswith("}"):  # else it is being written
                return program
        if process.poll():
            raise UserError(f"The step cannot be compiled:\n{process.stderr.read()}")
    raise UserError(f"The step was not divided within {_COMPILE_SECONDS} s.")
