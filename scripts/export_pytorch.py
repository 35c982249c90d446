"""Writes a checkpoint as a PyTorch file with MMAction2's keys.

python scripts/export_pytorch.py CHECKPOINT_DIR OUT.pth

PyTorch is not needed. torch.load(OUT, weights_only=True) reads the file, and so does
MMAction2 (load_from=OUT, or tools/test.py CONFIG OUT).
"""

import argparse
import os
import sys

from ava_jax.errors import UserError


def main() -> None:
    """Reads the directory, writes the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="working directory, or a converted one")
    parser.add_argument("out", help="the file to write")
    flags = parser.parse_args()
    # Exporting is work for the CPU; an accelerator would be claimed for nothing.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from ava_jax.checkpoints.pytorch.export import export_file

    foreign = export_file(flags.checkpoint, flags.out)
    if foreign:
        print(
            "note: MMAction2 computes something else from these weights, as it has "
            f"no network with {', '.join(foreign)}.",
            file=sys.stderr,
        )
    print(f"{flags.out}: written")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
