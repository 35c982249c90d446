"""The speed of training: figures for the log, and a progress bar on a terminal.

`clu.periodic_actions.ReportProgress` is not suitable: its speed includes evaluations
and checkpoints, its shares of time are since the start instead of since the last
report, and it does not return them for `history.jsonl`.
"""

import contextlib
import sys
import time
from collections.abc import Iterator

import jax
import tqdm
from absl import logging

from ava_jax.training.step_cost import GIB


class Progress:
    """Measures and shows the speed of the training steps."""

    def __init__(self, first_step: int, steps: int, batch: int, show: bool):
        """Starts the clock.

        Args:
          first_step: number of steps before this start, above 0 after a resume.
          steps: number of steps of the whole run.
          batch: number of clips in a step.
          show: whether this process shows the progress: as a bar on a terminal,
            otherwise as lines of the log.
        """
        self._steps = steps
        self._batch = batch
        self._show = show
        self._bar = tqdm.tqdm(
            total=steps,
            initial=first_step,
            unit="step",
            disable=not (show and sys.stderr.isatty()),
            dynamic_ncols=True,
        )
        self._restart(first_step)

    def _restart(self, step: int) -> None:
        self._step = step
        self._start = time.perf_counter()
        self._data_wait = 0.0

    @contextlib.contextmanager
    def data_wait(self) -> Iterator[None]:
        """Counts the time of the block as waiting for data."""
        start = time.perf_counter()
        yield
        self._data_wait += time.perf_counter() - start

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Leaves out the time of the block, such as an evaluation."""
        start = time.perf_counter()
        yield
        # As if the clock had been started later.
        self._start += time.perf_counter() - start

    def report(self, step: int, scalars: dict[str, float]) -> dict[str, float]:
        """Shows the progress.

        Args:
          step: number of steps so far.
          scalars: metrics of the step; must have 'loss' and 'lr'.

        Returns:
          Since the last report: `clips_per_second` of all devices together,
          `clips_per_second_per_device`, and `data_wait`, the share of the time spent
          waiting for data. Since the start: `device_memory_gib`, the peak of the first
          device of this host, if the device reports it.
        """
        seconds = time.perf_counter() - self._start
        steps = step - self._step
        clips_per_second = steps * self._batch / seconds
        speed = {
            "clips_per_second": clips_per_second,
            "clips_per_second_per_device": clips_per_second / jax.device_count(),
            "data_wait": self._data_wait / seconds,
            **_device_memory(),
        }
        text = (
            f"loss {scalars['loss']:.4f}, lr {scalars['lr']:.4g}, "
            f"{clips_per_second:.1f} clips/s, "
            f"{100 * speed['data_wait']:.0f} % waiting for data"
        )
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(step - self._bar.n)
        if self._show and self._bar.disable:
            left = tqdm.tqdm.format_interval((self._steps - step) * seconds / steps)
            logging.info("step %d/%d, %s, %s left", step, self._steps, text, left)
        self._restart(step)
        return speed

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()


def _device_memory() -> dict[str, float]:
    statistics = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" not in statistics:
        return {}
    return {"device_memory_gib": statistics["peak_bytes_in_use"] / GIB}
