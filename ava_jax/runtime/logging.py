"""What is logged, and where: on the console by process 0, in files by the others."""

import logging as python_logging
import pathlib

from absl import flags, logging

_FORM = python_logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")


def set_up() -> None:
    """Makes the console show what is for the user."""
    handler = logging.get_absl_handler()
    handler.addFilter(_is_shown)
    handler.setFormatter(_FORM)
    # absl.app.run would do this; command lines are parsed by argparse.
    flags.FLAGS.mark_as_parsed()
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)


def to_file(path: pathlib.Path) -> None:
    """Logs to the end of a file from now on, and no longer to the console."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = python_logging.FileHandler(path)
    handler.addFilter(_is_shown)
    handler.setFormatter(_FORM)
    root = python_logging.getLogger()
    root.removeHandler(logging.get_absl_handler())
    root.addHandler(handler)


def _is_shown(record: python_logging.LogRecord) -> bool:
    """Whether a line is for the user: ours, and what libraries warn of."""
    if record.pathname.startswith(str(pathlib.Path(__file__).parent)):
        return True
    # Orbax, of every checkpoint that was not evaluated.
    expected = "did not provide metrics" in record.getMessage()
    return record.levelno >= python_logging.WARNING and not expected
