"""How fast training goes, told while it goes."""

import sys
import time

import jax
import tqdm
from absl import logging

from ava_jax.training.step_cost import GIB


class Progress:
    """Times the steps; a bar on a terminal, plain lines otherwise."""

    def __init__(self, first_step: int, steps: int, batch: int, show: bool):
        """Starts the clock.

        Args:
          first_step: steps taken before.
          steps: steps of the whole run.
          batch: clips a step.
          show: whether this process tells anyone.
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
        self._reset(first_step)

    def _reset(self, step: int) -> None:
        self._since_step = step
        self._since = time.perf_counter()
        self._waited = 0.0

    def waited(self, seconds: float) -> None:
        """Adds time in which the devices had no data."""
        self._waited += seconds

    def report(self, step: int, scalars: dict[str, float]) -> dict[str, float]:
        """Tells how far training is.

        Args:
          step: steps taken.
          scalars: must have 'loss' and 'lr'.

        Returns:
          Since the last report: `clips_per_second`, over all devices and
          `clips_per_second_per_device`, and `data_wait`, the share of the time that
          was spent waiting for data. So far: `device_memory_gib`, the most that this
          host's first device has had in use, where that is known.
        """
        seconds = time.perf_counter() - self._since
        steps = step - self._since_step
        clips_per_second = steps * self._batch / seconds
        speed = {
            "clips_per_second": clips_per_second,
            "clips_per_second_per_device": clips_per_second / jax.device_count(),
            "data_wait": self._waited / seconds,
            **_device_memory(),
        }
        text = (
            f"loss {scalars['loss']:.4f}, lr {scalars['lr']:.4g}, "
            f"{speed['clips_per_second']:.1f} clips/s, "
            f"{100 * speed['data_wait']:.0f} % waiting for data"
        )
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(step - self._bar.n)
        if self._show and self._bar.disable:
            left = (self._steps - step) * seconds / steps
            logging.info(
                "step %d/%d, %s, %s left", step, self._steps, text, _clock(left)
            )
        self._reset(step)
        return speed

    def pause(self) -> "Progress":
        """For `with`: time spent inside is not training's."""
        return self

    def __enter__(self) -> None:
        self._paused = time.perf_counter()

    def __exit__(self, *_) -> None:
        self._since += time.perf_counter() - self._paused

    def close(self) -> None:
        """Leaves the bar as it is."""
        self._bar.close()


def _device_memory() -> dict[str, float]:
    statistics = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" not in statistics:
        return {}
    return {"device_memory_gib": statistics["peak_bytes_in_use"] / GIB}


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
