"""How several processes start together and end together.

JAX's coordination service, which process 0 carries, connects them. It ends all of
them when one dies without a word; when one fails with a message, the others are
told it here, and do not wait for a process that is gone.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import jax
from jax._src import cloud_tpu_init, distributed  # neither has a public door

from ava_jax import errors
from ava_jax.errors import UserError
from ava_jax.runtime import multihost, sharding

START_SECONDS = 300  # in which all processes must have come
SILENCE_SECONDS = 60  # after which a process counts as dead
_FAILURE = "ava_jax/failure"


@contextlib.contextmanager
def together(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    start_seconds: int = START_SECONDS,
    silence_seconds: int = SILENCE_SECONDS,
) -> Iterator[None]:
    """Joins the other processes, if there are any, and leaves with them.

    To be entered before anything touches a device. An error inside ends all
    processes within seconds, with its message, and does not return; a process that
    dies without a word ends the others after `silence_seconds`.

    Args:
      coordinator: HOST:PORT of process 0; asked of the launcher if None.
      processes: how many there are; 1: only this one, whatever the launcher says.
      process: which one this is, from 0.
      start_seconds: time in which all must have come.
      silence_seconds: time after which a process counts as dead.

    Raises:
      UserError: the flags do not say what they must.
    """
    _start(coordinator, processes, process, start_seconds, silence_seconds)
    if multihost.client() is None:
        yield
        return
    watch = _FailureWatch()
    try:
        yield
    except BaseException as error:
        _end(error, watch)
    watch.close()
    jax.distributed.shutdown()


def _end(error: BaseException, watch: "_FailureWatch") -> None:
    if "Gloo" in str(error):
        reason = str(error).partition("\n")[0]
        error = UserError(f"The connection to another process broke: {reason}")
    code = errors.tell(error)
    # Asked to stop, all stop after the same step; in a hurry, only one does.
    if isinstance(error, KeyboardInterrupt) and multihost.all_come("end", seconds=10):
        jax.distributed.shutdown()
    else:
        watch.tell(str(error) or type(error).__name__)
    _leave(code)


def _leave(code: int) -> None:
    """Ends this process without JAX's farewell, which waits for the others."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _FailureWatch:
    """Ends this process when another one tells that it failed."""

    def __init__(self):
        self._client = multihost.client()
        self._telling = False
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def tell(self, reason: str) -> None:
        """Ends the others."""
        self._telling = True
        text = f"{multihost.this_process()} stopped: {reason}"
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            self._client.key_value_set(_FAILURE, text)
        _let_the_others_hear()

    def close(self) -> None:
        """Stops watching, when all processes do."""
        multihost.barrier("the end")
        if sharding.is_first_host():
            self._client.key_value_set(_FAILURE, "")
        self._thread.join()

    def _watch(self) -> None:
        while True:
            try:
                text = self._client.blocking_key_value_get(_FAILURE, 60_000)
                break
            except jax.errors.JaxRuntimeError:
                time.sleep(0.1)  # nobody failed yet
        if text and not self._telling:
            print(f"Error: {text}", file=sys.stderr)
            _let_the_others_hear()
            _leave(1)


def _let_the_others_hear() -> None:
    if sharding.is_first_host():  # the service ends with this process
        time.sleep(1)


def _start(coordinator, processes, process, start_seconds, silence_seconds) -> None:
    given = {
        "--coordinator": coordinator,
        "--processes": processes,
        "--process": process,
    }
    if processes == 1 and coordinator is None:
        return
    if any(value is not None for value in given.values()):
        arguments = _from_flags(given)
    elif launcher():
        arguments = {}
    else:
        return
    # Its SIGTERM handler would keep `kill` from working; `interruption` has one.
    jax.config.update("jax_enable_preemption_service", False)
    with _patience(start_seconds):
        try:
            jax.distributed.initialize(
                **arguments,
                # JAX aborts then, so it must not be the first to lose patience.
                initialization_timeout=start_seconds + 60,
                heartbeat_timeout_seconds=silence_seconds,
                shutdown_timeout_seconds=multihost.WAIT_SECONDS,
            )
        except (RuntimeError, ValueError, LookupError, OSError) as error:
            raise UserError(
                f"{launcher()} did not tell which processes there are: {error}\nGive "
                "--coordinator=HOST:PORT, --processes=N and --process=I, or "
                "--processes=1 to train with this process alone."
            ) from error


def _from_flags(given: dict[str, Any]) -> dict[str, Any]:
    coordinator, processes, process = given.values()
    missing = [name for name, value in given.items() if value is None]
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
        # So that every local device is used, unless JAX_LOCAL_DEVICE_IDS is set.
        "cluster_detection_method": "deactivate",
    }


def _check_free(port: int) -> None:
    """JAX crashes on a port that is taken."""
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        raise UserError(
            f"Process 0 cannot listen on port {port}: {error.strerror}. Is another run "
            "using it? Give all processes another one in --coordinator."
        ) from error


def launcher() -> str | None:
    """Who started several processes that JAX can find by itself, if anyone did.

    JAX alone would also take an interactive shell on a cluster for such a start.
    """
    env = os.environ
    if int(env.get("SLURM_NTASKS", 1)) > 1 and "SLURM_STEP_NODELIST" in env:
        return "Slurm"
    if int(env.get("OMPI_COMM_WORLD_SIZE", 1)) > 1:
        return "Open MPI"
    if cloud_tpu_init.running_in_cloud_tpu_vm:
        return "Cloud TPU"
    if "JOB_COMPLETION_INDEX" in env and "KUBERNETES_SERVICE_HOST" in env:
        return "Kubernetes"
    return None


@contextlib.contextmanager
def _patience(seconds: int) -> Iterator[None]:
    """Ends the program when the block takes longer.

    JAX's own way to give up is an abort that nothing can catch.
    """

    def give_up():
        errors.tell(_not_together(seconds))
        _leave(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _not_together(seconds: int) -> UserError:
    state = distributed.global_state
    address = state.coordinator_address or "an address that the launcher did not tell"
    if state.process_id == 0:
        return UserError(
            f"Process 0 waited at {address} for {seconds} s, and not all "
            "processes came. Check that the others were started, with the same "
            "--coordinator and --processes, and what they say."
        )
    return UserError(
        f"Process {state.process_id} did not reach process 0 at {address} within "
        f"{seconds} s: {_probe(address)}. Check that process 0 runs, that the address "
        "is its own as seen from here, that no firewall closes the port, and that all "
        "processes have the same --coordinator and --processes."
    )


def _probe(address: str) -> str:
    """What a plain connection to the address says."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        return str(error)
    return "the port answers, but not all processes came, or it is another program's"
