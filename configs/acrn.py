"""MMAction2's ACRN detectors on AVA, by their names in 1.x.

    python -m ava_jax.main --config configs/acrn.py:VARIANT --workdir DIR

Published mAP at IoU 0.5 (MMAction2's model zoo):

    slowfast-acrn_kinetics400-pretrained-r50_8xb8-8x8x1-cosine-10e_ava21-rgb   27.65
    slowfast-acrn_kinetics400-pretrained-r50_8xb8-8x8x1-cosine-10e_ava22-rgb   27.71

They are SlowFast R50 8x8 with a head that relates every box to every place of the map.
In training it has a map for every box: `--config.data.max_boxes` decides the memory.
"""

from ava_jax import config as ava_config

DEFAULT = "slowfast-acrn_kinetics400-pretrained-r50_8xb8-8x8x1-cosine-10e_ava21-rgb"


def _ava21(config):
    ava_config.use_mmengine(config, cosine=True)
    config.init_from = "slowfast_r50_8x8x1_256e_kinetics400_rgb_20200716-73547d2b"
    config.model.slow_stride = 4
    config.model.lateral_kernel = 7
    config.model.shared_head = "acrn"
    config.optim.lr = 0.1
    config.optim.lr_batch = config.train.batch = 64


def _ava22(config):
    _ava21(config)
    ava_config.use_ava22(config)


VARIANTS = {DEFAULT: _ava21, DEFAULT.replace("ava21", "ava22"): _ava22}


def get_config(variant: str = DEFAULT):
    """The configuration of one MMAction2 config name."""
    return ava_config.from_variant(variant, VARIANTS)
