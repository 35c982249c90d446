r"""Small data sets that show the whole job in minutes on two CPU cores.

The built-in miniature, which is rendered into the working directory:

    python -m ava_jax.main --config configs/mini.py --workdir runs/mini

A real street, made from OpenCV's sample video:

    python -m ava_jax.main --config configs/mini.py:vtest \
        --config.data.video=vtest.avi --workdir runs/vtest

The variant 'vit' is VideoMAE's transformer, with 0.2 M parameters, on the miniature:
it shows that all parts work, but without pretraining such a network learns little from
so few clips.
"""

import ml_collections

from ava_jax import config as ava_config


def _small_slowfast(config):
    config.model.depth = 10
    config.model.width = 32
    config.model.slow_stride = 4
    config.model.fast_ratio = 4
    config.model.dropout = 0.0
    config.data.clip_len, config.data.frame_interval = 8, 2
    # At 10 frames a second a shift by one frame is as large as the motion.
    config.data.frame_jitter = False
    config.data.train_short_side = (96, 112)
    config.data.crop = 96
    config.data.min_visible = 0.5
    config.data.test_short_side = 96
    config.data.max_boxes = 12
    config.optim.lr = 0.3
    config.optim.lr_batch = config.train.batch = 8
    config.optim.schedule = "cosine"
    config.optim.warmup_epochs = 0.5
    config.train.epochs = 8
    config.eval.every_epochs = 4
    config.eval.batch = 8


def _mini(config):
    _small_slowfast(config)
    ava_config.use_sample_files(config, "mini")
    config.data.mini = ml_collections.ConfigDict(
        {
            "seed": 0,
            "train_movies": 36,
            "val_movies": 8,
            "seconds": 20,
            "height": 144,
            "width": 192,
        }
    )
    config.data.fps = 10
    config.data.timestamp_start = 100
    config.data.class_ids = (7, 8, 11, 12, 14, 17, 69)
    config.model.num_classes = 8


def _vit(config):
    _mini(config)
    config.model.backbone, config.model.vit_size = "vit", "mini"
    config.model.drop_path = 0.1
    config.data.clip_len, config.data.frame_interval = 16, 1
    config.optim.optimizer = "adamw"
    config.optim.lr = 1e-3
    config.optim.weight_decay = 0.05
    config.optim.schedule = "cosine_after_warmup"
    config.optim.warmup = "mmengine"


def _vtest(config):
    _small_slowfast(config)
    ava_config.use_vtest(config)
    # People are 30 to 150 pixels high in frames of 576.
    config.data.train_short_side = (256, 288)
    config.data.crop = 192
    config.data.test_short_side = 256
    config.optim.lr = 0.1
    config.train.epochs = 20
    config.eval.every_epochs = 10


VARIANTS = {"mini": _mini, "vit": _vit, "vtest": _vtest}


def get_config(variant: str = "mini"):
    """The configuration of one small data set."""
    return ava_config.from_variant(variant, VARIANTS)
