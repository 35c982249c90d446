"""Checks a data set in AVA's format before training.

    ava-jax check --config configs/slowfast.py --config.data.root=data/ava
    ava-jax check --config configs/mini.py --workdir runs/mini
    ava-jax check runs/mini

The first two take what training takes; a data set that comes with the project is made
in the working directory, as training makes it. The last one checks the data of a run.
This takes seconds. With --frames it decodes every frame, on all cores. docs/data.md
lists the checks.

Exit status: 0 the data set is clean, 1 it has problems, 2 nothing could be checked.
"""

import os
import pathlib
from collections.abc import Sequence

import ml_collections
from absl import logging

from ava_jax import command_line
from ava_jax.errors import UserError

NOTHING_CHECKED = 2


def main(argv: Sequence[str]) -> int:
    """Checks the data set, prints the findings, and writes the requested files."""
    parser = command_line.Parser(__doc__)
    add = parser.add_argument
    add(
        "run",
        metavar="RUN",
        nargs="?",
        help="working directory of a training, with its configuration",
    )
    parser.add_config("configuration that training uses", required=False)
    add("--workdir", metavar="DIR", help="working directory that training uses")
    add("--frames", action="store_true", help="decode every frame")
    add("--json", metavar="FILE", help="write the findings to this JSON file")
    add("--html", metavar="FILE", help="write a page with pictures to this file")
    args = parser.parse_args(argv)
    folder = args.run or args.workdir
    if args.run and (args.config or args.workdir):
        parser.error("RUN has its own configuration: give it without --config")
    if not (args.config or folder):
        parser.error("give --config FILE[:VARIANT], or the directory of a run")
    for path in filter(None, (args.json, args.html)):
        _check_folder(path)
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.set_verbosity(logging.ERROR)
    # Imported here, so that --help and errors in flags do not wait for TensorFlow.
    from ava_jax import files
    from ava_jax.checks import check, page
    from ava_jax.runtime.counted import counted

    def progress(items, total):
        return counted(items, total, "files")

    config = _with_data_set(args.config, folder)
    examination = check.examine(
        config.data,
        config.model.num_classes,
        every_frame=args.frames,
        progress=progress,
    )
    verdict = examination.verdict
    if args.json:
        files.write_json(pathlib.Path(args.json), verdict.as_dict())
    if args.html:
        text = page.render(verdict, examination.image)
        files.replace(pathlib.Path(args.html), text)
    print(verdict.as_text())
    return 0 if verdict.is_clean else 1


def _with_data_set(
    config: ml_collections.ConfigDict | None, folder: str | None
) -> ml_collections.ConfigDict:
    """The configuration, by default that of a run, with the folder of its data set."""
    from ava_jax import workdir
    from ava_jax.prepare import sources

    if config is None:
        config = workdir.read_config(folder)
    if folder is not None:
        config.data.root = sources.prepare(config.data, pathlib.Path(folder))
    return config


def _check_folder(path: str) -> None:
    folder = pathlib.Path(path).absolute().parent
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise UserError(f"{path} cannot be written: {folder} is not a writable folder.")


if __name__ == "__main__":
    command_line.run(main, user_error=NOTHING_CHECKED)
