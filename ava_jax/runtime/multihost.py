"""What the processes of one run tell each other, by short texts.

Those go through JAX's coordination service, which process 0 carries, and not through
the devices. With a single process nothing is waited for or compared.
"""

import collections
import contextlib
import json
import os
import pathlib
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from jax._src import distributed  # there is no public door to the service

from ava_jax.errors import UserError
from ava_jax.runtime import sharding

# Process 0 may render data or write the report, while the others wait.
WAIT_SECONDS = 3600
# A file made on one host may take as long to be seen on another, over NFS.
_SHARED_SECONDS = 30
# How often a name was used: the service takes every key once.
_uses: collections.Counter = collections.Counter()


def client() -> Any | None:
    """The door to the coordination service; None with a single process."""
    return distributed.global_state.client


def this_process() -> str:
    """Its number and host, for messages."""
    return f"process {distributed.global_state.process_id} on {socket.gethostname()}"


def barrier(name: str) -> None:
    """Waits until every process is here."""
    if client():
        client().wait_at_barrier(_key(name), WAIT_SECONDS * 1000)


def all_come(name: str, seconds: int) -> bool:
    """Whether every process comes here in time."""
    try:
        client().wait_at_barrier(_key(name), seconds * 1000)
    except jax.errors.JaxRuntimeError:
        return False
    return True


@contextlib.contextmanager
def first_before_others(name: str) -> Iterator[None]:
    """Process 0 goes through the block first, the others when it has finished."""
    if not sharding.is_first_host():
        barrier(name)
    yield
    if sharding.is_first_host():
        barrier(name)


def any_of(flag: bool) -> bool:
    """Whether it is true in some process."""
    if client() is None:
        return flag
    folder = _key("true in")
    if flag:
        client().key_value_set(f"{folder}/{jax.process_index()}", "")
    barrier("asked")
    return bool(client().key_value_dir_get(folder))


def exchange(name: str, text: str) -> list[str]:
    """What each process says, by process."""
    if client() is None:
        return [text]
    folder = _key(name)
    client().key_value_set(f"{folder}/{jax.process_index():06}", text)
    barrier(f"{name} said")
    return [value for _, value in sorted(client().key_value_dir_get(folder))]


def check_agreement(what: str, fields: Mapping[str, Any], advice: str) -> None:
    """Makes sure that every process has what process 0 has.

    Args:
      what: the fields' subject, for the message.
      fields: values that JSON can hold.
      advice: a sentence that says what to do.

    Raises:
      UserError: some differ; on every process, naming hosts and fields.
    """
    if client() is None:
        return
    fields = json.loads(json.dumps(fields))
    key = _key(f"{what} of process 0")
    if sharding.is_first_host():
        client().key_value_set(key, json.dumps(fields))
    first = json.loads(client().blocking_key_value_get(key, WAIT_SECONDS * 1000))
    differences = [
        f"{field} is {fields.get(field)!r} and on process 0 {first.get(field)!r}"
        for field in sorted(first | fields)
        if first.get(field) != fields.get(field)
    ]
    said = exchange(
        what, f"{this_process()}: {'; '.join(differences)}" if differences else ""
    )
    if any(said):
        raise UserError(
            f"The processes differ in {what}:\n  "
            + "\n  ".join(text for text in said if text)
            + f"\n{advice}"
        )


def check_shared(folder: pathlib.Path) -> None:
    """Makes sure that every process sees process 0's folder.

    Raises:
      UserError: some do not; on every process, naming their hosts.
    """
    if client() is None:
        return
    [token, *_] = exchange("token", secrets.token_hex(8))
    [first, *_] = exchange("host", f"{this_process()} at {folder.absolute()}")
    mark = folder / f".shared-{token}"
    if sharding.is_first_host():
        mark.touch()
    barrier("mark made")
    seen = _comes_to_exist(mark)
    said = exchange("sees", "" if seen else f"{this_process()} at {folder.absolute()}")
    if sharding.is_first_host():
        mark.unlink(missing_ok=True)
    if any(said):
        raise UserError(
            f"The working directory of {first}, is not the same folder for:\n  "
            + "\n  ".join(text for text in said if text)
            + "\nCheckpoints need one that all hosts share (NFS, Lustre, Filestore, "
            "GCS FUSE): give its path to all with --workdir."
        )


def _key(name: str) -> str:
    """A name of its own for each use; all processes make the same calls in turn."""
    _uses[name] += 1
    return f"ava_jax/{name}/{_uses[name]}"


def _comes_to_exist(path: pathlib.Path) -> bool:
    end = time.monotonic() + _SHARED_SECONDS
    while not path.exists():
        if time.monotonic() > end:
            return False
        # A listing makes an NFS client ask the server again.
        os.listdir(path.parent)
        time.sleep(0.5)
    return True
