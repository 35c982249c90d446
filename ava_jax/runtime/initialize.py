"""Connects the processes of a run, and ends them together.

JAX's coordination service, which runs in process 0, connects them. It ends all
processes when one of them dies. This module also ends all processes when one fails with
an error: they print its message, instead of waiting for it.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, NoReturn

import jax

from ava_jax import errors
from ava_jax.errors import UserError
from ava_jax.runtime import multihost

# Seconds in which all processes must have started.
INITIALIZATION_TIMEOUT = 300
# Seconds without a heartbeat after which a process counts as dead.
HEARTBEAT_TIMEOUT = 60
# Key of the message of the process that failed first.
_FAILURE = "ava_jax/failure"


@contextlib.contextmanager
def initialize(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> Iterator[None]:
    """Connects to the other processes, if there are any, until the block ends.

    Enter it before anything uses a device. An error in the block ends all processes
    within seconds, with its message, and does not return. A KeyboardInterrupt that all
    processes raise is the exception: it is raised again.

    Args:
      coordinator_address: HOST:PORT of process 0; None: the address of the launcher.
      num_processes: number of processes; 1: only this one, even under a launcher.
      process_id: index of this process.

    Raises:
      UserError: the arguments are incomplete or wrong.
    """
    arguments = _arguments(coordinator_address, num_processes, process_id)
    if arguments is None:
        yield
        return
    _connect(arguments)
    finished = threading.Event()
    watch = threading.Thread(target=_watch_for_failure, args=(finished,), daemon=True)
    watch.start()
    try:
        yield
        multihost.barrier("end")
    except BaseException as error:
        # After a request to stop, all processes raise KeyboardInterrupt after the same
        # step. A second signal interrupts only the process that receives it, so the
        # others do not reach the barrier, and this counts as a failure.
        if not (isinstance(error, KeyboardInterrupt) and _all_stopped()):
            finished.set()
            _fail(error)
        raise
    finally:
        finished.set()
        watch.join()
        jax.distributed.shutdown()


def _all_stopped() -> bool:
    try:
        multihost.barrier("stopped", seconds=10)
    except jax.errors.JaxRuntimeError:
        return False
    return True


def _fail(error: BaseException) -> NoReturn:
    """Ends this process with the error, and sends its message to the others."""
    if "Gloo" in str(error):
        line = str(error).partition("\n")[0]
        error = UserError(f"The connection to another process broke: {line}")
    code = errors.tell(error)
    reason = str(error) or type(error).__name__
    message = f"{multihost.this_process()} stopped: {reason}"
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        # Raises if another process has failed first: the key is set only once.
        multihost.distributed_state().client.key_value_set(_FAILURE, message)
    _exit(code)


def _watch_for_failure(finished: threading.Event) -> None:
    """Ends this process when another one has failed."""
    client = multihost.distributed_state().client
    while not finished.is_set():
        try:
            message = client.blocking_key_value_get(_FAILURE, 1000)
        except jax.errors.JaxRuntimeError:
            # A timeout, or the service has ended. In that case the call returns at
            # once, so wait to keep the loop from using a whole core.
            finished.wait(0.1)
            continue
        if not finished.is_set():
            print(f"Error: {message}", file=sys.stderr)
            _exit(1)


def _exit(code: int) -> NoReturn:
    """Ends this process at once.

    Only this works when another process has failed. The main thread may be waiting for
    that process inside JAX, where no exception can reach it. At a normal exit of Python
    JAX's client would say goodbye to the other processes, and abort if they do not
    answer.
    """
    if multihost.distributed_state().process_id == 0:
        # The service ends with this process: give the others time to read the message.
        time.sleep(1)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _arguments(
    coordinator: str | None, processes: int | None, process: int | None
) -> dict[str, Any] | None:
    """Arguments of `jax.distributed.initialize`; None for a single process."""
    if processes == 1 and coordinator is None:
        return None
    given = {
        "--coordinator": coordinator,
        "--processes": processes,
        "--process": process,
    }
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given):
        return {} if launcher() else None
    if missing:
        raise UserError(
            f"{' and '.join(missing)} missing. Several processes need "
            "--coordinator=HOST:PORT of process 0, --processes=N and, each its own, "
            "--process=0 to N-1."
        )
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(
            f"--coordinator is {coordinator!r}; expected HOST:PORT, the address of "
            "process 0 and a free port there: 10.0.0.1:8476, for example."
        )
    if process >= processes:
        raise UserError(
            f"--process is {process} of {processes}; expected 0 to {processes - 1}."
        )
    if process == 0:
        _check_free(int(port))
    return {
        "coordinator_address": coordinator,
        "num_processes": processes,
        "process_id": process,
        # Otherwise a launcher that JAX detects could limit the local devices. Now every
        # local device is used, unless JAX_LOCAL_DEVICE_IDS is set.
        "cluster_detection_method": "deactivate",
    }


def _check_free(port: int) -> None:
    """Raises a UserError if the port is in use, where JAX would crash."""
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        raise UserError(
            f"Process 0 cannot listen on port {port}: {error.strerror}. Is another run "
            "using it? Give all processes another one in --coordinator."
        ) from error


def launcher() -> str | None:
    """Name of the launcher of several processes that JAX supports, or None.

    JAX's own detection would also accept an interactive shell on a cluster.
    """
    env = os.environ
    if int(env.get("SLURM_NTASKS", 1)) > 1 and "SLURM_STEP_NODELIST" in env:
        return "Slurm"
    if int(env.get("OMPI_COMM_WORLD_SIZE", 1)) > 1:
        return "Open MPI"
    # JAX sets this if it finds TPUs, unless JAX_PLATFORMS is set.
    if "tpu" in (jax.config.jax_platforms or ""):
        return "Cloud TPU"
    if "JOB_COMPLETION_INDEX" in env and "KUBERNETES_SERVICE_HOST" in env:
        return "Kubernetes"
    return None


def _connect(arguments: dict[str, Any]) -> None:
    # Its SIGTERM handler would make `kill` have no effect; `preemption` has its own.
    jax.config.update("jax_enable_preemption_service", False)
    # JAX aborts without a readable message at its own timeout, so this one is earlier.
    timer = threading.Timer(INITIALIZATION_TIMEOUT, _give_up)
    timer.daemon = True
    timer.start()
    try:
        jax.distributed.initialize(
            **arguments,
            initialization_timeout=INITIALIZATION_TIMEOUT + 60,
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
            shutdown_timeout_seconds=multihost.WAIT_SECONDS,
        )
    except (RuntimeError, ValueError, LookupError, OSError) as error:
        raise UserError(
            f"JAX found no processes through {launcher()}: {error}\nGive "
            "--coordinator=HOST:PORT, --processes=N and --process=I, or "
            "--processes=1 to train with this process alone."
        ) from error
    finally:
        timer.cancel()


def _give_up() -> NoReturn:
    state = multihost.distributed_state()
    address = state.coordinator_address or "an unknown address"
    if state.process_id == 0:
        what = (
            f"waited at {address} for {INITIALIZATION_TIMEOUT} s, and not all "
            "processes connected"
        )
    else:
        what = (
            f"did not reach process 0 at {address} within {INITIALIZATION_TIMEOUT} s: "
            + _probe(address)
        )
    message = (
        f"Process {state.process_id} {what}. Check that all processes were started, "
        "with the same --coordinator and --processes, that the others can reach "
        "process 0 at this address, and that no firewall blocks the port."
    )
    _exit(errors.tell(UserError(message)))


def _probe(address: str) -> str:
    """Result of a plain TCP connection to the address, for the message."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        return str(error)
    return (
        "the port answers, but not all processes connected, or another program uses it"
    )
