"""configs/own.py: data of one's own with the network of any detector."""

import pytest

from ava_jax import config as ava_config
from ava_jax import published
from ava_jax.errors import UserError
from configs import own, slowfast

VARIANTS = {
    path.partition(":")[2]: path
    for file in ava_config.DETECTORS
    for path in ava_config.variants(f"configs/{file}.py")
    if not path.endswith(":vtest")
}
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
