"""The error that a user can mend, and how any error is told at the end."""

import sys
import traceback

INTERRUPTED = "Interrupted. The same command goes on from here."


class UserError(Exception):
    """Something outside the program is wrong: a file, a flag, a data set.

    The message is one paragraph for the user: what was found, where (file and
    line), what was expected, and what to do. Command lines print it without a
    traceback and exit with 1.
    """


def tell(error: BaseException) -> int:
    """Prints what ended the program, and returns its exit status."""
    if isinstance(error, UserError):
        print(f"Error: {error}", file=sys.stderr)
        return 1
    if isinstance(error, KeyboardInterrupt):
        print(INTERRUPTED, file=sys.stderr)
        return 130
    traceback.print_exception(error)
    return 1
