"""SIGINT and SIGTERM ask training to stop, so that it ends its step and saves.

JAX's own service (`multihost_utils.reached_preemption_sync_point`) does not do here: it
knows SIGTERM only, needs several processes, and takes the signal's handler, so that a
second signal would not end the program.
"""

import contextlib
import signal
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class PreemptionHandler:
    """Handles the signals of `handle_signals`.

    Attributes:
      stop_requested: whether a signal came.
    """

    def __init__(self):
        self.stop_requested = False
        self._interruptible = False

    def reached_sync_point(self, step: int, every: int) -> bool:
        """Whether to stop after this step: the same answer in every process.

        Args:
          step: the last step that was run.
          every: several processes ask each other once in this number of steps, since
            they wait for one another then; a single process answers at each step.
        """
        if jax.process_count() == 1:
            return self.stop_requested
        if step % every:
            return False
        requested = np.array(self.stop_requested)
        return bool(multihost_utils.process_allgather(requested).any())

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """For long work that can be done again: a signal interrupts it at once.

        With several processes it does not, since the others would wait.

        Raises:
          KeyboardInterrupt: a signal came before, or during the block.
        """
        if jax.process_count() > 1:
            yield
            return
        if self.stop_requested:
            raise KeyboardInterrupt
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    def _handle(self, signum, frame) -> None:
        del signum, frame
        if self.stop_requested or self._interruptible:
            raise KeyboardInterrupt
        self.stop_requested = True


@contextlib.contextmanager
def handle_signals() -> Iterator[PreemptionHandler]:
    """In the block, the first signal requests a stop; the second one interrupts.

    Raises:
      KeyboardInterrupt: on the second signal.
    """
    handler = PreemptionHandler()
    before = {number: signal.signal(number, handler._handle) for number in SIGNALS}
    try:
        yield handler
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
