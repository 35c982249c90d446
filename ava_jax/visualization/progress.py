"""How far a video is annotated, told while it goes."""

import sys
import time

import tqdm

from ava_jax.visualization.annotated_stream import Film, Shot


class FilmProgress:
    """A bar on a terminal: how far, and how fast against real time."""

    def __init__(self, film: Film):
        """Starts the clock."""
        self._live = film.live
        self._since = time.monotonic()
        self._bar = tqdm.tqdm(
            total=film.duration and round(film.duration, 1),
            unit="s",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s{postfix}"
            if film.duration
            else "{n:.0f} s{postfix}",
        )

    def __enter__(self) -> "FilmProgress":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def update(self, shot: Shot) -> None:
        """Tells that a frame was written; of what is live, how late."""
        if self._live:
            told = f"latency {shot.people.latency:.1f} s"
        else:
            told = f"{shot.time / (time.monotonic() - self._since):.1f}x real time"
        count = len(shot.people.boxes)
        told += f", {count} {'person' if count == 1 else 'people'}"
        self._bar.set_postfix_str(told, refresh=False)
        self._bar.update(shot.time - self._bar.n)
