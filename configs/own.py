"""Your own videos, annotated in AVA's format; docs/data.md leads from one to the other.

    python -m ava_jax.main --config configs/own.py:NAME --config.data.root=data/own \
        --workdir runs/own

NAME is any detector of ava-jax published list or of the other files in configs/; its
network, clips and optimiser are taken, and training starts from its published weights.
The default is MMAction2's SlowFast R50 4x16. The classes are those of the label map,
and the head is replaced if their number is another one. NAME+100, NAME+1000 and
NAME+10000 are for about as many training boxes, as docs/small_data.md explains; +100
alone is of the default. Every field can be changed on the command line, or in a copy of
this file.
"""

import re

from ava_jax import config as ava_config
from ava_jax import published
from ava_jax.errors import UserError

DEFAULT = "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
_SIZED = re.compile(r"(.*)\+(\d*)")  # other names have a plus, too, before a letter


def get_config(variant: str = DEFAULT):
    """The configuration of an own data set, for a detector's network and a size."""
    sized = _SIZED.fullmatch(variant)
    config = _own((sized[1] or DEFAULT) if sized else variant)
    config.name = "own" if variant == DEFAULT else f"own:{variant}"
    if sized:
        _size(sized[2])(config)
    return config


def _own(name):
    config = _detector(name)
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


def _hundred(config):
    """A new head on the features of the weights: the backbone is as it was."""
    _few(config)
    config.model.frozen_stages = _stages(config)
    config.train.epochs = 20


def _thousand(config):
    """The last stage learns, too, at a tenth of the head's rate."""
    _few(config)
    config.model.frozen_stages = _stages(config) - 1
    if config.optim.layer_decay == 1:  # else it has lower rates already
        config.optim.lr_multipliers = (("backbone", 0.1),)
    config.train.epochs = 8


def _few(config):
    config.model.bn = "frozen"  # statistics of so few clips are worse than Kinetics'
    config.train.batch = 4
    config.optim.schedule = "cosine"
    config.optim.warmup = "mmcv"
    # Eight times the rate that the ResNets have for a batch of 4: steps are few.
    config.optim.lr = 0.05 if config.optim.optimizer == "sgd" else 5e-4
    config.optim.lr_batch = 4


def _stages(config):
    """Stages of the backbone after the stem, which `frozen_stages` counts."""
    return 3 if config.model.backbone == "i3d" else 4


def _ten_thousand(config):
    """The detector's own recipe, with the statistics of its weights."""
    config.model.bn = "frozen"
    config.model.frozen_stages = 0
    config.optim.schedule = "cosine"
    config.optim.warmup = "mmcv"


SIZES = {"100": _hundred, "1000": _thousand, "10000": _ten_thousand}


def _size(name):
    if name not in SIZES:
        raise UserError(
            f"There is no size {name!r}. Write one of these numbers of boxes after the "
            f"plus, the nearest to yours: {', '.join(SIZES)}"
        )
    return SIZES[name]


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
