"""Traces some training steps for TensorBoard and Perfetto.

`clu.periodic_actions.Profile` is not suitable: it writes no Perfetto trace, does not
wait until the devices have finished the last step, does not start if training resumes
within the range, and loses a trace that is active at the end of training.
"""

import os
from typing import Any

import jax
from absl import logging


class Profile:
    """Traces the steps of `config.profile`."""

    def __init__(self, steps: str, folder: str | os.PathLike, write: bool = True):
        """Starts no trace yet.

        Args:
          steps: 'FIRST-LAST', or '' for no trace; see `config.ranges`.
          folder: folder to write the trace to.
          write: whether this process writes a trace.
        """
        traced = _parse(steps)
        self._steps = traced if write else range(0)
        self._folder = os.fspath(folder)
        self._running = False

    def before(self, step: int) -> None:
        """Starts the trace if `step` belongs to it."""
        if step in self._steps and not self._running:
            jax.profiler.start_trace(self._folder, create_perfetto_trace=True)
            self._running = True

    def after(self, step: int, result: Any) -> None:
        """Ends the trace after its last step, which computes `result`."""
        if self._running and step == self._steps[-1]:
            # Steps run asynchronously: the trace would end before the devices do.
            jax.block_until_ready(result)
            self.close()

    def close(self) -> None:
        """Ends and writes the active trace, if any."""
        if self._running:
            self._running = False
            jax.profiler.stop_trace()
            logging.info(
                "The trace is in %s. TensorBoard shows it (pip install xprof), and "
                "https://ui.perfetto.dev opens its perfetto_trace.json.gz.",
                self._folder,
            )


def _parse(steps: str) -> range:
    if not steps:
        return range(0)
    first, _, last = steps.partition("-")
    return range(int(first), int(last) + 1)
