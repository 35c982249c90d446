"""Writes a checkpoint as a PyTorch file with MMAction2's keys.

python scripts/export_pytorch.py CHECKPOINT_DIR OUT.pth

PyTorch is not needed. torch.load(OUT, weights_only=True) reads the file, and so does
MMAction2 (load_from=OUT, or tools/test.py CONFIG OUT).
"""

import os
import sys
from collections.abc import Sequence

from ava_jax import command_line


def main(argv: Sequence[str]) -> None:
    """Reads the directory, writes the file."""
    parser = command_line.Parser(__doc__)
    add = parser.add_argument
    add("checkpoint", metavar="CHECKPOINT_DIR", help="working or converted directory")
    add("out", metavar="OUT.pth", help="file to write")
    args = parser.parse_args(argv)
    # Exporting is work for the CPU; an accelerator would be claimed for nothing.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from ava_jax.checkpoints.pytorch.export import export_file

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
