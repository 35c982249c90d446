"""Writes a checkpoint as a PyTorch file with MMAction2's keys.

ava-jax export-pytorch CHECKPOINT OUT.pth

CHECKPOINT is a working directory, a converted one, or the name of a published detector
(ava-jax published list), such as PySlowFast's. PyTorch is not needed. Read the file
with torch.load(OUT, weights_only=True), or with MMAction2 (load_from=OUT, or
tools/test.py CONFIG OUT).
"""

import os
import sys
from collections.abc import Sequence

from ava_jax import command_line


def main(argv: Sequence[str]) -> None:
    """Reads the directory and writes the file."""
    parser = command_line.Parser(__doc__)
    add = parser.add_argument
    add(
        "checkpoint", metavar="CHECKPOINT", help="directory, or name of a published one"
    )
    add("out", metavar="OUT.pth", help="file to write")
    args = parser.parse_args(argv)
    # The CPU is enough, and JAX would reserve the memory of an accelerator.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from ava_jax.checkpoints import by_name
    from ava_jax.checkpoints.pytorch.export import export_file

    if file := by_name.published_detector(args.checkpoint):
        args.checkpoint = by_name.converted(file)
    foreign = export_file(args.checkpoint, args.out)
    if foreign:
        print(
            "note: MMAction2 computes something else from these weights, as it has "
            f"no network with {', '.join(foreign)}.",
            file=sys.stderr,
        )
    print(f"{args.out}: written")


if __name__ == "__main__":
    command_line.run(main)
