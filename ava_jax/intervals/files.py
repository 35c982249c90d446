"""Files of intervals: JSON, CSV, subtitles, and projects of ELAN and VIA 3."""

import csv
import dataclasses
import io
import json
import os
import pathlib
from collections.abc import Callable, Sequence

from ava_jax import files
from ava_jax.errors import UserError
from ava_jax.intervals import elan, subtitles, via3
from ava_jax.intervals.find import Interval, Settings

_Format = Callable[[Sequence[Interval], str], str]
# By the ending of the file; the first that fits.
_FORMATS: dict[str, _Format] = {
    "via3.json": via3.text,
    ".csv": lambda intervals, _: _csv(intervals),
    ".vtt": lambda intervals, _: subtitles.webvtt(intervals),
    ".srt": lambda intervals, _: subtitles.srt(intervals),
    ".eaf": elan.text,
}
ENDINGS = (".json", *_FORMATS)


def write(
    path: str | os.PathLike,
    intervals: Sequence[Interval],
    settings: Settings,
    video: str = "",
) -> None:
    """Writes a file in the format that its ending says, one of `ENDINGS`.

    Args:
      path: of the file, which is written whole or not at all.
      intervals: of one video.
      settings: with which they were found; in JSON alone.
      video: path of the video, which ELAN and VIA open.

    Raises:
      UserError: another ending, or the file cannot be written.
    """
    files.replace(pathlib.Path(path), _format(path)(intervals, settings, video))


def check_ending(path: str | os.PathLike) -> None:
    """Raises a UserError if `write` does not know the ending of a path."""
    _format(path)


def _format(path):
    name = os.fspath(path).lower()
    for ending, text in _FORMATS.items():
        if name.endswith(ending):
            return lambda intervals, settings, video: text(intervals, video)
    if name.endswith(".json"):
        return _json
    raise UserError(
        f"{path} has the ending of no format; expected one of {', '.join(ENDINGS)}."
    )


def _json(intervals: Sequence[Interval], settings: Settings, video: str) -> str:
    content = {
        "video": video,
        "settings": dataclasses.asdict(settings),
        "intervals": [_rounded(interval)._asdict() for interval in intervals],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _csv(intervals: Sequence[Interval]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Interval._fields)
    writer.writerows(map(_rounded, intervals))
    return text.getvalue()


def _rounded(interval: Interval) -> Interval:
    """To milliseconds, and scores as in the JSON lines."""
    return interval._replace(
        start=round(interval.start, 3),
        end=round(interval.end, 3),
        mean_score=round(interval.mean_score, 4),
        peak_score=round(interval.peak_score, 4),
    )
