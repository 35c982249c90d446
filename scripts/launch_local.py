"""Starts several processes of `ava_jax.main` on this machine, to try things.

    python scripts/launch_local.py -n 4 -- --config configs/mini.py --workdir runs/mini

Lines are printed behind their process's number. When one fails, all are stopped.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time

_GRACE_SECONDS = 30  # for the others to end by themselves, after one failed


def main() -> None:
    """Starts what the command line says, and waits for it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", type=int, default=2, help="processes")
    parser.add_argument(
        "--devices", type=int, default=1, help="GPUs, or virtual CPU devices, of each"
    )
    parser.add_argument("arguments", nargs="+", help="of ava_jax.main, behind --")
    args = parser.parse_args()
    port = _free_port()
    processes = [_start(i, port, args) for i in range(args.n)]
    # A terminal sends Ctrl-C to them itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: [p.terminate() for p in processes])
    for i, process in enumerate(processes):
        threading.Thread(target=_print_lines, args=(i, process.stdout)).start()
    sys.exit(_wait(processes))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _start(i: int, port: int, args: argparse.Namespace) -> subprocess.Popen:
    first = i * args.devices
    devices = {
        "JAX_NUM_CPU_DEVICES": str(args.devices),
        # XLA's threads: with more, it exchanges values in an order that is not fixed.
        "NPROC": str(args.devices),
        "JAX_LOCAL_DEVICE_IDS": ",".join(map(str, range(first, first + args.devices))),
    }
    return subprocess.Popen(
        [
            *(sys.executable, "-u", "-m", "ava_jax.main", *args.arguments),
            *(f"--coordinator=127.0.0.1:{port}", f"--processes={args.n}"),
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
    """Exit status of the first one that failed, or 0."""
    while True:
        codes = [process.poll() for process in processes]
        failed = [code for code in codes if code]
        if failed:
            _stop(processes)
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
    main()
