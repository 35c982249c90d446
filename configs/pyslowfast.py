r"""PySlowFast's detectors on AVA, by the names of their configuration files.

    python -m ava_jax.main --config configs/pyslowfast.py:SLOWFAST_32x2_R101_50_50 \
        --mode eval --config.init_from=SLOWFAST_32x2_R101_50_50 --workdir DIR

The networks compute what PySlowFast's do: RoIAlign with 7 bins (without the half
cell's shift unless the name ends in SHORT), dilated res5, normalised laterals, slow
frames evenly from the first to the last, dot-product non-local blocks. Despite its
name, SLOW_8x8_R50 takes 4 frames, 16 apart. The last variant is the R101 of 32x2
for AVA 2.1.

Optimiser and schedule are those of the SHORT configurations; PySlowFast, unlike
this project, also learns from proposals without labels.
"""

from ava_jax import config as ava_config

DEFAULT = "SLOWFAST_32x2_R50_SHORT"


def _conventions(config):
    ava_config.use_ava22(config)
    config.model.res5_dilation = 2
    config.model.roi_resolution = 7
    config.model.roi_aligned = False
    config.data.mean = (114.75,) * 3  # 0.45 and 0.225 of 255
    config.data.std = (57.375,) * 3
    config.data.crop = 224
    config.optim.lr = 0.1
    config.optim.lr_batch = config.train.batch = 64
    config.optim.weight_decay = 1e-7
    config.optim.warmup_ratio = 0.00125
    config.eval.action_threshold = 0.0


def _slow(config):
    _conventions(config)
    config.init_from = "pretrain/C2D_8x8_R50"
    config.model.backbone = "slowonly"
    config.data.clip_len, config.data.frame_interval = 4, 16


def _slow_short(config):
    _slow(config)
    config.model.roi_aligned = True


def _slowfast_r50(config):
    _conventions(config)
    # PySlowFast's configuration leaves the file open; this is the same network.
    config.init_from = "kinetics400/SLOWFAST_8x8_R50"
    config.model.slow_stride = 4
    config.model.slow_sampling = "linspace"
    config.model.lateral_kernel = 7
    config.model.lateral_norm = True
    config.data.person_score = 0.8


def _slowfast_r50_short(config):
    _slowfast_r50(config)
    config.model.roi_aligned = True
    config.data.test_short_side = 224


def _slowfast_r101(config):
    _slowfast_r50(config)
    config.init_from = "pretrain/SLOWFAST_32x2_R101_50_50"
    config.model.depth = 101
    config.model.lateral_kernel = 5
    # The "50" of the name: in res4, only as many blocks as R50 has look at
    # neighbouring frames.
    config.model.temporal_blocks = (3, 4, 6, 3)
    config.model.nonlocal_blocks = ((), (), (6, 13, 20), ())
    config.model.nonlocal_mode = "dot_product"
    config.model.nonlocal_pool = (2, 2, 2)
    config.train.batch = 16


def _slowfast_r101_64x2(config):
    _slowfast_r101(config)
    config.init_from = "pretrain/SLOWFAST_64x2_R101_50_50"
    config.data.clip_len = 64


def _slowfast_r101_v21(config):
    _slowfast_r101(config)
    config.init_from = "pretrain/SLOWFAST_32x2_R101_50_50_v2.1"
    data = ava_config.default().data
    for name in ("labels", "train", "val"):
        config.data[name] = data[name]


VARIANTS = {
    "SLOW_8x8_R50": _slow,
    "SLOW_8x8_R50_SHORT": _slow_short,
    "SLOWFAST_32x2_R50": _slowfast_r50,
    DEFAULT: _slowfast_r50_short,
    "SLOWFAST_32x2_R101_50_50": _slowfast_r101,
    "SLOWFAST_64x2_R101_50_50": _slowfast_r101_64x2,
    "SLOWFAST_32x2_R101_50_50_v2.1": _slowfast_r101_v21,
}


def get_config(variant: str = DEFAULT):
    """The configuration of one of PySlowFast's file names."""
    return ava_config.from_variant(variant, VARIANTS)
