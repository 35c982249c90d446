"""The command `ava-jax`: training and the programs of scripts/, from any folder.

    ava-jax predict VIDEO --checkpoint NAME --out result.mp4
    ava-jax train --config mini --workdir runs/mini

For the flags of a command: ava-jax train --help
"""

import argparse
import difflib
import os
import pathlib
import runpy
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import ava_jax
from ava_jax import command_line

NAME = "ava-jax"


class Command(NamedTuple):
    """What a word after `ava-jax` runs.

    Attributes:
      script: file in scripts/ without its ending; '' for `ava_jax.main`.
      text: what it does, for the list of all commands.
      arguments: put before those of the command line.
    """

    script: str
    text: str
    arguments: tuple[str, ...] = ()


COMMANDS: Mapping[str, Command] = {
    "train": Command("", "train a detector, or continue a training"),
    "eval": Command("", "evaluate a training or a checkpoint", ("--mode=eval",)),
    "predict": Command("demo_video", "show the actions of people in videos"),
    "predict-many": Command(
        "predict_many", "score many videos, on one machine or on many"
    ),
    "intervals": Command(
        "intervals", "write when people do what, as subtitles and others"
    ),
    "convert": Command("convert_checkpoint", "convert a PyTorch checkpoint"),
    "export": Command("export", "write a detector as StableHLO, SavedModel or ONNX"),
    "export-pytorch": Command("export_pytorch", "write a detector as a PyTorch file"),
    "prepare": Command("prepare_ava", "make data sets: AVA and others, and your own"),
    "check": Command("check_ava", "list all that is wrong with a data set"),
    "score": Command("evaluate_csv", "compute the mAP of files of detections"),
    "published": Command("published", "list and download published weights"),
    "serve": Command("serve", "serve a detector over HTTP"),
    "plot": Command("plot_run", "draw the curves of trainings"),
    "recognize": Command("recognize_video", "name what a whole video shows"),
    "launch": Command("launch_local", "train in several processes on this machine"),
    "bench": Command("benchmark", "measure speed and memory"),
}


def run() -> None:
    """Entry point: runs the command that the command line names, and exits."""
    arguments = sys.argv[1:]
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        command_line.run(_unknown)
    if not arguments or arguments[0].startswith("-"):
        command_line.run(_about)
    start(arguments[0], arguments[1:])


def start(verb: str, arguments: Sequence[str]) -> None:
    """Runs a command as if its script had been called, and exits with its status."""
    runner = [i for i, a in enumerate(arguments) if a.partition("=")[0] == "--runner"]
    if verb in ("predict", "prepare") and runner and "--" not in arguments:
        # Apache Beam's, and so are the options after it.
        verb = "predict-many" if verb == "predict" else verb
        arguments = [*arguments[: runner[0]], "--", *arguments[runner[0] :]]
    command = COMMANDS[verb]
    command_line.Parser.program = f"{NAME} {verb}"
    sys.argv = [NAME, *command.arguments, *arguments]
    if not command.script:
        from ava_jax import main

        main.run()
    path = scripts() / f"{command.script}.py"
    # As Python does for a script that it is given.
    sys.path.insert(0, str(path.parent))
    # What the script imports may not be installed.
    command_line.run(lambda _: runpy.run_path(str(path), run_name="__main__") and None)


def scripts() -> pathlib.Path:
    """The folder of the scripts: of an installed package, or of a clone."""
    package = pathlib.Path(__file__).parent
    places = package / "scripts", package.parent / "scripts"
    return next(place for place in places if place.is_dir())


def _complete() -> None:
    """Prints what a shell may put at the cursor, and exits."""
    line = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
    words = line.split()
    if len(words) < 2 or words[1] not in COMMANDS or line.endswith(words[1]):
        command_line.run(_about)
    # The command's parser takes the line from its second word on.
    os.environ["_ARGCOMPLETE"] = "2"
    start(words[1], ())


def _about(argv: Sequence[str]) -> int | None:
    parser = _parser()
    parser.parse_args(argv)
    parser.print_help()
    return command_line.WRONG_COMMAND_LINE


def _unknown(argv: Sequence[str]) -> None:
    near = difflib.get_close_matches(argv[0], COMMANDS, n=1)
    hint = f". Did you mean {near[0]}?" if near else ""
    _parser().error(f"there is no command {argv[0]}{hint}")


def _parser() -> command_line.Parser:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {verb:{width}}  {c.text}" for verb, c in COMMANDS.items())
    parser = command_line.Parser(
        __doc__.replace("The command `ava-jax`: training", "Training"),
        prog=NAME,
        usage=f"{NAME} COMMAND ...",
        epilog=f"commands:\n{listed}",
    )
    version = f"{NAME} {ava_jax.__version__}"
    parser.add_argument("--version", action="version", version=version)
    parser.add_argument("command", nargs="?", choices=COMMANDS, help=argparse.SUPPRESS)
    return parser
