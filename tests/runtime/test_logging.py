"""Which lines are logged for the user, and where."""

import pathlib
import subprocess
import sys

import pytest

import ava_jax

PACKAGE = pathlib.Path(ava_jax.__file__).parent
# Logs a line at two levels from each of three source files.
LOG = f"""
import pathlib
from absl import app, logging
from ava_jax.runtime import logging as ava_logging

def main(argv):
    if argv[1:]:
        ava_logging.to_file(pathlib.Path(argv[1]))
    for name in ("{PACKAGE}/train.py", "{PACKAGE}/runtime/sharding.py", "/orbax.py"):
        for level in ("info", "warning"):
            line = f"logging.{{level}}('{{level}} of {{pathlib.Path(name).name}}')"
            exec(compile(line, name, "exec"))

ava_logging.set_up()
app.run(main)
"""
SHOWN = [
    "info of train.py",
    "warning of train.py",
    "info of sharding.py",
    "warning of sharding.py",
    "warning of orbax.py",
]


@pytest.mark.parametrize("name", ["", "logs/process_1.log"])
def test_lines_of_the_package_and_warnings_of_libraries(name, tmp_path):
    path = [str(tmp_path / name)] if name else []
    result = subprocess.run(
        [sys.executable, "-c", LOG, *path], capture_output=True, text=True, check=True
    )
    written = (tmp_path / name).read_text() if name else result.stderr
    # Each line starts with the time.
    assert [line.split(maxsplit=1)[1] for line in written.splitlines()] == SHOWN
    assert not (name and result.stderr)


def test_programs_that_print_results_have_bare_warnings():
    log = LOG.replace("set_up()", "set_up_notes()")
    result = subprocess.run(
        [sys.executable, "-c", log], capture_output=True, text=True, check=True
    )
    assert result.stderr.splitlines() == [x for x in SHOWN if "warning" in x]
