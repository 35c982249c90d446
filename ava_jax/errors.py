"""The error for mistakes that a user can correct, and its report."""

import sys
import traceback
from collections.abc import Sequence

INTERRUPTED = "Interrupted. The same command resumes here."


class UserError(Exception):
    """Something outside the program is wrong: a file, a flag, a data set.

    The message is one paragraph for the user: what was found, where (file and
    line), what was expected, and what to do. Command lines print it without a
    traceback and exit with 1.
    """


class BadFrame(UserError):
    """A frame is missing, or what is there is no picture."""


def join_first(names: Sequence[str]) -> str:
    """The first three names, and a mark if there are more: for messages."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def tell(error: BaseException, interrupted: str = INTERRUPTED) -> int:
    """Prints what ended the program, and returns its exit status.

    Args:
      error: what was raised.
      interrupted: printed after Ctrl-C.
    """
    if isinstance(error, UserError):
        print(f"Error: {error}", file=sys.stderr)
        return 1
    if isinstance(error, KeyboardInterrupt):
        print(interrupted, file=sys.stderr)
        return 130
    traceback.print_exception(error)
    return 1
