"""Files made to harm their reader are read or refused, in little time and memory."""

import json
import pathlib
import subprocess
import sys

import pytest

from ava_jax.annotations.proposals import read_proposals
from ava_jax.errors import UserError

WORKER = pathlib.Path(__file__).with_name("read_worker.py")


def outcomes(kind, folder):
    """What the worker says of every file, and the name of one that ended it."""
    command = [sys.executable, WORKER, kind, folder]
    worker = subprocess.run(command, capture_output=True, text=True, timeout=300)
    lines = [json.loads(line) for line in worker.stdout.splitlines()]
    last = lines[-1] if lines else "the start"
    assert worker.returncode == 0, f"ended after {last}: {worker.stderr}"
    return {(door, name): outcome for door, name, outcome in lines}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return outcomes("table", tmp_path_factory.mktemp("table"))


def failures(results):
    """Those that were neither read nor refused."""
    return {
        key: outcome
        for key, outcome in results.items()
        if outcome != "read" and not outcome.startswith("UserError: ")
    }


def test_values_at_all_places_are_read_or_refused(table):
    assert len(table) > 450
    assert not failures(table)


@pytest.mark.parametrize("door", ["proposals", "checkpoints"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("deep list as {}value", ""),
        ("doubled tuples as {}shape", ""),
        ("array of objects as {}value", "of type |O8, not of numbers"),
        ("scalar with objects as {}value", "of type |V8, not of numbers"),
        ("type in its own fields as {}value", ""),
        ("method replaced as {}value", "replaces the method items"),
        ("call as {}value", "asks for os.system"),
        ("minus one as {}shape", ""),
    ],
)
def test_harmful_values_are_refused(table, door, name, message):
    outcome = table[door, name.format("zip, " if door == "checkpoints" else "")]
    assert outcome.startswith("UserError: ")
    assert message in outcome


def test_a_small_file_cannot_copy_a_list_many_times(tmp_path):
    # 85 kB that would become five million values.
    again = b"cbuiltins\nlist\nh\x00\x85R0"
    path = tmp_path / "proposals.pkl"
    path.write_bytes(b"\x80\x04](" + b"K\x01" * 1000 + b"eq\x00" + again * 5000 + b".")
    with pytest.raises(UserError, match="much more memory"):
        read_proposals(path)


def test_what_is_not_looked_at_does_no_harm(table):
    """A checkpoint's metadata may be nested as deeply as anyone likes."""
    assert table["checkpoints", "deep list as zip, metadata"] == "read"


def test_changed_files_are_read_or_refused(tmp_path):
    results = outcomes("mutations", tmp_path)
    assert len(results) == 5000
    assert not failures(results)
    # Enough of them are still files of their kind, or nearly.
    assert list(results.values()).count("read") > 50
