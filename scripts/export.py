"""Exports a detector with its weights for other programs.

ava-jax export CHECKPOINT OUT --format stablehlo|savedmodel|onnx

CHECKPOINT is the name of a published detector (ava-jax published list), the working
directory of a training, a directory written by ava-jax convert, or a
PyTorch file. OUT.json describes the inputs and outputs. All clips have the same --size;
boxes are padded with zeros.

  stablehlo   a file for jax.export.deserialize; any number of clips
  savedmodel  a directory for TensorFlow; any number of clips
  onnx        a file for --batch clips; needs jax2onnx
"""

import argparse
import os
from collections.abc import Sequence

from ava_jax import command_line

_FORMATS = ("stablehlo", "savedmodel", "onnx")


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = command_line.Parser(__doc__)
    add = parser.add_argument
    add("checkpoint", metavar="CHECKPOINT", help="name, directory, or PyTorch file")
    add("out", metavar="OUT", help="file or directory to write")
    add("--format", choices=_FORMATS, required=True, help="format of OUT")
    add(
        "--size",
        type=command_line.size,
        metavar="HEIGHTxWIDTH",
        help="size of the clips in pixels (default: the frames of the model's data set "
        "at the short side of evaluation, or 16:9 without them)",
    )
    add(
        "--batch",
        type=command_line.whole(1),
        default=1,
        metavar="N",
        help="clips in a batch (only onnx; the others take any number)",
    )
    add(
        "--dtype",
        choices=("float32", "bfloat16"),
        help="precision of the computation (default: the configuration's)",
    )
    parser.add_config(
        "configuration of a PyTorch file (default: found by name or tensors)",
        required=False,
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> None:
    """Reads the checkpoint and writes the file."""
    args = parse_arguments(argv)
    # The CPU is enough, and JAX would reserve the memory of an accelerator.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from ava_jax import export

    clips = export.export_detector(
        args.checkpoint,
        args.out,
        args.format,
        size=args.size,
        batch=args.batch,
        config=args.config,
        dtype=args.dtype,
    )
    print(f"{args.out}: written for {clips}; see {args.out}.json")


if __name__ == "__main__":
    command_line.run(main)
