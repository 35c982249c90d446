"""Intervals as subtitles: WebVTT (W3C) and SubRip."""

import html
from collections.abc import Sequence

from ava_jax.intervals.find import Interval


def webvtt(intervals: Sequence[Interval]) -> str:
    """A cue for each interval, spoken by the person: players style these."""
    cues = (
        f"{_time(i.start, '.')} --> {_time(i.end, '.')}\n"
        f"<v Person {i.person}>{html.escape(_line(i.action), quote=False)}\n"
        for i in intervals
    )
    return "\n".join(["WEBVTT\n", *cues])


def srt(intervals: Sequence[Interval]) -> str:
    """A numbered caption for each interval. SubRip has no escapes: '-->' is split."""
    captions = (
        f"{number}\n{_time(i.start, ',')} --> {_time(i.end, ',')}\n"
        f"Person {i.person}: {_line(i.action).replace('-->', '-- >')}\n"
        for number, i in enumerate(intervals, 1)
    )
    return "\n".join(captions)


def _line(text: str) -> str:
    """On one line, as an empty one would end the cue."""
    return " ".join(text.split())


def _time(seconds: float, mark: str) -> str:
    """HH:MM:SS and milliseconds."""
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{mark}{milliseconds:03d}"
