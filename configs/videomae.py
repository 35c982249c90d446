r"""MMAction2 1.x's VideoMAE detectors on AVA 2.2, by their names there.

    python -m ava_jax.main --config configs/videomae.py:VARIANT --workdir DIR

Published mAP at IoU 0.5 (MMAction2's model zoo), of detectors that were trained on
AVA-Kinetics; these recipes train on AVA 2.2:

    vit-base-p16_videomae-k400-pre_8xb8-16x4x1-20e-adamw_ava-kinetics-rgb    33.6
    vit-large-p16_videomae-k400-pre_8xb8-16x4x1-20e-adamw_ava-kinetics-rgb   38.7

`--config.model.vit_size` has VideoMAE's other sizes, 'small' and 'huge';
configs/mini.py:vit is a small one for the miniature.
"""

from ava_jax import config as ava_config

DEFAULT = "vit-base-p16_videomae-k400-pre_8xb8-16x4x1-20e-adamw_ava-kinetics-rgb"
LARGE = DEFAULT.replace("base", "large")


def _base(config):
    ava_config.use_ava22(config)
    config.init_from = (
        "vit-base-p16_videomae-k400-pre_16x4x1_kinetics-400_20221013-860a3cd3"
    )
    config.model.backbone = "vit"
    config.model.drop_path = 0.2
    config.model.head_init = "xavier"
    config.data.clip_len, config.data.frame_interval = 16, 4
    config.optim.optimizer = "adamw"
    config.optim.lr = 1.25e-4
    config.optim.lr_batch = config.train.batch = 64
    config.optim.weight_decay = 0.05
    config.optim.layer_decay = 0.75
    config.optim.schedule = "cosine_after_warmup"
    config.optim.warmup = "mmengine"
    config.train.epochs = 20
    # Whose evaluation the published mAP is of.
    config.eval.protocol = "mmaction2"


def _large(config):
    _base(config)
    config.init_from = (
        "vit-large-p16_videomae-k400-pre_16x4x1_kinetics-400_20221013-229dbb03"
    )
    config.model.vit_size = "large"
    config.optim.lr = 2.5e-4
    config.optim.layer_decay = 0.8


VARIANTS = {DEFAULT: _base, LARGE: _large}


def get_config(variant: str = DEFAULT):
    """The configuration of one MMAction2 config name."""
    return ava_config.from_variant(variant, VARIANTS)
