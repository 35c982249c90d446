r"""Converts a PyTorch checkpoint into a directory that this project reads.

python scripts/convert_checkpoint.py IN.pth OUT_DIR --config configs/FILE.py:VARIANT

Then train from it with --config.init_from=OUT_DIR, or predict. PyTorch is not needed,
and nothing in the file is executed. Fields may be changed: --config.model.x=y.
"""

import os
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from ava_jax import config as ava_config
from ava_jax.errors import UserError

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The model's configuration: configs/FILE.py:VARIANT"
)
_STRICT = flags.DEFINE_bool(
    "strict", True, "Refuse a head for other classes (else it starts untrained)."
)
_VERIFY = flags.DEFINE_bool("verify", False, "Read it back and compare every bit.")
_LABELS = flags.DEFINE_string("labels", None, "Label map (default: AVA's 80 actions).")


def main(argv: list[str]) -> None:
    """Converts, and prints what became of every tensor."""
    if len(argv) != 3:
        raise UserError("Give the checkpoint file and the directory to write.")
    _, source, out = argv
    # Orbax reports every step of writing.
    logging.set_verbosity(logging.WARNING)
    # Imported here because --help and a mistyped flag should not wait for them.
    from ava_jax.annotations.label_map import read_labels
    from ava_jax.checkpoints.pytorch import convert_file

    labels = read_labels(_LABELS.value) if _LABELS.value else None
    report = convert_file.convert_file(
        source, out, _CONFIG.value, strict=_STRICT.value, labels=labels
    )
    print(convert_file.report_table(report))
    for note in report.notes:
        print(f"note: {note}")
    if _VERIFY.value:
        count = convert_file.verify(source, out)
        print(f"{count} tensors read back: equal to the source, bit by bit.")
    print(f"{out}: ready for --config.init_from={out}")


if __name__ == "__main__":
    # Converting is work for the CPU; an accelerator would be claimed for nothing.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    try:
        app.run(main, flags_parser=ava_config.parse_flags)
    except UserError as error:
        sys.exit(f"error: {error}")
