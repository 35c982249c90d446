"""Prepares a data set in AVA's format; docs/data.md describes the steps.

    python scripts/prepare_ava.py extract --config configs/own.py --videos DIR

For the flags of a step: python scripts/prepare_ava.py extract --help
"""

import argparse
import os
from collections.abc import Callable, Sequence

from ava_jax import command_line, errors


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the command line; `step` is the function of the chosen step."""
    parser = command_line.Parser(__doc__)
    steps = parser.add_subparsers(metavar="STEP", required=True)

    def add_step(name: str, step: Callable, text: str) -> Callable:
        parser = steps.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}."
        )
        parser.set_defaults(step=step)
        if step is not _list:
            parser.add_config("configuration that training uses")
        return parser.add_argument

    add = add_step("list", _list, "print a script that downloads AVA's videos")
    add(
        "--names",
        required=True,
        metavar="FILE",
        help="file with one name of a video per line",
    )

    add = add_step("extract", _extract, "write the frames of videos as JPEG files")
    add("--videos", required=True, metavar="DIR", help="directory of the videos")
    add(
        "--end",
        type=float,
        default=0,
        metavar="SECONDS",
        help="timestamp at which to stop; 0: the end of the video",
    )
    add(
        "--short-side",
        type=int,
        default=0,
        metavar="PIXELS",
        help="scale frames to this short side; 0: do not scale",
    )
    add(
        "--quality",
        type=int,
        default=95,
        metavar="Q",
        help="quality of the JPEG files, 1 to 100",
    )
    add(
        "--workers",
        type=int,
        metavar="N",
        help="number of processes (default: number of cores)",
    )

    add = add_step("proposals", _proposals, "detect people on annotated key frames")
    add("--split", choices=("train", "val"), default="val", help="split to process")
    add(
        "--detector",
        default="hog",
        metavar="NAME",
        help="person detector: hog or FILE.onnx; 3x2:FILE.onnx looks at 3 x 2 tiles",
    )

    add = add_step("pack", _pack, "pack the frames of every second into one record")
    add("--out", required=True, metavar="DIR", help="directory to write")
    add(
        "--name",
        choices=("v2.1", "v2.2", "own"),
        default="own",
        help="version of AVA that the data set is",
    )
    add("beam", metavar="BEAM", nargs="*", help="flags of Apache Beam, after --")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int | None:
    """Runs the step that the command line names."""
    args = parse_arguments(argv)
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return args.step(args)


# Every step has its own imports, so that --help does not wait for them.


def _list(args: argparse.Namespace) -> None:
    from ava_jax.prepare.download import download_script

    print(download_script(args.names), end="")


def _extract(args: argparse.Namespace) -> int:
    from ava_jax.prepare import extract, extract_movie

    data = args.config.data
    recipe = extract_movie.recipe_of(data, args.end, args.short_side, args.quality)
    videos = extract.find_videos(args.videos)
    root = os.path.join(data.root, data.frames)
    movies = extract.extract_movies(
        videos, root, recipe, workers=args.workers, progress=_bar("movies")
    )
    print(extract.table(movies))
    return int(any(movie.error for movie in movies))


def _proposals(args: argparse.Namespace) -> None:
    from ava_jax.prepare.detect_people import write_proposals

    bar = _bar("key frames")
    print(write_proposals(args.config.data, args.split, args.detector, bar))


def _pack(args: argparse.Namespace) -> None:
    from ava_jax.prepare import ava_builder

    ava_builder.pack(
        args.config.data, args.out, name=args.name, beam_arguments=args.beam
    )
    fields = f"--config.data.root={args.out} --config.data.frame_store=packed"
    print(f"{args.out}: add {fields}")


def _bar(unit: str) -> Callable:
    import tqdm

    return lambda items, total: tqdm.tqdm(items, unit=unit, total=total)


if __name__ == "__main__":
    command_line.run(main, interrupted=errors.INTERRUPTED)
