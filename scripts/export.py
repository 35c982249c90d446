"""Writes a detector for other programs, with its weights inside.

python scripts/export.py CHECKPOINT OUT --format stablehlo|savedmodel|onnx

CHECKPOINT is a working directory, one of scripts/convert_checkpoint.py, or a PyTorch
file with its --config. OUT.json says what goes in and comes out. Clips have one size
(--size), boxes are padded with zeros. stablehlo: a file that jax.export.deserialize
reads, for any number of clips. savedmodel: a directory of TensorFlow's, likewise.
onnx: a file for --batch clips; it needs jax2onnx.
"""

import argparse
import os
import re
import sys

from ava_jax import errors
from ava_jax.errors import UserError

_FORMATS = ("stablehlo", "savedmodel", "onnx")


def main() -> None:
    """Reads the checkpoint, writes the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="directory, or PyTorch file")
    parser.add_argument("out", help="what to write")
    parser.add_argument("--format", choices=_FORMATS, required=True)
    parser.add_argument("--size", default="256x456", help="HEIGHTxWIDTH of the clips")
    parser.add_argument("--batch", type=int, default=1, help="clips (onnx only)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"))
    parser.add_argument("--config", help="FILE.py:VARIANT, of a PyTorch file")
    args = parser.parse_args()
    size = re.fullmatch(r"(\d+)x(\d+)", args.size)
    if not size or args.batch < 1:
        raise UserError(
            f"--size {args.size} --batch {args.batch}; expected HEIGHTxWIDTH in "
            "pixels, such as 256x456, and at least one clip."
        )
    # Exporting is work for the CPU; an accelerator would be claimed for nothing.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from ava_jax import export

    export.export_detector(
        args.checkpoint,
        args.out,
        args.format,
        size=(int(size[1]), int(size[2])),
        batch=args.batch,
        config=args.config,
        dtype=args.dtype,
    )
    print(f"{args.out}: written; see {args.out}.json")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(errors.tell(error))
