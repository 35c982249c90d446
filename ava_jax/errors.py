"""The error that a user can mend, and how any error is told at the end."""

import sys
import traceback
from collections.abc import Sequence


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


def tell(error: BaseException) -> int:
    """Prints what ended the program, and returns its exit status."""
    if isinstance(error, UserError):
        print(f"Error: {error}", file=sys.stderr)
        return 1
    if isinstance(error, KeyboardInterrupt):
        print("Interrupted. The same command goes on from here.", file=sys.stderr)
        return 130
    traceback.print_exception(error)
    return 1
