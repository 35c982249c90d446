"""Trains or evaluates what a configuration file describes."""

import logging as python_logging
import os
import pathlib
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from ava_jax import config as ava_config
from ava_jax.errors import UserError

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Configuration: configs/FILE.py or configs/FILE.py:VARIANT"
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where everything is written.")
_MODE = flags.DEFINE_enum("mode", "train", ["train", "eval"], "What to do.")
_ACCEPT_CHANGES = flags.DEFINE_bool(
    "accept_config_changes", False, "Go on in a workdir of another configuration."
)


def main(argv: list[str]) -> None:
    """Does what the flags say."""
    del argv
    if not (_WORKDIR.value or _CONFIG.value.dry_run):
        raise UserError("Say where to write the results: --workdir runs/NAME")
    # Imported here because --help and a mistyped flag should not wait for them.
    from ava_jax import dry_run, evaluate, train, workdir

    if _CONFIG.value.dry_run:
        dry_run.run(_CONFIG.value)
        return
    folder = workdir.Workdir(_WORKDIR.value)
    folder.claim(_CONFIG.value, _ACCEPT_CHANGES.value)
    job = train.train if _MODE.value == "train" else evaluate.evaluate
    job(_CONFIG.value, folder)


def _parse_flags(argv: list[str]) -> list[str]:
    """Absl's parser, with a mistake in any flag or field as a `UserError`."""
    if not {"--help", "--helpfull", "--helpshort"} & set(argv):
        ava_config.check_arguments(argv[1:])
    try:
        return flags.FLAGS(argv)
    except (flags.Error, TypeError, ValueError) as error:
        raise UserError(str(error)) from error


def _is_shown(record: python_logging.LogRecord) -> bool:
    """Whether a line is for the user: ours, and what libraries warn of."""
    if record.pathname.startswith(str(pathlib.Path(__file__).parent)):
        return True
    # Orbax, of every checkpoint that was not evaluated.
    expected = "did not provide metrics" in record.getMessage()
    return record.levelno >= python_logging.WARNING and not expected


def run() -> None:
    """Entry point: a user's mistakes and Ctrl-C end without a traceback."""
    # TensorFlow announces oneDNN on every start; it is not used here.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    handler = logging.get_absl_handler()
    handler.addFilter(_is_shown)
    form = python_logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")
    handler.setFormatter(form)
    try:
        app.run(main, flags_parser=_parse_flags)
    except UserError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on from here.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    run()
