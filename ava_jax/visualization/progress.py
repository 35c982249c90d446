"""Progress of the annotation of a video."""

import sys
import time

import tqdm

from ava_jax.runtime.counted import LINE_EVERY
from ava_jax.visualization.annotated_stream import AnnotatedFrame, AnnotatedStream


class StreamProgress:
    """The speed relative to real time: a bar on a terminal, lines in a file."""

    def __init__(self, stream: AnnotatedStream):
        """Starts the clock."""
        self._live = stream.live
        self._duration = stream.duration
        self._since = self._last_line = time.monotonic()
        self._on_terminal = sys.stderr.isatty()
        self._bar = tqdm.tqdm(
            total=stream.duration and round(stream.duration, 1),
            unit="s",
            disable=not self._on_terminal,
            dynamic_ncols=True,
            bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s{postfix}"
            if stream.duration
            else "{n:.0f} s{postfix}",
        )

    def __enter__(self) -> "StreamProgress":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def update(self, frame: AnnotatedFrame) -> None:
        """Advances to a written frame; shows the latency of a live source."""
        if self._on_terminal:
            self._bar.set_postfix_str(self._status(frame), refresh=False)
            self._bar.update(frame.time - self._bar.n)
            return
        now = time.monotonic()
        if now - self._last_line >= LINE_EVERY:
            self._last_line = now
            length = f" of {self._duration:.0f}" if self._duration else ""
            place = f"{frame.time:.0f}{length} s"
            print(f"{place}, {self._status(frame)}", file=sys.stderr, flush=True)

    def _status(self, frame: AnnotatedFrame) -> str:
        count = len(frame.people.boxes)
        who = f"{count} {'person' if count == 1 else 'people'}"
        if self._live:
            return f"latency {frame.people.latency:.1f} s, {who}"
        speed = frame.time / (time.monotonic() - self._since)
        return f"{speed:.1f}x real time, {who}"
