"""Logging: process 0 logs to the console, the other processes to files."""

import logging as python_logging
import pathlib

from absl import flags, logging

import ava_jax

_PACKAGE = pathlib.Path(ava_jax.__file__).parent
_FORM = python_logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")
# Orbax warns of checkpoints that were saved without metrics, and of reading alone.
_EXPECTED = ("did not provide metrics", "read_only=True", "read only=")


def set_up() -> None:
    """Logs to the console with the time, only the lines that are for the user."""
    _use_absl(_FORM)
    logging.set_verbosity(logging.INFO)


def set_up_notes() -> None:
    """Logs warnings alone, as plain sentences: for programs that print results."""
    _use_absl(python_logging.Formatter("%(message)s"))
    logging.set_verbosity(logging.WARNING)


def _use_absl(form: python_logging.Formatter) -> None:
    handler = logging.get_absl_handler()
    handler.addFilter(_is_shown)
    handler.setFormatter(form)
    # absl handles logging differently before its flags are parsed. absl.app.run would
    # parse them; this project uses argparse.
    flags.FLAGS.mark_as_parsed()
    logging.use_absl_handler()


def to_file(path: pathlib.Path) -> None:
    """Appends the log to a file, instead of writing it to the console."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = python_logging.FileHandler(path)
    handler.addFilter(_is_shown)
    handler.setFormatter(_FORM)
    root = python_logging.getLogger()
    root.removeHandler(logging.get_absl_handler())
    root.addHandler(handler)


def _is_shown(record: python_logging.LogRecord) -> bool:
    """Whether a line is for the user: all of this package, and warnings of others."""
    if pathlib.Path(record.pathname).is_relative_to(_PACKAGE):
        return True
    is_expected = any(part in record.getMessage() for part in _EXPECTED)
    return record.levelno >= python_logging.WARNING and not is_expected
