"""Locks between processes, of one host or of several that share a folder.

The operating system releases a lock when the process that holds it ends, even if it is
killed: a lock file that is there says nothing, and may stay.
"""

import contextlib
import os
import pathlib
import socket
import sys
from collections.abc import Iterator

import filelock
from absl import logging

from ava_jax import files
from ava_jax.errors import UserError

# Seconds in which a process that ends releases its lock, and one that has just got it
# writes its name.
PATIENCE = 1


@contextlib.contextmanager
def only_process(path: pathlib.Path, doing: str) -> Iterator[None]:
    """Holds the lock of a file or folder; others who want it wait.

    Args:
      path: of what is made; the lock is a file beside it, which stays.
      doing: for the message of those who wait, such as 'downloading NAME'.
    """
    lock = filelock.FileLock(path.with_name(path.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f"Another process is {doing}: waiting for it.", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def only_run(folder: pathlib.Path) -> Iterator[None]:
    """Holds the lock of the working directory of a run; others are refused.

    The files are `.run.lock`, which stays, and `.run.json`, the host and the id of the
    process that holds it. On a file system without locks nobody is refused, and the log
    says so. Where locks hold for one host only (GCS FUSE, Lustre with `localflock`),
    processes of other hosts are not noticed; the log then names the other one.

    Args:
      folder: the working directory.

    Raises:
      UserError: another process holds the lock; names its host and id.
    """
    holder = folder / ".run.json"
    lock = filelock.FileLock(folder / ".run.lock")
    if not _acquire(lock, folder, holder):
        yield
        return
    try:
        _warn_of_other_host(holder)
        host, process = socket.gethostname(), os.getpid()
        files.write_json(holder, {"host": host, "process": process})
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _acquire(
    lock: filelock.FileLock, folder: pathlib.Path, holder: pathlib.Path
) -> bool:
    """Whether the lock is held now; False on a file system without locks."""
    try:
        lock.acquire(timeout=PATIENCE)
    except filelock.Timeout:
        raise UserError(
            f"{folder} is in use by {_name(holder)}. Two runs would overwrite each "
            "other's results: wait until it ends, or give another --workdir. To score "
            f"its checkpoints now: --mode=eval --config.init_from={folder} "
            "--workdir=OTHER. If its host is down and the file server still keeps the "
            f"lock, remove {lock.lock_file}"
        ) from None
    except (OSError, NotImplementedError) as error:
        logging.warning(
            "%s cannot be locked (%s): a second run there would not be noticed.",
            folder,
            error,
        )
        return False
    return True


def _name(holder: pathlib.Path) -> str:
    try:
        fields = files.read_json(holder)
        return f"process {fields['process']} on {fields['host']}"
    except (UserError, KeyError, TypeError):
        return "another process"


def _warn_of_other_host(holder: pathlib.Path) -> None:
    """The lock is free: the other run was killed, or its host's locks are not ours."""
    if not holder.exists():
        return
    other = _name(holder)
    if not other.endswith(f" on {socket.gethostname()}"):
        logging.warning(
            "The run of %s here did not end by itself. If it is still running, the "
            "file system does not share its locks between hosts: stop one of the two.",
            other,
        )
