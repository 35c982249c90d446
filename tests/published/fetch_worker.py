"""Processes that fetch a published file, and are killed.

python fetch_worker.py URL SHA256 together COUNT | "kill the holder" | kill TIMES SIZE

Forked from one without threads, which has imported everything: 20 starts of Python
would take longer than the test.
"""

import os
import signal
import sys
import time

from ava_jax import files, published
from ava_jax.published import download


def start(file):
    """A process that fetches the file: its id."""
    pid = os.fork()
    if pid == 0:
        try:
            published.fetch(file)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return pid


def status(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def received(path):
    partial = files.partial_path(path)
    try:
        return partial.stat().st_size
    except FileNotFoundError:
        return -1


def kill_after(file, path, count):
    """Kills a process that fetches, when so many bytes have arrived."""
    pid = start(file)
    while received(path) < count and not path.exists():
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    assert status(pid) in (0, -signal.SIGKILL)


def main(url, sha256, what, *numbers):
    download.BACK_OFF, download.TIMEOUT = 0.01, (1, 5)
    file = published.PublishedFile("net", "detector", url, "", "", sha256=sha256)
    path = published.cached_path(file)
    if what == "together":
        pids = [start(file) for _ in range(int(numbers[0]))]
        assert [status(pid) for pid in pids] == [0] * len(pids)
    elif what == "kill the holder":
        holder = start(file)
        while received(path) <= 0:
            time.sleep(0.001)
        other = start(file)
        time.sleep(0.05)
        os.kill(holder, signal.SIGKILL)
        assert (status(holder), status(other)) == (-signal.SIGKILL, 0)
    else:
        times, size = map(int, numbers)
        for i in range(times):
            path.unlink(missing_ok=True)
            kill_after(file, path, i * size // (times - 1))
            assert not path.exists() or published.damage(file) == ""
            assert status(start(file)) == 0
            assert published.damage(file) == ""


main(*sys.argv[1:])
