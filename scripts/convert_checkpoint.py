"""Converts a PyTorch checkpoint into a directory that this project reads.

    ava-jax convert IN.pth OUT_DIR
    ava-jax convert NAME OUT_DIR

NAME is a published detector (ava-jax published list). The configuration of a file is
found by its name, if it is a published one, or by its tensors; where they fit several
that compute differently, these are listed and --config decides.
Train from it with --config.init_from=OUT_DIR, or use it for prediction. PyTorch is not
needed, and no code in the file is executed.
"""

import argparse
import os
from collections.abc import Sequence

from ava_jax import command_line


def main(argv: Sequence[str]) -> None:
    """Converts the file, and prints how every tensor was used."""
    parser = command_line.Parser(__doc__)
    add = parser.add_argument
    add("source", metavar="IN.pth", help="checkpoint file, or name of a published one")
    add("out", metavar="OUT_DIR", help="directory to write")
    parser.add_config(
        "configuration of the model (default: found by name or tensors)",
        required=False,
    )
    add(
        "--strict",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="refuse a head for other classes; with --no-strict it stays untrained "
        "(default: --strict)",
    )
    add("--verify", action="store_true", help="read the result back and compare it")
    add("--labels", metavar="FILE", help="label map (default: AVA's 80 actions)")
    add(
        "--background-class",
        action=argparse.BooleanOptionalAction,
        help="--no-background-class: the head of MMAction2 has no output for class 0 "
        "(background_class=False); num_classes counts class 0 all the same (default: "
        "what the configuration in the file says)",
    )
    args = parser.parse_args(argv)
    # The CPU is enough, and JAX would reserve the memory of an accelerator.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    # Imported here, so that --help and errors in flags do not wait for JAX.
    from ava_jax import config as ava_config
    from ava_jax.checkpoints import by_name
    from ava_jax.checkpoints.pytorch import convert_file

    file = by_name.published_file(args.source)
    if args.config is None and file is not None:
        file.check_supported()
        args.config = ava_config.load(file.config) if file.config else None
    source = by_name.weights(args.source)
    report = convert_file.convert_file(
        source,
        args.out,
        args.config,
        strict=args.strict,
        labels=args.labels,
        background_class=args.background_class,
    )
    print(convert_file.report_table(report))
    for note in report.notes:
        print(f"note: {note}")
    if args.verify:
        count = convert_file.verify(source, args.out, args.background_class)
        print(f"{count} tensors read back: equal to the source, bit by bit.")
    print(f"{args.out}: ready for --config.init_from={args.out}")


if __name__ == "__main__":
    command_line.run(main)
