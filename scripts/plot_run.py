"""Compares trainings: a picture with their losses and mAPs over the steps.

python scripts/plot_run.py runs/first runs/second --out runs.png

A run is a working directory; it may be unfinished.
"""

import argparse
import sys

from ava_jax import files
from ava_jax.errors import UserError
from ava_jax.report import charts
from ava_jax.workdir import read_history


def main() -> None:
    """Reads the histories, draws, writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", help="working directories")
    parser.add_argument("--out", default="runs.png", help="the picture to write")
    flags = parser.parse_args()
    histories = {run.rstrip("/"): read_history(run) for run in flags.runs}
    picture = charts.compare_runs(histories)
    if picture is None:
        raise UserError("There is no loss and no mAP in these histories yet.")
    files.replace(flags.out, picture)
    print(f"{flags.out}: written")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
