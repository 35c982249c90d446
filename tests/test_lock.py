"""Locks between processes, which end with the process that holds them."""

import os
import pathlib
import socket
import subprocess
import sys

import filelock
import pytest

from ava_jax import files, lock
from ava_jax.errors import UserError

ROOT = pathlib.Path(__file__).parents[1]
_HOLD = """
import pathlib, sys
from ava_jax import lock

with lock.only_run(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_run(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    command = [sys.executable, "-c", _HOLD, tmp_path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    other = subprocess.Popen(command, cwd=ROOT, **pipes)
    assert other.stdout.readline() == "held\n"
    yield other
    other.kill()
    other.communicate()


def test_a_second_run_is_refused_by_the_name_of_the_first(tmp_path, other_run):
    owner = f"process {other_run.pid} on {socket.gethostname()}"
    expected = f"{tmp_path} is in use by {owner}"
    with pytest.raises(UserError, match=expected), lock.only_run(tmp_path):
        pytest.fail("two runs in one folder")


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_the_lock_ends_with_its_process(tmp_path, other_run, end):
    getattr(other_run, end)()
    other_run.wait()
    with lock.only_run(tmp_path):
        assert files.read_json(tmp_path / ".run.json")["process"] == os.getpid()
    # Twice, because what is left must not be in the way either.
    with lock.only_run(tmp_path):
        pass
    assert not (tmp_path / ".run.json").exists()


def test_a_run_of_another_host_that_left_its_name_is_a_warning(tmp_path, caplog):
    files.write_json(tmp_path / ".run.json", {"host": "elsewhere", "process": 7})
    with lock.only_run(tmp_path):
        pass
    assert "The run of process 7 on elsewhere here did not end by itself" in caplog.text


def test_file_systems_without_locks_are_a_warning(tmp_path, monkeypatch, caplog):
    def acquire(self, **options):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with lock.only_run(tmp_path):
        pass
    assert f"{tmp_path} cannot be locked" in caplog.text
