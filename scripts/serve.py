"""Serves a detector over HTTP.

    ava-jax serve --checkpoint NAME
    curl --data-binary @film.mp4 "http://127.0.0.1:8000/video?every=1"

docs/serving.md has the requests, their limits and the metrics. There is no
authentication and no encryption: that is the task of a proxy before it.
"""

import argparse
import dataclasses
import logging
from collections.abc import Sequence

from ava_jax import command_line
from ava_jax.config import ranges
from ava_jax.errors import UserError
from ava_jax.runtime.compilation_cache import use_cache

_GRACE = 30  # seconds in which requests may end after SIGTERM


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line.Parser(__doc__)
    add = parser.add_argument
    whole, above = command_line.whole, command_line.number(ranges.above(0))
    add(
        "--checkpoint",
        required=True,
        metavar="NAME",
        help="published detector, working directory, converted checkpoint, or PyTorch "
        "file",
    )
    add("--labels", metavar="FILE", help="label map (default: the checkpoint's)")
    add(
        "--detector",
        default="auto",
        metavar="NAME",
        help="person detector: auto (yolox if it is available, otherwise hog), yolox, "
        "hog or onnx:FILE; 3x2:yolox looks at 3 x 2 tiles",
    )
    add(
        "--person-score",
        type=command_line.number(ranges.SHARE),
        default=0.5,
        metavar="P",
        help="minimum score of a person",
    )
    add(
        "--batch",
        type=whole(1),
        default=4,
        metavar="N",
        help="clips scored at once, at most",
    )
    add(
        "--size",
        type=command_line.frame_size,
        action="append",
        metavar="WIDTHxHEIGHT",
        help="size of videos for which programs are compiled before the service "
        "listens; may be repeated",
    )
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen at")
    add("--port", type=whole(0, 65535), default=8000, metavar="N", help="0: a free one")
    add(
        "--megabytes", type=above, default=200.0, metavar="N", help="limit of an upload"
    )
    add("--seconds", type=above, default=600.0, metavar="N", help="limit of a video")
    add(
        "--pixels",
        type=whole(1),
        default=4096 * 2304,
        metavar="N",
        help="limit of a frame",
    )
    add("--boxes", type=whole(1), default=200, metavar="N", help="limit of a clip")
    add(
        "--timeout",
        type=above,
        default=600.0,
        metavar="SECONDS",
        help="after which a request is given up",
    )
    add(
        "--parallel",
        type=whole(1),
        default=4,
        metavar="N",
        help="requests that are worked on at a time",
    )
    add(
        "--queue",
        type=whole(0),
        default=16,
        metavar="N",
        help="requests that may wait; others get 429",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> None:
    """Loads, compiles, and listens until SIGTERM or Ctrl-C."""
    args = parse_arguments(argv)
    try:
        import uvicorn

        from ava_jax.serving.app import make_app
    except ImportError as error:
        raise UserError(
            f'The service needs {error.name}: pip install "ava_jax[serve]"'
        ) from error
    from ava_jax import people
    from ava_jax.predict import Detector
    from ava_jax.serving.limits import Limits
    from ava_jax.serving.work import Service
    from ava_jax.video.reader import import_av

    import_av()
    if args.detector.endswith(people.FILES):
        raise UserError(f"{args.detector} is of one video; give a detector.")
    use_cache()
    detector = Detector.from_checkpoint(args.checkpoint, labels=args.labels)
    find = people.open_detector(args.detector, threshold=args.person_score)
    names = [field.name for field in dataclasses.fields(Limits)]
    limits = Limits(**{name: getattr(args, name) for name in names})
    service = Service(detector, find, limits, args.batch)
    for size in args.size or ():
        service.warm_up(size)
    logging.getLogger("uvicorn.access").disabled = True  # /metrics counts
    uvicorn.run(
        make_app(service),
        host=args.host,
        port=args.port,
        timeout_graceful_shutdown=_GRACE,
        log_level="info",
    )


if __name__ == "__main__":
    command_line.run(main)
