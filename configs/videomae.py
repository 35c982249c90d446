r"""MMAction2 1.x's VideoMAE detectors on AVA 2.2, by their names there.

    python -m ava_jax.main --config configs/videomae.py:VARIANT --workdir DIR

They train on AVA 2.2 and Kinetics' clips together (docs/data.md has the files).
Published mAP on AVA 2.2 at IoU 0.5 (MMAction2's model zoo):

    vit-base-p16_videomae-k400-pre_8xb8-16x4x1-20e-adamw_ava-kinetics-rgb    33.6
    vit-large-p16_videomae-k400-pre_8xb8-16x4x1-20e-adamw_ava-kinetics-rgb   38.7

Detectors of VideoMAE's authors (VideoMAE-Action-Detection, by its scripts' names), of
Kinetics weights and AVA 2.2, mAP as published there:

    videomae_vit_small_k400_pretrain+finetune    28.4
    videomae_vit_base_k400_pretrain+finetune     31.8
    videomae_vit_large_k400_pretrain+finetune    37.0
    videomae_vit_huge_k400_pretrain+finetune     39.5

They score what the original scores: larger boxes, pictures filled up to whole patches,
RoIAlign with 7 bins without the half cell's shift. Their training here is MMAction2's
with their rates, crops and epochs: it has no colour jitter and does not shift boxes at
random. The Kinetics files are on Google Drive: download one and give it with
`--config.init_from=FILE`; files of Hugging Face (`.safetensors`) serve, too.

configs/mini.py:vit is a small network for the miniature.
"""

from ava_jax import config as ava_config

DEFAULT = "vit-base-p16_videomae-k400-pre_8xb8-16x4x1-20e-adamw_ava-kinetics-rgb"
LARGE = DEFAULT.replace("base", "large")


def _base(config):
    ava_config.use_ava_kinetics(config)
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


def _detection(size):
    """VideoMAE-Action-Detection's detector of one size."""
    vit_size, layer_decay, epochs, init_from = size

    def change(config):
        _base(config)
        config.data = ava_config.default().data
        ava_config.use_ava22(config)
        config.data.clip_len, config.data.frame_interval = 16, 4
        config.init_from = init_from
        config.model.vit_size = vit_size
        config.model.roi_resolution = 7
        config.model.roi_aligned = False
        config.model.roi_extension = (0.1, 0.05)
        config.model.vit_pad = True
        config.model.dropout = 0.0
        config.data.mean = (122.7717, 115.9465, 102.9801)
        config.data.std = (57.375, 57.375, 57.375)
        config.data.crop = 224
        config.data.person_score = 0.8
        config.optim.layer_decay = layer_decay
        config.train.epochs = epochs
        config.eval.action_threshold = 0.0
        config.eval.protocol = "pyslowfast"

    return change


_DRIVE = "https://drive.google.com/file/d/"
VARIANTS = {
    DEFAULT: _base,
    LARGE: _large,
    **{
        f"videomae_vit_{size[0]}_k400_pretrain+finetune": _detection(size)
        for size in (
            # Size, layer decay, epochs, Kinetics weights.
            ("small", 0.6, 30, f"{_DRIVE}1ygjLRm1kvs9mwGsP3lLxUExhRo6TWnrx"),
            ("base", 0.75, 30, f"{_DRIVE}1MzwteHH-1yuMnFb8vRBQDvngV1Zl-d3z"),
            ("large", 0.8, 20, f"{_DRIVE}1jX1CiqxSkCfc94y8FRW1YGHy-GNvHCuD"),
            ("huge", 0.8, 20, f"{_DRIVE}104ouJZxSVPSAm0LwJXd6IzjdA_RGLqZi"),
        )
    },
}


def get_config(variant: str = DEFAULT):
    """The configuration of one MMAction2 config name."""
    return ava_config.from_variant(variant, VARIANTS)
