"""On SIGINT or SIGTERM, training finishes its step, saves a checkpoint and stops.

JAX's own service (`multihost_utils.reached_preemption_sync_point`) is not suitable: it
handles only SIGTERM, needs several processes, and replaces the signal handler, so a
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
    """The state of the signal handler that `handle_signals` installs.

    Attributes:
      stop_requested: whether a signal has arrived.
    """

    def __init__(self):
        self.stop_requested = False
        self._interruptible = False

    def reached_sync_point(self, step: int, every: int) -> bool:
        """Whether to stop after this step: the same answer in every process.

        Args:
          step: the last step that was run.
          every: number of steps between two exchanges of several processes, because
            they wait for each other in an exchange. A single process may stop after
            any step.
        """
        if jax.process_count() == 1:
            return self.stop_requested
        if step % every:
            return False
        requested = np.array(self.stop_requested)
        return bool(multihost_utils.process_allgather(requested).any())

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """For long work that can be repeated: a signal interrupts the block at once.

        Not with several processes, because the others would wait for this one.

        Raises:
          KeyboardInterrupt: a signal arrived before or during the block.
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
