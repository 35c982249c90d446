"""MMAction2's SlowFast detectors on AVA, by their names there, 0.x and 1.x.

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

    slowfast_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb     24.32
    slowfast_kinetics400-pretrained-r50-context_8xb16-4x16x1-20e_
      ava21-rgb                                                        25.34
    slowfast_kinetics400-pretrained-r50_8xb8-8x8x1-20e_ava21-rgb       25.80
    slowfast_kinetics400-pretrained-r50_8xb6-8x8x1-cosine-10e_
      ava22-rgb                                                        25.90
    slowfast_kinetics400-pretrained-r50-temporal-max_8xb6-8x8x1-
      cosine-10e_ava22-rgb                                             26.41
    slowfast_r50-k400-pre-temporal-max-focal-alpha3-gamma1_8xb6-
      8x8x1-cosine-10e_ava22-rgb                                       26.65
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


# ------------------------------------------------------------------- MMAction2 1.x
def _mmengine(change_network, *, lr, batch, cosine=False):
    """The recipe of 1.x for the network, data and weights of a 0.x variant."""

    def change(config):
        recipe = ava_config.default()
        change_network(recipe)
        config.model, config.data = recipe.model, recipe.data
        config.init_from = recipe.init_from
        ava_config.use_mmengine(config, cosine=cosine)
        config.optim.lr = lr
        config.optim.lr_batch = config.train.batch = batch

    return change


def _mmengine_8x8(config):
    _r50_8x8(config)
    config.init_from = _K400_8X8_AVA22


_AVA21 = {"lr": 0.2, "batch": 128}
_AVA22 = {"lr": 0.075, "batch": 48, "cosine": True}
_K400 = "slowfast_kinetics400-pretrained-r50"
_COSINE_1X = "8xb6-8x8x1-cosine-10e_ava22-rgb"
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
    f"{_K400}_8xb16-4x16x1-20e_ava21-rgb": _mmengine(_r50_4x16, **_AVA21),
    f"{_K400}-context_8xb16-4x16x1-20e_ava21-rgb": _mmengine(_context, **_AVA21),
    f"{_K400}_8xb8-8x8x1-20e_ava21-rgb": _mmengine(_mmengine_8x8, lr=0.1, batch=64),
    f"{_K400}_{_COSINE_1X}": _mmengine(_r50_8x8_cosine_ava22, **_AVA22),
    f"{_K400}-temporal-max_{_COSINE_1X}": _mmengine(_temporal_max, **_AVA22),
    f"slowfast_r50-k400-pre-temporal-max-focal-alpha3-gamma1_{_COSINE_1X}": _mmengine(
        _temporal_max_focal, **_AVA22
    ),
}


def get_config(variant: str = DEFAULT):
    """The configuration of one MMAction2 config name."""
    return ava_config.from_variant(variant, VARIANTS)
