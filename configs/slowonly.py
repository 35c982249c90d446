"""MMAction2's SlowOnly detectors on AVA 2.1, by their names there, 0.x and 1.x.

    python -m ava_jax.main --config configs/slowonly.py:VARIANT --workdir DIR

Published mAP at IoU 0.5 (MMAction2's model zoo; "custom" on its 16 classes):

    slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb                20.1
    slowonly_omnisource_pretrained_r50_4x16x1_20e_ava_rgb              21.8
    slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb             21.75
    slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb              23.79
    slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb                24.6
    slowonly_omnisource_pretrained_r101_8x8x1_20e_ava_rgb              25.9
    slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes 33.11

    slowonly_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb     20.72
    slowonly_kinetics700-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb     22.77
    slowonly_kinetics400-pretrained-r50-nl_8xb16-4x16x1-20e_ava21-rgb  21.55
    slowonly_kinetics400-pretrained-r50-nl_8xb16-8x8x1-20e_ava21-rgb   23.77
    slowonly_kinetics400-pretrained-r101_8xb16-8x8x1-20e_ava21-rgb     24.83

The OmniSource variants differ from their neighbours only in the weights that
training starts from.
"""

from ava_jax import config as ava_config

DEFAULT = "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"


def _r50_4x16(config):
    config.init_from = "slowonly_r50_4x16x1_256e_kinetics400_rgb_20200704-a69556c6"
    config.model.backbone = "slowonly"
    config.data.clip_len, config.data.frame_interval = 4, 16
    config.optim.lr = 0.2
    config.optim.lr_batch = config.train.batch = 128


def _r50_4x16_omnisource(config):
    _r50_4x16(config)
    config.init_from = "slowonly_r50_omni_4x16x1_kinetics400_rgb_20200926-51b1f7ea"


def _r101_8x8(config):
    _r50_4x16(config)
    config.init_from = (
        "slowonly_r101_without_omni_8x8x1_kinetics400_rgb_20200926-0c730aef"
    )
    config.model.depth = 101
    config.data.clip_len, config.data.frame_interval = 8, 8
    config.optim.lr = 0.075
    config.optim.lr_batch = config.train.batch = 48


def _r101_8x8_omnisource(config):
    _r101_8x8(config)
    config.init_from = "slowonly_r101_omni_8x8x1_kinetics400_rgb_20200926-b5dbb701"


def _nonlocal_4x16(config):
    _r50_4x16(config)
    config.init_from = (
        "slowonly_nl_embedded_gaussian_r50_4x16x1_150e_kinetics400_rgb_"
        "20210308-0d6e5a69"
    )
    config.model.nonlocal_blocks = ((), (0, 2), (0, 2, 4), ())
    config.optim.lr = 0.3
    config.optim.lr_batch = config.train.batch = 96
    config.optim.nesterov = True
    config.optim.weight_decay = 1e-6
    config.optim.decay_epochs = (4, 6, 8)
    config.optim.warmup_steps = 800
    config.optim.warmup_ratio = 0.01
    config.train.epochs = 10


def _nonlocal_8x8(config):
    _nonlocal_4x16(config)
    config.init_from = (
        "slowonly_nl_embedded_gaussian_r50_8x8x1_150e_kinetics400_rgb_20210308-e8dd9e82"
    )
    config.data.clip_len, config.data.frame_interval = 8, 8
    config.optim.lr = 0.15
    config.optim.warmup_steps = 1600


def _custom_classes(config):
    _r50_4x16(config)
    ava_config.use_custom_classes(config)


# ------------------------------------------------------------------- MMAction2 1.x
def _mmengine(like, init_from=""):
    """The recipe of 1.x for the network, clips and weights of a 0.x variant."""

    def change(config):
        recipe = ava_config.default()
        like(recipe)
        config.model, config.data = recipe.model, recipe.data
        config.init_from = init_from or recipe.init_from
        ava_config.use_mmengine(config)
        config.optim.lr = 0.2
        config.optim.lr_batch = config.train.batch = 128

    return change


_K400 = (
    "slowonly_imagenet-pretrained-r50_8xb16-4x16x1-steplr-150e_kinetics400-rgb_"
    "20220901-e7b65fad"
)
_K700 = (
    "slowonly_imagenet-pretrained-r50_16xb16-4x16x1-steplr-150e_kinetics700-rgb_"
    "20220901-f73b3e89"
)
_RECIPE = "20e_ava21-rgb"
VARIANTS = {
    DEFAULT: _r50_4x16,
    "slowonly_omnisource_pretrained_r50_4x16x1_20e_ava_rgb": _r50_4x16_omnisource,
    "slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb": _nonlocal_4x16,
    "slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb": _nonlocal_8x8,
    "slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb": _r101_8x8,
    "slowonly_omnisource_pretrained_r101_8x8x1_20e_ava_rgb": _r101_8x8_omnisource,
    f"{DEFAULT}_custom_classes": _custom_classes,
    f"slowonly_kinetics400-pretrained-r50_8xb16-4x16x1-{_RECIPE}": _mmengine(
        _r50_4x16, _K400
    ),
    f"slowonly_kinetics700-pretrained-r50_8xb16-4x16x1-{_RECIPE}": _mmengine(
        _r50_4x16, _K700
    ),
    f"slowonly_kinetics400-pretrained-r50-nl_8xb16-4x16x1-{_RECIPE}": _mmengine(
        _nonlocal_4x16
    ),
    f"slowonly_kinetics400-pretrained-r50-nl_8xb16-8x8x1-{_RECIPE}": _mmengine(
        _nonlocal_8x8
    ),
    f"slowonly_kinetics400-pretrained-r101_8xb16-8x8x1-{_RECIPE}": _mmengine(_r101_8x8),
}


def get_config(variant: str = DEFAULT):
    """The configuration of one MMAction2 config name."""
    return ava_config.from_variant(variant, VARIANTS)
