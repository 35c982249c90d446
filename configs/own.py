"""Your own videos, annotated in AVA's format; docs/data.md leads from one to the other.

    python -m ava_jax.main --config configs/own.py:NAME --config.data.root=data/own \
        --workdir runs/own

NAME is any detector of ava-jax published list or of the other files in configs/; its
network, clips and optimiser are taken, and training starts from its published weights.
The default is MMAction2's SlowFast R50 4x16. The classes are those of the label map,
and the head is replaced if their number is another one. Every field can be changed on
the command line, or in a copy of this file.
"""

from ava_jax import config as ava_config
from ava_jax import published
from ava_jax.errors import UserError

DEFAULT = "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"


def get_config(variant: str = DEFAULT):
    """The configuration of an own data set, for a detector's network."""
    config = _detector(variant)
    config.name = "own" if variant == DEFAULT else f"own:{variant}"
    config.data.root = "data/own"
    config.data.frames, config.data.frame_store = "rawframes", "folder"
    config.data.labels = "annotations/actions.txt"
    for name in ("train", "val"):
        files = config.data[name]
        files.boxes = f"annotations/{name}.csv"
        files.proposals = f"annotations/{name}_proposals.csv"
        files.exclusions = ""  # none
    config.data.timestamp_start = 0  # timestamps are seconds of the videos
    config.data.fps = 30
    config.data.clip_names = config.data.frame_numbers = False
    config.data.frame_shift = 0
    config.data.no_proposals = "error"
    config.data.class_ids = ()
    config.model.num_classes = 0  # those of the label map
    config.train.batch = 8
    config.train.epochs = 10
    config.optim.decay_epochs = (5, 8)
    config.optim.warmup_epochs = 1.0
    config.optim.warmup_steps = 0
    config.eval.batch = 8
    return config


def _detector(name):
    """The recipe of a detector, which starts from the detector's own weights."""
    file = published.get(name)
    if file is not None and file.kind == "detector":
        file.check_supported()
        config = ava_config.load(file.config)
        config.init_from = file.name
        return config
    recipes = {}
    for file in ava_config.DETECTORS:
        for path, config in ava_config.variants(f"configs/{file}.py").items():
            recipes[path.partition(":")[2]] = config
    recipes.pop("vtest")  # a data set
    if name not in recipes:
        known = [file.name for file in published.all_files() if file.config]
        listed = "\n  ".join(dict.fromkeys([*recipes, *known]))
        raise UserError(
            f"There is no detector {name!r}. {ava_config.nearest(name)}Write one of "
            f"these after the colon:\n  {listed}"
        )
    return recipes[name]
