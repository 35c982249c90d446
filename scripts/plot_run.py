"""Compares training runs: a table, and a picture of their losses and mAPs.

ava-jax plot runs/first runs/second --out runs.png

A run is the working directory of a finished or unfinished training.
"""

import pathlib
from collections.abc import Sequence

from ava_jax import command_line, files
from ava_jax.errors import UserError
from ava_jax.report import charts
from ava_jax.report.run_table import run_table
from ava_jax.workdir import read_history


def main(argv: Sequence[str]) -> None:
    """Prints the table and writes the image."""
    parser = command_line.Parser(__doc__)
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="+", help="working directory of a training")
    add("--out", metavar="FILE", default="runs.png", help="image to write")
    args = parser.parse_args(argv)
    histories = {run.rstrip("/"): read_history(run) for run in args.runs}
    picture = charts.compare_runs(histories)
    if picture is None:
        raise UserError("These histories contain no loss and no mAP yet.")
    print(run_table(histories, {run: _config(run) for run in histories}))
    files.replace(args.out, picture)
    print(f"{args.out}: written")


def _config(run: str) -> dict:
    path = pathlib.Path(run, "config.json")
    return files.read_json(path) if path.is_file() else {}


if __name__ == "__main__":
    command_line.run(main)
