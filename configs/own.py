"""Your own videos, annotated in AVA's format; docs/data.md leads from one to the other.

    python -m ava_jax.main --config configs/own.py --config.data.root=data/own \
        --config.model.num_classes=4 --workdir runs/own

SlowFast R50 4x16 of `ava_jax.config`, with short names for the files. Training starts
from the published detector of AVA's actions; its head is replaced if the number of
actions is another one. Every field can
be changed on the command line, or in a copy of this file.
"""

from ava_jax import config as ava_config


def get_config():
    """The configuration of an own data set."""
    config = ava_config.default()
    config.name = "own"
    config.init_from = "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
    config.data.root = "data/own"
    config.data.frames = "rawframes"
    config.data.labels = "annotations/actions.txt"
    for name in ("train", "val"):
        files = config.data[name]
        files.boxes = f"annotations/{name}.csv"
        files.proposals = f"annotations/{name}_proposals.csv"
        files.exclusions = ""  # none
    config.data.timestamp_start = 0  # timestamps are seconds of the videos
    config.data.fps = 30
    config.model.num_classes = 81  # highest action id, plus 1
    config.train.batch = 8
    config.train.epochs = 10
    config.optim.decay_epochs = (5, 8)
    config.optim.warmup_epochs = 1.0
    config.eval.batch = 8
    return config
