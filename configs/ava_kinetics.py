"""MMAction2 1.x's SlowOnly detectors of AVA-Kinetics, by their names there.

    python -m ava_jax.main --config configs/ava_kinetics.py:VARIANT --workdir DIR

They train on AVA 2.2 and Kinetics' clips together (docs/data.md has the files).
Published mAP on AVA 2.2 at IoU 0.5 (MMAction2's model zoo):

    slowonly_k400-pre-r50_8xb8-4x16x1-10e_ava-kinetics-rgb              24.53
    slowonly_k700-pre-r50_8xb8-4x16x1-10e_ava-kinetics-rgb              25.87
    slowonly_k400-pre-r50_8xb8-8x8x1-10e_ava-kinetics-rgb               26.10
    slowonly_k700-pre-r50_8xb8-8x8x1-10e_ava-kinetics-rgb               27.82
    slowonly_k700-pre-r50-context_8xb8-8x8x1-10e_ava-kinetics-rgb       28.31
    slowonly_k700-pre-r50-context-temporal-max_8xb8-8x8x1-10e_
      ava-kinetics-rgb                                                  28.48
    slowonly_k700-pre-r50-context-temporal-max-nl-head_8xb8-8x8x1-10e_
      ava-kinetics-rgb                                                  29.83
    slowonly_k700-pre-r50-context-temporal-max-nl-head_8xb8-8x8x1-
      focal-10e_ava-kinetics-rgb                                        30.33
    slowonly_k700-pre-r50_8xb8-16x4x1-10e-tricks_ava-kinetics-rgb       31.29

"nl-head" is a nonlinear head, of two layers; the "tricks" are all those above it.
"""

from ava_jax import config as ava_config

DEFAULT = "slowonly_k400-pre-r50_8xb8-4x16x1-10e_ava-kinetics-rgb"
_K400_4X16 = (
    "slowonly_imagenet-pretrained-r50_8xb16-4x16x1-steplr-150e_kinetics400-rgb_"
    "20220901-e7b65fad"
)
_K400_8X8 = (
    "slowonly_imagenet-pretrained-r50_8xb16-8x8x1-steplr-150e_kinetics400-rgb_"
    "20220901-df42dc84"
)
# Also where the detectors of other clips start.
_K700_8X8 = (
    "slowonly_imagenet-pretrained-r50_16xb16-8x8x1-steplr-150e_kinetics700-rgb_"
    "20221013-15b93b10"
)


def _k400_4x16(config):
    ava_config.use_mmengine(config, cosine=True)
    ava_config.use_ava_kinetics(config)
    config.init_from = _K400_4X16
    config.model.backbone = "slowonly"
    config.data.clip_len, config.data.frame_interval = 4, 16
    config.optim.lr = 0.1
    config.optim.lr_batch = config.train.batch = 64


def _k700_4x16(config):
    _k400_4x16(config)
    config.init_from = _K700_8X8


def _k400_8x8(config):
    _k400_4x16(config)
    config.init_from = _K400_8X8
    config.data.clip_len, config.data.frame_interval = 8, 8


def _k700_8x8(config):
    _k400_8x8(config)
    config.init_from = _K700_8X8


def _context(config):
    _k700_8x8(config)
    config.model.context = True


def _temporal_max(config):
    _context(config)
    config.model.temporal_pool = "max"


def _mlp(config):
    _temporal_max(config)
    config.model.mlp_head = True


def _focal(config):
    _mlp(config)
    config.model.focal_gamma = 1.0


def _16x4(config):
    _focal(config)
    config.data.clip_len, config.data.frame_interval = 16, 4


_END = "10e_ava-kinetics-rgb"
_MAX = "slowonly_k700-pre-r50-context-temporal-max"
VARIANTS = {
    DEFAULT: _k400_4x16,
    f"slowonly_k700-pre-r50_8xb8-4x16x1-{_END}": _k700_4x16,
    f"slowonly_k400-pre-r50_8xb8-8x8x1-{_END}": _k400_8x8,
    f"slowonly_k700-pre-r50_8xb8-8x8x1-{_END}": _k700_8x8,
    f"slowonly_k700-pre-r50-context_8xb8-8x8x1-{_END}": _context,
    f"{_MAX}_8xb8-8x8x1-{_END}": _temporal_max,
    f"{_MAX}-nl-head_8xb8-8x8x1-{_END}": _mlp,
    f"{_MAX}-nl-head_8xb8-8x8x1-focal-{_END}": _focal,
    "slowonly_k700-pre-r50_8xb8-16x4x1-10e-tricks_ava-kinetics-rgb": _16x4,
}


def get_config(variant: str = DEFAULT):
    """The configuration of one MMAction2 config name."""
    return ava_config.from_variant(variant, VARIANTS)
