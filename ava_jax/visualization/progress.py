"""Progress of the annotation of a video."""

import sys
import time

import tqdm

from ava_jax.visualization.annotated_stream import AnnotatedFrame, AnnotatedStream


class StreamProgress:
    """A bar on the terminal with the speed relative to real time."""

    def __init__(self, stream: AnnotatedStream):
        """Starts the clock."""
        self._live = stream.live
        self._since = time.monotonic()
        self._bar = tqdm.tqdm(
            total=stream.duration and round(stream.duration, 1),
            unit="s",
            disable=not sys.stderr.isatty(),
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
        if self._live:
            status = f"latency {frame.people.latency:.1f} s"
        else:
            status = f"{frame.time / (time.monotonic() - self._since):.1f}x real time"
        count = len(frame.people.boxes)
        status += f", {count} {'person' if count == 1 else 'people'}"
        self._bar.set_postfix_str(status, refresh=False)
        self._bar.update(frame.time - self._bar.n)
