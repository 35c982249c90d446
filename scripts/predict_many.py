"""Scores the people of many videos, on one machine or on many.

    ava-jax predict-many "films/*.mp4" --checkpoint NAME --out results

VIDEOS are paths, patterns, addresses (gs://, s3://), or lists: files that end in .txt
with one of these in a line. The results are in DIR: actions-*.parquet (detections in
AVA's format), people-*.jsonl and failures.csv. The same command continues a run that
was interrupted. Apache Beam runs it; its options follow --:

    ava-jax predict-many "gs://films/*.mp4" --checkpoint NAME
        --out gs://films/results -- --runner=DataflowRunner --project=...

docs/batch.md has more. Needs the extras beam and video.
"""

import argparse
from collections.abc import Sequence

from ava_jax import command_line
from ava_jax.config import ranges
from ava_jax.errors import UserError
from ava_jax.runtime import logging


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line.Parser(__doc__)
    add = parser.add_argument
    add("videos", metavar="VIDEOS", nargs="+", help="files, patterns, lists, addresses")
    add(
        "--checkpoint",
        metavar="NAME",
        required=True,
        help="published detector, working directory, converted checkpoint, or PyTorch "
        "file",
    )
    add("--out", metavar="DIR", required=True, help="folder of the results, or address")
    add(
        "--detector",
        dest="people",
        metavar="NAME",
        default="auto",
        help="person detector: auto, yolox, hog, onnx:FILE, or a file of boxes",
    )
    add(
        "--person-score",
        type=command_line.number(ranges.SHARE),
        default=0.5,
        metavar="P",
        help="minimum score of a person",
    )
    add(
        "--every",
        type=command_line.number(ranges.above(0)),
        default=1.0,
        metavar="SECONDS",
        help="time between two key frames",
    )
    add(
        "--piece",
        type=command_line.number(ranges.above(0)),
        default=300.0,
        metavar="SECONDS",
        help="length of the pieces that a video is divided into",
    )
    add(
        "--batch",
        type=command_line.whole(1),
        default=1,
        metavar="N",
        help="clips scored at once",
    )
    add(
        "--videos-per-file",
        type=command_line.whole(1),
        default=100,
        metavar="N",
        help="videos whose results are in one file",
    )
    add(
        "--format",
        choices=("parquet", "csv"),
        default="parquet",
        help="of the detections",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> None:
    """Scores all videos, and ends with an error if some failed."""
    argv = list(argv)
    end = argv.index("--") if "--" in argv else len(argv)
    args = parse_arguments(argv[:end])
    # Imported here, so that --help and errors in flags do not wait for JAX and Beam.
    from ava_jax.batch.inputs import find_videos
    from ava_jax.batch.pipeline import predict_many
    from ava_jax.batch.settings import Options, Settings

    fields = vars(args)
    videos = find_videos(fields.pop("videos"))
    failures = predict_many(videos, Settings.of(Options(**fields)), argv[end + 1 :])
    failed = {video for video, _, _ in failures}
    print(f"{len(videos) - len(failed)} of {len(videos)} videos: {args.out}")
    if failed:
        raise UserError(
            f"{len(failed)} of {len(videos)} videos failed, wholly or in part: "
            f"{args.out}/failures.csv has the reasons."
        )


if __name__ == "__main__":
    command_line.run(
        main,
        interrupted="Interrupted. The same command continues from here.",
        log=logging.set_up,
    )
