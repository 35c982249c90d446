import pytest

from ava_jax import config
from ava_jax.prepare.sources import dataset_name
from configs import mini, own


def custom(root):
    found = own.get_config()
    found.data.root = root
    return found


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (mini.get_config, "the built-in miniature"),
        (lambda: mini.get_config("vtest"), "OpenCV's vtest.avi"),
        (config.default, "AVA v2.1"),
        (
            lambda: config.load("configs/pyslowfast.py:SLOWFAST_64x2_R101_50_50"),
            "AVA v2.2",
        ),
        (lambda: custom("data/shop/"), "shop"),
    ],
)
def test_names_of_data_sets(make, name):
    assert dataset_name(make().data) == name
