"""The error that a user can mend."""


class UserError(Exception):
    """Something outside the program is wrong: a file, a flag, a data set.

    The message is one paragraph for the user: what was found, where (file and
    line), what was expected, and what to do. Command lines print it without a
    traceback and exit with 1.
    """
