"""Ctrl-C and SIGTERM as a request, so that a step ends and is saved."""

import contextlib
import signal
from collections.abc import Iterator

import jax

from ava_jax.runtime import multihost

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Request:
    """Whether someone asked the program to stop."""

    def __init__(self):
        """Nobody has."""
        self.made = False
        self.hurries = False

    def agreed(self, step: int, every: int) -> bool:
        """Whether to stop after this step: the same answer in every process.

        Args:
          step: the one that was taken last.
          every: several processes ask each other after so many steps, since they
            wait for one another then; one process answers after each.
        """
        if jax.process_count() == 1:
            return self.made
        return step % every == 0 and multihost.any_of(self.made)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Around long work that can be done again: a request interrupts it.

        With several processes it stays a request, since the others would wait.

        Raises:
          KeyboardInterrupt: it was made before, or is in the block.
        """
        if jax.process_count() > 1:
            yield
            return
        if self.made:
            raise KeyboardInterrupt
        self.hurries = True
        try:
            yield
        finally:
            self.hurries = False


@contextlib.contextmanager
def requests() -> Iterator[Request]:
    """While open, the first signal makes a request; the second one interrupts.

    Raises:
      KeyboardInterrupt: on the second signal.
    """
    request = Request()

    def handle(signum, frame):
        del signum, frame
        if request.made or request.hurries:
            raise KeyboardInterrupt
        request.made = True

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
