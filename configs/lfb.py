"""MMAction2 1.x's detectors with long-term feature banks, by their names there.

    python -m ava_jax.main --config configs/lfb.py:slowonly-lfb-infer_r50_ava21-rgb \
        --mode eval --workdir runs/lfb-infer
    python -m ava_jax.main --config configs/lfb.py:VARIANT --workdir runs/lfb

The first command writes the bank, features of a trained SlowOnly R50 4x16, to
data/ava/feature_bank; the second trains with it. Published mAP at IoU 0.5 (MMAction2's
model zoo):

    slowonly-lfb-nl_kinetics400-pretrained-r50_8xb12-4x16x1-20e_ava21-rgb    24.11
    slowonly-lfb-max_kinetics400-pretrained-r50_8xb12-4x16x1-20e_ava21-rgb   22.15
    lfb_nl_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb               24.11
    lfb_max_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb              22.15
    lfb_avg_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb              20.17

A bank of MMAction2's own (lfb_train.pkl, lfb_val.pkl) is read, too:

    ava-jax prepare bank --train lfb_train.pkl --val lfb_val.pkl \
        --config configs/lfb.py
"""

from ava_jax import config as ava_config

DEFAULT = "slowonly-lfb-nl_kinetics400-pretrained-r50_8xb12-4x16x1-20e_ava21-rgb"
BANK = "data/ava/feature_bank"


def _slowonly(config):
    ava_config.use_mmengine(config)
    config.init_from = (
        "slowonly_imagenet-pretrained-r50_8xb16-4x16x1-steplr-150e_kinetics400-rgb_"
        "20220901-e7b65fad"
    )
    config.model.backbone = "slowonly"
    config.data.clip_len, config.data.frame_interval = 4, 16


def _non_local(config):
    _slowonly(config)
    config.model.shared_head = "fbo_non_local"
    config.data.feature_bank = BANK
    config.optim.lr = 0.15
    config.optim.lr_batch = config.train.batch = 96
    config.optim.warmup = "mmengine"
    config.optim.clip_norm = 20.0
    config.data.val_person_score = 0.85
    config.eval.action_threshold = 0.0


def _max(config):
    _non_local(config)
    config.model.shared_head = "fbo_max"


def _infer(config):
    """The detector whose features MMAction2's bank has."""
    _slowonly(config)
    config.init_from = "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
    config.eval.write_features = BANK


def _v0(operator):
    """The recipe of MMAction2 0.x."""

    def change(config):
        config.init_from = "slowonly_r50_4x16x1_256e_kinetics400_rgb_20200704-a69556c6"
        config.model.backbone = "slowonly"
        config.model.shared_head = operator
        config.data.clip_len, config.data.frame_interval = 4, 16
        config.data.feature_bank = BANK
        config.optim.lr = 0.15
        config.optim.lr_batch = config.train.batch = 96
        config.eval.action_threshold = 0.0

    return change


_V0 = "kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb"
VARIANTS = {
    f"lfb_nl_{_V0}": _v0("fbo_non_local"),
    f"lfb_max_{_V0}": _v0("fbo_max"),
    f"lfb_avg_{_V0}": _v0("fbo_avg"),
    DEFAULT: _non_local,
    DEFAULT.replace("-nl_", "-max_"): _max,
    "slowonly-lfb-infer_r50_ava21-rgb": _infer,
    "slowonly-lfb_ava-pretrained-r50_infer-4x16x1_ava21-rgb": _infer,
}


def get_config(variant: str = DEFAULT):
    """The configuration of one MMAction2 config name."""
    return ava_config.from_variant(variant, VARIANTS)
