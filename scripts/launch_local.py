"""Starts several processes of `ava_jax.main` on this machine, for experiments.

    ava-jax launch -n 4 -- --config configs/mini.py --workdir runs/mini

Every line of output starts with the index of its process. If one process fails, all
are stopped.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from ava_jax import command_line

_GRACE_SECONDS = 30  # in which the others may end by themselves after a failure


def main(argv: Sequence[str]) -> int:
    """Starts the processes and waits for them."""
    parser = command_line.Parser(__doc__)
    add = parser.add_argument
    at_least_1 = command_line.whole(1)
    add("-n", type=at_least_1, default=2, metavar="N", help="number of processes")
    add(
        "--devices",
        type=at_least_1,
        default=1,
        metavar="N",
        help="GPUs, or virtual CPU devices, of each process",
    )
    add(
        "arguments",
        metavar="ARGUMENT",
        nargs="+",
        help="arguments of ava_jax.main, after --",
    )
    if "--" not in argv and any(x.startswith("--config") for x in argv):
        parser.error("give -- before the arguments of ava_jax.main")
    args = parser.parse_args(argv)
    port = _free_port()
    processes = [_start(i, port, args) for i in range(args.n)]
    # A terminal sends Ctrl-C to all processes, so this one only waits for the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: [p.terminate() for p in processes])
    for i, process in enumerate(processes):
        threading.Thread(target=_print_lines, args=(i, process.stdout)).start()
    return _wait(processes)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _start(i: int, port: int, args: argparse.Namespace) -> subprocess.Popen:
    first = i * args.devices
    devices = {
        "JAX_NUM_CPU_DEVICES": str(args.devices),
        # Threads of XLA. With more threads than devices, the order of the collectives
        # is not deterministic.
        "NPROC": str(args.devices),
        "JAX_LOCAL_DEVICE_IDS": ",".join(map(str, range(first, first + args.devices))),
    }
    return subprocess.Popen(
        [
            sys.executable,
            "-u",  # unbuffered, so that lines appear at once
            "-m",
            "ava_jax.main",
            *args.arguments,
            f"--coordinator=127.0.0.1:{port}",
            f"--processes={args.n}",
            f"--process={i}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | devices,
    )


def _print_lines(i: int, stream) -> None:
    for line in stream:
        sys.stdout.buffer.write(b"[%d] " % i + line)
        sys.stdout.flush()


def _wait(processes: list[subprocess.Popen]) -> int:
    """Returns the exit status of the first process that failed, or 0."""
    while True:
        codes = [process.poll() for process in processes]
        failed = [code for code in codes if code]
        if failed:
            _stop(processes)
            # A negative code is a signal; shells report 128 + its number.
            return failed[0] if failed[0] > 0 else 128 - failed[0]
        if None not in codes:
            return 0
        time.sleep(0.1)


def _stop(processes: list[subprocess.Popen]) -> None:
    end = time.monotonic() + _GRACE_SECONDS
    for process in processes:
        try:
            process.wait(max(0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    command_line.run(main)
