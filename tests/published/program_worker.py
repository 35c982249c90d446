"""A command of this project that knows other published files.

python program_worker.py ROWS.json main|SCRIPT.py ARGUMENT...

The checksums of the table are those of files that nobody has here. Those of ROWS.json
are of the files that the tests serve in their place.
"""

import json
import os
import pathlib
import runpy
import sys

from ava_jax import main as ava_main
from ava_jax import published
from ava_jax.published import table

ROOT = pathlib.Path(__file__).parents[2]


def main(rows, program, *arguments):
    files = [published.PublishedFile(**row) for row in json.loads(rows)]
    by_key = {key: file for file in files for key in table.keys(file)}
    table._by_key = lambda: by_key
    sys.argv = [program, *arguments]
    os.chdir(ROOT)
    if program == "main":
        ava_main.run()
    else:
        runpy.run_path(f"scripts/{program}", run_name="__main__")


main(pathlib.Path(sys.argv[1]).read_text(), *sys.argv[2:])
