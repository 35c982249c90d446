"""Shows the actions of the people in a video.

    ava-jax predict VIDEO --checkpoint NAME --out result.mp4

NAME is a published detector (ava-jax published list), which is downloaded at its
first use, the working directory of a training, or a converted checkpoint. The script
writes the annotated video, result.html (a page with a timeline), result.csv (detections
in AVA's format) and result.jsonl. VIDEO is a file, an address such as rtsp://..., the
number of a camera, or a folder of videos, which are annotated one after the other; then
--out is a folder, too. Without VIDEO, the script uses a validation movie of the data
set of the training; NAME is then its working directory (default: runs/mini).
"""

import argparse
import os
import tempfile
from collections.abc import Sequence

from ava_jax import command_line
from ava_jax.config import ranges
from ava_jax.errors import UserError
from ava_jax.runtime.compilation_cache import use_cache

_MINIATURE = "runs/mini"
_OFFER = f"""Give the model, such as the published
  --checkpoint slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb
(ava-jax published list shows all), or the working directory of a training, a
directory of ava-jax convert, or a FILE.pth. Or train the miniature first:
  python -m ava_jax.main --config configs/mini.py --workdir {_MINIATURE}
and show its model on one of its own movies:
  ava-jax predict
Or, for real footage, train a head on published weights (nine minutes on two cores):
  pip install "ava_jax[train,i3d,video]"
  python -m ava_jax.main --config configs/i3d.py:vtest --workdir runs/street
  ava-jax predict --checkpoint runs/street"""


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line.Parser(__doc__)
    add = parser.add_argument
    add(
        "video",
        metavar="VIDEO",
        nargs="?",
        help="file, folder, address or camera number",
    )
    add(
        "--checkpoint",
        metavar="NAME",
        help="published detector, working directory, converted checkpoint, or PyTorch "
        "file",
    )
    parser.add_config(
        "configuration of a PyTorch file (default: found by name or tensors)",
        required=False,
    )
    add("--labels", metavar="FILE", help="label map (default: the checkpoint's)")
    add(
        "--features",
        metavar="NAME",
        help="for a checkpoint with long-term features: the detector whose features "
        "they are",
    )
    add(
        "--detector",
        metavar="NAME",
        help="person detector: auto (yolox if it is available, otherwise hog), yolox, "
        "hog, onnx:FILE, or a file of boxes; 3x2:yolox looks at 3 x 2 tiles (default: "
        "auto)",
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
        "--threshold",
        type=command_line.number(ranges.SHARE),
        default=0.3,
        metavar="P",
        help="minimum score of an action to be shown",
    )
    add(
        "--batch",
        type=command_line.whole(1),
        default=1,
        metavar="N",
        help="clips scored at once",
    )
    add("--raw", action="store_true", help="do not average scores over time")
    add(
        "--start",
        type=command_line.number(ranges.at_least(0)),
        metavar="SECONDS",
        help="timestamp of the first frame of VIDEO (default: 0)",
    )
    add(
        "--out",
        metavar="FILE",
        help="video to write; the other files have the same name (default: result.mp4; "
        "for a folder of videos: the folder results)",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> None:
    """Annotates a video."""
    args = parse_arguments(argv)
    checkpoint = args.checkpoint or (args.video is None and _MINIATURE)
    if not checkpoint or not (args.checkpoint or os.path.isdir(checkpoint)):
        raise UserError(_OFFER)
    # Imported here, so that --help and errors in flags do not wait for JAX.
    from ava_jax.predict import Detector
    from ava_jax.visualization.annotate_folder import annotate_folder
    from ava_jax.visualization.annotate_video import Options, annotate_video

    use_cache()
    if args.video is not None:
        _check_source(args.video)
    detector = Detector.from_checkpoint(
        checkpoint, config=args.config, labels=args.labels, features=args.features
    )
    with tempfile.TemporaryDirectory() as folder:
        is_own_data = args.video is None
        if is_own_data:
            use_own_data(args, detector.config, checkpoint, folder)
        how = Options(**options(args, is_own_data))
        if os.path.isdir(args.video):
            annotate_folder(detector, args.video, args.out or "results", how)
        else:
            out = args.out or "result.mp4"
            print(annotate_video(detector, args.video, out, how))


def _check_source(video: str) -> None:
    """Opens a file, so that what is no video is told before weights are downloaded."""
    from ava_jax.video.reader import VideoReader, import_av

    import_av()
    is_file = not (video.isdigit() or "://" in video or os.path.isdir(video))
    if is_file:
        VideoReader(video).close()


def options(args: argparse.Namespace, is_own_data: bool) -> dict:
    """Converts the arguments to the fields of `annotate_video.Options`."""
    same = ("person_score", "every", "threshold", "batch")
    return {name: getattr(args, name) for name in same} | {
        "people": args.detector or "auto",
        "smooth": not args.raw,
        "start": args.start or 0.0,
        "is_own_data": is_own_data,
    }


def use_own_data(args, config, checkpoint: str, folder: str) -> None:
    """Sets a movie of the data set as the video, and its proposals as the people."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from ava_jax.prepare.sample_video import make_video

    config.data.root = config.data.root or os.path.join(checkpoint, "data")
    video, start = make_video(config.data, folder)
    args.video = str(video)
    proposals = os.path.join(config.data.root, config.data.val.proposals)
    args.detector = args.detector or proposals
    if args.start is None:
        args.start = start


if __name__ == "__main__":
    # The first Ctrl-C ends the video, the second one the program.
    command_line.run(main, interrupted="Interrupted; nothing was written.")
