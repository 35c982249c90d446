"""One process at a time, on one host or on several that share a folder."""

import contextlib
import pathlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def only_process(path: pathlib.Path, doing: str) -> Iterator[None]:
    """Holds the lock of a file or folder; others who want it wait.

    The operating system releases it when the process ends, even if it is killed.

    Args:
      path: of what is made; the lock is a file beside it, which stays.
      doing: for the message of those who wait, such as 'downloading NAME'.
    """
    import filelock  # not needed when everything is there

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
