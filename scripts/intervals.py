"""Writes when the people of a video do what, from the results of ava-jax predict.

    ava-jax predict VIDEO --checkpoint NAME --out result.mp4
    ava-jax intervals result.jsonl result.vtt result.eaf

An action of a person lasts from key frame to key frame while its score is high enough.
The ending says what is written: .json and .csv (tables), .vtt and .srt (subtitles),
.eaf (ELAN), via3.json (a project of VIA 3).
"""

import argparse
import pathlib
from collections.abc import Sequence

from ava_jax import command_line, intervals
from ava_jax.config import ranges


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line.Parser(__doc__)
    add = parser.add_argument
    add("results", metavar="RESULTS", help=".jsonl file of ava-jax predict")
    add("out", metavar="OUT", nargs="+", help="files to write")
    defaults = intervals.Settings()
    share = command_line.number(ranges.SHARE)
    add(
        "--high",
        type=share,
        default=defaults.high,
        metavar="P",
        help="score that some key frame of an interval has at least",
    )
    add(
        "--low",
        type=share,
        default=defaults.low,
        metavar="P",
        help="score that all key frames of an interval have at least; RESULTS has "
        "none below 0.05",
    )
    seconds = command_line.number(ranges.at_least(0))
    add(
        "--max-gap",
        type=seconds,
        default=defaults.max_gap,
        metavar="SECONDS",
        help="intervals that are no further apart are joined",
    )
    add(
        "--min-length",
        type=seconds,
        default=defaults.min_length,
        metavar="SECONDS",
        help="shorter intervals are left out",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> None:
    """Reads, finds, and writes."""
    args = parse_arguments(argv)
    settings = intervals.Settings(args.high, args.low, args.max_gap, args.min_length)
    for path in args.out:
        intervals.check_ending(path)
    found = intervals.find(intervals.read_results(args.results), settings)
    # What ava-jax predict writes beside it.
    video = pathlib.Path(args.results).with_suffix(".mp4")
    for path in args.out:
        intervals.write(path, found, settings, str(video) if video.is_file() else "")
    people = len({interval.person for interval in found})
    print(f"{len(found)} intervals of {people} people: {', '.join(args.out)}")


if __name__ == "__main__":
    command_line.run(main)
