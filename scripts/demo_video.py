r"""Shows what the people in a video do.

python scripts/demo_video.py VIDEO --checkpoint DIR --out result.mp4

writes the video with the people's actions on it, result.html (a page with a
timeline), result.csv (detections as AVA's evaluation reads them) and result.jsonl.
VIDEO is a file, an address like rtsp://..., or the number of a camera. Without VIDEO
and with a training's working directory as DIR (runs/mini if none is given), it shows
a validation movie of the data set that was trained on.
"""

import argparse
import os
import sys
import tempfile

from ava_jax.errors import UserError
from ava_jax.runtime.compilation_cache import use_cache

_MINIATURE = "runs/mini"
_OFFER = f"""Give the model: --checkpoint DIR (a training's working directory, or one of
scripts/convert_checkpoint.py) or FILE.pth. Without one, train the miniature's:
  python -m ava_jax.main --config configs/mini.py --workdir {_MINIATURE}
and see it at work on its own drawn people:
  python scripts/demo_video.py"""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("video", metavar="VIDEO", nargs="?", help="file, address or camera number")
    add("--checkpoint", metavar="DIR", help="directory or .pth of the model")
    add("--config", help="of a .pth: configs/FILE.py:VARIANT")
    add("--labels", metavar="FILE", help="label map (default: the checkpoint's)")
    add("--detector", help="of people: hog, onnx:FILE, or a file of boxes")
    add("--person-score", type=float, default=0.5, help="least score of a person")
    add("--every", type=float, default=1.0, help="seconds between key frames")
    add("--threshold", type=float, default=0.3, help="least score of a shown action")
    add("--batch", type=int, default=1, help="clips scored at a time")
    add("--raw", action="store_true", help="don't average scores over time")
    add("--start", type=float, help="second of the movie at which VIDEO starts (0)")
    add("--out", default="result.mp4", help="the others have this name, too")
    return parser.parse_args()


def main() -> None:
    """Annotates a video."""
    flags = parse_arguments()
    checkpoint = flags.checkpoint or (flags.video is None and _MINIATURE)
    if not checkpoint or not (flags.checkpoint or os.path.isdir(checkpoint)):
        raise UserError(_OFFER)
    # Imported here because --help and a mistyped flag should not wait for them.
    from ava_jax.predict import Detector
    from ava_jax.visualization.annotate_video import Options, annotate_video

    use_cache()
    detector = Detector.from_checkpoint(
        checkpoint, config=flags.config, labels=flags.labels
    )
    with tempfile.TemporaryDirectory() as folder:
        if flags.video is None:
            use_own_data(flags, detector.config, checkpoint, folder)
        how = Options(**options(flags))
        print(annotate_video(detector, flags.video, flags.out, how))


def options(flags: argparse.Namespace) -> dict:
    """The flags as the fields of the library's options."""
    same = ("person_score", "every", "threshold", "batch")
    return {name: getattr(flags, name) for name in same} | {
        "people": flags.detector or "hog",
        "smooth": not flags.raw,
        "start": flags.start or 0.0,
    }


def use_own_data(flags, config, checkpoint: str, folder: str) -> None:
    """Fills in a movie of the data set, with its proposals as people."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from ava_jax.prepare.sample_video import make_video

    config.data.root = config.data.root or os.path.join(checkpoint, "data")
    flags.video = str(make_video(config.data, folder))
    proposals = os.path.join(config.data.root, config.data.val.proposals)
    flags.detector = flags.detector or proposals
    if flags.start is None:
        flags.start = config.data.timestamp_start


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:  # the second one; the first ends the video
        sys.exit("error: interrupted; nothing was written")
