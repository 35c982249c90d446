"""Barriers between the processes of a run, and short texts that they exchange.

Both use JAX's coordination service, which runs in process 0, and not the devices. A
single process waits for nothing.
"""

import collections
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import jax
from orbax.checkpoint import multihost

# Process 0 may prepare data or write the report while the others wait.
WAIT_SECONDS = 3600
# The service accepts every key only once, so a number is added to the names. All
# processes use each name equally often, and therefore get the same keys.
_uses = collections.Counter()


def distributed_state() -> Any:
    """JAX's own record of the run: `client`, `process_id`, `coordinator_address`.

    The only use of private JAX. `jax.distributed` starts and ends the coordination
    service, but does not give access to its key-value store, and
    `multihost_utils.process_allgather` is no substitute. It runs a program on the
    devices of all processes, so it fails or waits for ever in the cases that the texts
    report: another version of JAX, a missing device, a process that has failed.
    For the same reason the index and the address are read here: `jax.process_index()`
    starts the devices, which waits for all other processes.
    """
    from jax._src import distributed

    return distributed.global_state


def this_process() -> str:
    """Index and host of this process, for messages."""
    return f"process {distributed_state().process_id} on {socket.gethostname()}"


def barrier(name: str, seconds: int = WAIT_SECONDS) -> None:
    """Waits until every process has called this.

    Raises:
      jax.errors.JaxRuntimeError: not all did in time.
    """
    multihost.get_barrier_sync_fn()(key=_key(name), timeout_ms=1000 * seconds)


@contextlib.contextmanager
def main_process_first(name: str) -> Iterator[None]:
    """Process 0 runs the block first, then all others do."""
    if jax.process_index() != 0:
        barrier(name)
    yield
    if jax.process_index() == 0:
        barrier(name)


def allgather_text(name: str, text: str) -> list[str]:
    """The texts of all processes, ordered by process index."""
    if jax.process_count() == 1:
        return [text]
    client, folder = distributed_state().client, _key(name)
    # Padded, so that the keys sort by process index.
    client.key_value_set(f"{folder}/{jax.process_index():06}", text)
    barrier(name)
    return [value for _, value in sorted(client.key_value_dir_get(folder))]


def _key(name: str) -> str:
    _uses[name] += 1
    return f"ava_jax/{name}/{_uses[name]}"
