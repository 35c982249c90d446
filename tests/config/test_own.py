"""configs/own.py: data of one's own with the network of any detector."""

import pytest

from ava_jax import config as ava_config
from ava_jax import published
from ava_jax.errors import UserError
from ava_jax.models import build_detector
from ava_jax.models.backbones import BACKBONES
from ava_jax.train import dry_run
from configs import own, slowfast, slowonly

VARIANTS = {
    path.partition(":")[2]: path
    for file in ava_config.DETECTORS
    for path in ava_config.variants(f"configs/{file}.py")
    if not path.endswith(":vtest")
}
VIT = "vit-base-p16_videomae-k400-pre_8xb8-16x4x1-20e-adamw_ava-kinetics-rgb"
I3D = "i3d_kinetics_pretrained_ava_rgb"
PUBLISHED = [file for file in published.all_files() if file.config]


@pytest.mark.parametrize("name", [*VARIANTS, *(file.name for file in PUBLISHED)])
def test_every_detector_is_a_variant(name):
    config = ava_config.load(f"configs/own.py:{name}")
    ava_config.check(config)
    file = published.get(name)
    base = ava_config.load(file.config if file else VARIANTS[name])
    # The network and the clips of the recipe, with the classes of the label map.
    base.model.num_classes = 0
    assert config.model.to_dict() == base.model.to_dict()
    for field in ("clip_len", "frame_interval", "mean", "std", "test_short_side"):
        assert config.data[field] == base.data[field]
    assert config.data.class_ids == () and config.data.root == "data/own"
    # Its own weights, where they are published.
    assert config.init_from == (file.name if file else base.init_from)


def test_the_default_is_slowfast_4x16():
    config, named = own.get_config(), own.get_config(slowfast.DEFAULT)
    assert config.to_dict() == named.to_dict()
    assert config.name == "own" and config.init_from == slowfast.DEFAULT


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "no detector 'none'(.|\\n)*slowonly_kin(.|\\n)*SLOW_8x8_R50_SHORT"),
        ("vtest", "no detector 'vtest'"),
        (slowfast.get_config().init_from, "no detector 'slowfast_r50_4x16x1_256e"),
    ],
)
def test_what_is_no_detector(name, message):
    with pytest.raises(UserError, match=message):
        own.get_config(name)


@pytest.mark.parametrize("size", own.SIZES)
@pytest.mark.parametrize("name", VARIANTS)
def test_every_detector_has_every_size(name, size):
    config = own.get_config(f"{name}+{size}")
    assert config.name == f"own:{name}+{size}" and config.model.bn == "frozen"
    ava_config.check(config)
    config.model.num_classes = 4
    build_detector(config.model)
    # The same network and clips, whatever is trained of it.
    whole = own.get_config(name)
    assert config.data.to_dict() == whole.data.to_dict()
    assert config.init_from == whole.init_from
    stages = BACKBONES[config.model.backbone].stages
    expected = {"100": stages, "1000": stages - 1, "10000": 0}[size]
    assert config.model.frozen_stages == expected


def test_sizes_of_the_default_and_of_transformers():
    assert own.get_config("+100").init_from == slowfast.DEFAULT
    # Their layers have rates of their own already.
    assert own.get_config(f"{I3D}+1000").optim.lr_multipliers == (("backbone", 0.1),)
    assert own.get_config(f"{VIT}+1000").optim.lr_multipliers == ()


@pytest.mark.parametrize("variant", ["+500", f"{I3D}+", "+"])
def test_what_is_no_size(variant):
    with pytest.raises(UserError, match="no size.*nearest to yours: 100, 1000, 10000"):
        own.get_config(variant)


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("size", own.SIZES)
def test_a_dry_run_of_every_size(tiny_config, capsys, size):
    config = own.get_config(f"{slowonly.DEFAULT}+{size}")
    config.init_from = "scratch"
    config.data = tiny_config.data
    config.model.num_classes = 8
    config.model.depth, config.model.width = 10, 8
    config.model.class_weights, config.data.repeat_threshold = "sqrt_inverse", 0.5
    dry_run(config)
    out = capsys.readouterr().out
    assert f"own:{slowonly.DEFAULT}+{size}, clips of 4x64x64" in out
    for line in ("boxes by action", "class weights", "repeat factors"):
        assert f"\n{line} " in out
