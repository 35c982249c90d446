"""How fast training is: figures for the log, and a bar on a terminal.

`clu.periodic_actions.ReportProgress` does not do here: evaluations and checkpoints
lower its speed, its parts of the time are those since the start instead of those since
the last report, and it logs them without returning them for `history.jsonl`.
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
    """Measures the time of the steps, and shows it."""

    def __init__(self, first_step: int, steps: int, batch: int, show: bool):
        """Starts the clock.

        Args:
          first_step: steps that were run before.
          steps: steps of the whole run.
          batch: clips of a step.
          show: whether this process shows the progress: with a bar on a terminal,
            otherwise in lines of the log.
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
        """For the time in which the devices wait for data."""
        start = time.perf_counter()
        yield
        self._data_wait += time.perf_counter() - start

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """For time that is not training's."""
        start = time.perf_counter()
        yield
        self._start += time.perf_counter() - start

    def report(self, step: int, scalars: dict[str, float]) -> dict[str, float]:
        """Shows the progress.

        Args:
          step: steps that were run.
          scalars: must have 'loss' and 'lr'.

        Returns:
          Since the last report: `clips_per_second`, over all devices and
          `clips_per_second_per_device`, and `data_wait`, the share of the time that
          was spent waiting for data. Since the start: `device_memory_gib`, the peak
          of the first device of this host, if the device reports it.
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
