"""Real processes for tests, which find each other over the loopback interface.

They are forked from a server that has imported everything, which takes a fresh
process seconds.
"""

import dataclasses
import multiprocessing
import os
import pathlib
import socket
import subprocess
import sys

import step_cases

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["ava_jax.train", "ava_jax.training.dry_run"])
WAIT_SECONDS = 600


@dataclasses.dataclass
class Group:
    """Processes that run together, and the files of what they print."""

    processes: list
    outputs: list[pathlib.Path]

    def wait(self):
        """Exit codes; below 0 is a signal's number."""
        for process in self.processes:
            process.join(WAIT_SECONDS)
        return [process.exitcode for process in self.processes]

    def kill(self):
        for process in self.processes:
            process.kill()
            process.join()

    def text(self, i=0):
        return self.outputs[i].read_text()


def start(function, count, folder, *arguments, devices=1):
    """Starts `function(i, address, *arguments)` for i below `count`.

    Each process has `devices` virtual CPU devices. Their output goes into `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    outputs = [folder / f"output_{i}.txt" for i in range(count)]
    processes = [
        _CONTEXT.Process(
            target=_run, args=(function, i, address, devices, outputs[i], arguments)
        )
        for i in range(count)
    ]
    for process, output in zip(processes, outputs, strict=True):
        output.touch()  # who looks for a line need not wait for the file
        process.start()
    return Group(processes, outputs)


def _run(function, i, address, devices, output, arguments):
    with open(output, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    # XLA's threads. With more than one a device, XLA for CPUs runs collectives that do
    # not depend on each other at once, in any order, and Gloo takes one for the other.
    os.environ["NPROC"] = str(devices)
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", devices)
    function(i, address, *arguments)


def train(i, address, count, arguments):
    """The command line, with less work for the compiler.

    Optimised or not, a program is the same on each topology.
    """
    import jax

    from ava_jax import evaluate, main

    jax.config.update("jax_disable_most_optimizations", True)
    evaluate.write_report = lambda *_: None  # seconds of drawing
    sys.argv = ["main", *arguments]
    if count > 1:
        sys.argv += [f"--coordinator={address}", f"--processes={count}"]
        sys.argv.append(f"--process={i}")
    main.run()


def train_small(i, address, count, arguments):
    """The same with a network of two convolutions, which compiles in a second."""
    import ava_jax.train

    ava_jax.train.build_detector = step_cases.small_detector
    ava_jax.train.init_variables = lambda model, _: step_cases.variables_of(model)
    train(i, address, count, arguments)


@dataclasses.dataclass
class Command:
    """`python -m ava_jax.main`, forked; streams go into files."""

    process: multiprocessing.Process
    stdout_path: pathlib.Path
    stderr_path: pathlib.Path

    def wait(self):
        """As `subprocess.run` returns it."""
        self.process.join(WAIT_SECONDS)
        code, out, err = self.process.exitcode, self.stdout_path, self.stderr_path
        return subprocess.CompletedProcess(
            "ava_jax.main", code, out.read_text(), err.read_text()
        )


def command(folder, *arguments):
    """Starts the command line in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in ("stdout.txt", "stderr.txt")]
    for path in paths:
        path.touch()
    process = _CONTEXT.Process(target=_run_command, args=(*paths, arguments))
    process.start()
    return Command(process, *paths)


def _run_command(stdout, stderr, arguments):
    for path, number in ((stdout, 1), (stderr, 2)):
        with open(path, "wb") as file:
            os.dup2(file.fileno(), number)
    from ava_jax import main

    sys.argv = ["main", *arguments]
    main.run()
