"""Compares training runs: plots their losses and mAPs over the steps.

python scripts/plot_run.py runs/first runs/second --out runs.png

A run is the working directory of a finished or unfinished training.
"""

from collections.abc import Sequence

from ava_jax import command_line, files
from ava_jax.errors import UserError
from ava_jax.report import charts
from ava_jax.workdir import read_history


def main(argv: Sequence[str]) -> None:
    """Reads the histories and writes the image."""
    parser = command_line.Parser(__doc__)
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="+", help="working directory of a training")
    add("--out", metavar="FILE", default="runs.png", help="image to write")
    args = parser.parse_args(argv)
    histories = {run.rstrip("/"): read_history(run) for run in args.runs}
    picture = charts.compare_runs(histories)
    if picture is None:
        raise UserError("These histories contain no loss and no mAP yet.")
    files.replace(args.out, picture)
    print(f"{args.out}: written")


if __name__ == "__main__":
    command_line.run(main)
