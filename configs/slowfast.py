"""MMAction2's SlowFast detectors on AVA, by their names there.

    python -m ava_jax.main --config configs/slowfast.py:VARIANT --workdir DIR

Published mAP at IoU 0.5 (MMAction2's model zoo; "custom" on its 16 classes):

    slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb               24.4
    slowfast_context_kinetics_pretrained_r50_4x16x1_20e_ava_rgb       25.4
    slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb                25.5
    slowfast_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb       26.1
    slowfast_temporal_max_kinetics_pretrained_r50_8x8x1_cosine_10e_
      ava22_rgb                                                       26.4
    slowfast_temporal_max_focal_alpha3_gamma1_kinetics_pretrained_
      r50_8x8x1_cosine_10e_ava22_rgb                                  26.8
    slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes 37.85
"""

from ava_jax import config as ava_config

DEFAULT = "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
# Kinetics recognisers, where training starts. MMAction2 gives the second one two dates.
_K400_4X16 = "slowfast_r50_4x16x1_256e_kinetics400_rgb_20200704-bcde7ed7"
_K400_8X8 = "slowfast_r50_8x8x1_256e_kinetics400_rgb_20200704-73547d2b"
_K400_8X8_AVA22 = "slowfast_r50_8x8x1_256e_kinetics400_rgb_20200716-73547d2b"


def _r50_4x16(config):
    """Slow path of 4 frames, 16 apart; the defaults of `ava_jax.config`."""
    config.init_from = _K400_4X16


def _context(config):
    _r50_4x16(config)
    config.model.context = True


def _r50_8x8(config):
    config.init_from = _K400_8X8
    config.model.slow_stride = 4
    config.model.lateral_kernel = 7
    config.optim.lr = 0.075
    config.optim.lr_batch = config.train.batch = 40


def _r50_8x8_cosine_ava22(config):
    _r50_8x8(config)
    ava_config.use_ava22(config)
    config.init_from = _K400_8X8_AVA22
    config.optim.lr_batch = config.train.batch = 48
    config.optim.schedule = "cosine"
    config.optim.warmup_epochs = 2.0
    config.train.epochs = 10


def _temporal_max(config):
    _r50_8x8_cosine_ava22(config)
    config.model.temporal_pool = "max"


def _temporal_max_focal(config):
    _temporal_max(config)
    config.model.focal_alpha = 3.0
    config.model.focal_gamma = 1.0


def _custom_classes(config):
    _r50_4x16(config)
    ava_config.use_custom_classes(config)
    config.optim.warmup_ratio = 0.05


_TEMPORAL_MAX = "slowfast_temporal_max_"
_COSINE = "kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb"
VARIANTS = {
    DEFAULT: _r50_4x16,
    "slowfast_context_kinetics_pretrained_r50_4x16x1_20e_ava_rgb": _context,
    "slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb": _r50_8x8,
    f"slowfast_{_COSINE}": _r50_8x8_cosine_ava22,
    f"{_TEMPORAL_MAX}{_COSINE}": _temporal_max,
    f"{_TEMPORAL_MAX}focal_alpha3_gamma1_{_COSINE}": _temporal_max_focal,
    f"{DEFAULT}_custom_classes": _custom_classes,
}


def get_config(variant: str = DEFAULT):
    """The configuration of one MMAction2 config name."""
    return ava_config.from_variant(variant, VARIANTS)
