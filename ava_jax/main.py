"""Trains or evaluates the model that a configuration file describes."""

import argparse
import faulthandler
import os
import pathlib
from collections.abc import Sequence

import ml_collections

from ava_jax import command_line, errors
from ava_jax.runtime import logging

_EXAMPLE = "python -m ava_jax.main --config configs/mini.py --workdir runs/mini"


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line; `config` is the configuration itself."""
    program = command_line.Parser.program or "python -m ava_jax.main"
    parser = command_line.Parser(f"{__doc__}\n\n    {_EXAMPLE}", prog=program)
    parser.add_config("model, data and training")
    add = parser.add_argument
    add("--workdir", metavar="DIR", help="directory to write all results to")
    add("--mode", choices=("train", "eval"), default="train", help="what to do")
    add(
        "--accept-config-changes",
        action="store_true",
        help="continue in a working directory of another configuration",
    )
    add = parser.add_argument_group(
        "several processes",
        "By default Slurm, Open MPI, Kubernetes or the TPU pod gives these.",
    ).add_argument
    add("--coordinator", metavar="HOST:PORT", help="address of process 0")
    whole = command_line.whole
    add(
        "--processes",
        type=whole(1),
        metavar="N",
        help="number of processes (1 disables auto-detection)",
    )
    add("--process", type=whole(0), metavar="I", help="index of this process")
    args = parser.parse_args(argv)
    if not (args.workdir or args.config.dry_run):
        parser.error("say where to write the results: --workdir runs/NAME")
    if args.config.dry_run and args.mode == "eval":
        parser.error("a dry run tries a training: leave it or --mode=eval out")
    return args


def main(argv: Sequence[str]) -> None:
    """Does what the command line says."""
    args = parse_arguments(argv)
    # Imported here because --help and a mistyped flag should not wait for them.
    from ava_jax import evaluate, train, workdir, write_features
    from ava_jax.runtime.compilation_cache import use_cache
    from ava_jax.runtime.initialize import initialize

    with initialize(args.coordinator, args.processes, args.process):
        use_cache()
        _count_classes(args.config.model, args.config.data)
        if args.config.dry_run:
            train.dry_run(args.config, args.workdir)
            return
        folder = workdir.Workdir(args.workdir)
        job = train.train if args.mode == "train" else evaluate.evaluate
        if args.mode == "eval" and args.config.eval.write_features:
            job = write_features.write_features
        with folder.only_run():
            folder.claim(args.config, args.accept_config_changes)
            job(args.config, folder)


def _count_classes(
    model: ml_collections.ConfigDict, data: ml_collections.ConfigDict
) -> None:
    """Sets the number of classes, if the configuration leaves it to the label map."""
    from ava_jax.annotations.label_map import count_classes

    path = pathlib.Path(data.root, data.labels)
    model.num_classes = count_classes(model.num_classes, data.class_ids, path)


def run() -> None:
    """Entry point."""
    # TensorFlow announces oneDNN on every start; it is not used here.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    faulthandler.enable()
    command_line.run(main, interrupted=errors.INTERRUPTED, log=logging.set_up)


if __name__ == "__main__":
    run()
