"""MMAction2 1.x's detectors of MultiSports, by their names there.

    python -m ava_jax.main --config configs/multisports.py:VARIANT --workdir DIR

Published frame-mAP at IoU 0.5 and video-mAP at 0.2, 0.5 and 0.1:0.9 (MMAction2's model
zoo):

    slowonly_kinetics400-pretrained-r50_8xb16-4x16x1-8e_multisports-rgb
      26.40; 15.48, 10.62, 9.65
    slowfast_kinetics400-pretrained-r50_8xb16-4x16x1-8e_multisports-rgb
      36.88; 22.83, 16.90, 14.74

A box has one of 66 actions, which are the classes 1 to 66 here: the files of
MultiSports and MMAction2's count them from 0.
"""

from ava_jax import config as ava_config

DEFAULT = "slowonly_kinetics400-pretrained-r50_8xb16-4x16x1-8e_multisports-rgb"


def _common(config):
    ava_config.use_mmengine(config)
    config.model.num_classes = 67
    config.model.multilabel = False
    config.model.background_class = False
    config.data.root = "data/multisports"
    config.data.frames, config.data.frame_store = "trainval", "video"
    config.data.fps = 25
    config.data.frame_numbers, config.data.timestamp_start = True, 1
    config.data.frame_shift = 0
    # As MMAction2 gives them.
    config.data.no_proposals = "full_frame"
    config.data.labels = "annotations/multisports_action_list.pbtxt"
    for name in ("train", "val"):
        files = config.data[name]
        files.boxes = f"annotations/multisports_{name}.csv"
        files.exclusions = ""  # none
        files.proposals = f"annotations/multisports_proposals_{name}.pkl"
    config.optim.clip_norm = 5.0
    config.optim.decay_epochs = (6, 7)
    config.optim.lr_batch = config.train.batch = 128
    config.train.epochs = 8


def _slowonly(config):
    _common(config)
    config.init_from = (
        "slowonly_imagenet-pretrained-r50_8xb16-4x16x1-steplr-150e_kinetics400-rgb_"
        "20220901-e7b65fad"
    )
    config.model.backbone = "slowonly"
    config.data.clip_len, config.data.frame_interval = 4, 16
    config.optim.lr = 0.2


def _slowfast(config):
    """Slow path of 4 frames, 16 apart; the defaults of `ava_jax.config`."""
    _common(config)
    config.init_from = "slowfast_r50_4x16x1_256e_kinetics400_rgb_20200704-bcde7ed7"
    config.optim.lr = 0.01125


VARIANTS = {DEFAULT: _slowonly, DEFAULT.replace("slowonly", "slowfast"): _slowfast}


def get_config(variant: str = DEFAULT):
    """The configuration of one MMAction2 config name."""
    return ava_config.from_variant(variant, VARIANTS)
