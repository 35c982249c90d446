"""A trace of some training steps, for TensorBoard and Perfetto."""

import os
import re
from typing import Any

import jax
from absl import logging

from ava_jax.errors import UserError


class Profile:
    """Traces the steps that `config.profile` names."""

    def __init__(self, steps: str, folder: str | os.PathLike, write: bool = True):
        """Nothing is traced yet.

        Args:
          steps: 'FIRST-LAST', or '' for no trace.
          folder: where it is written.
          write: whether this process is the one that traces.

        Raises:
          UserError: `steps` is something else.
        """
        self._first, self._last = _parse(steps)
        self._folder = os.fspath(folder)
        self._write = write
        self._running = False

    def before(self, step: int) -> None:
        """Starts the trace when `step` is the first step in it."""
        due = self._write and self._first <= step <= self._last
        if due and not self._running:
            jax.profiler.start_trace(self._folder, create_perfetto_trace=True)
            self._running = True

    def after(self, step: int, result: Any) -> None:
        """Ends the trace when `step`, which gives `result`, is the last one in it."""
        if self._running and step == self._last:
            jax.block_until_ready(result)
            self.close()

    def close(self) -> None:
        """Writes what has been traced, if the training ends within it."""
        if self._running:
            self._running = False
            jax.profiler.stop_trace()
            logging.info(
                "The trace is in %s. TensorBoard shows it (pip install xprof), and "
                "https://ui.perfetto.dev opens its perfetto_trace.json.gz.",
                self._folder,
            )


def _parse(steps: str) -> tuple[int, int]:
    """First and last step; last before first if there is none."""
    if not steps:
        return 1, 0
    match = re.fullmatch(r"(\d+)-(\d+)", steps)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UserError(
            f"config.profile is {steps!r}; expected: the first and the last step of "
            "the trace, such as --config.profile=10-15"
        )
    return int(match[1]), int(match[2])
