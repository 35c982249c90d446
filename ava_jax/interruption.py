"""Ctrl-C and SIGTERM as a request, so that a step ends and is saved."""

import contextlib
import signal
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Request:
    """Whether someone asked the program to stop."""

    def __init__(self):
        """Nobody has."""
        self.made = False


@contextlib.contextmanager
def requests() -> Iterator[Request]:
    """While open, the first signal makes a request; the second one interrupts.

    Raises:
      KeyboardInterrupt: on the second signal.
    """
    request = Request()

    def handle(signum, frame):
        del signum, frame
        if request.made:
            raise KeyboardInterrupt
        request.made = True

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
