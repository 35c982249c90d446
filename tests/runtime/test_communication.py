"""What crosses between devices in a training step, in the compiler's own words."""

import jax
import pytest

from ava_jax import config as ava_config
from ava_jax.models.detector import variable_shapes
from scripts.benchmarks import communication

TINY = """
from configs import mini

def get_config():
    config = mini.get_config()
    config.model.width = 8
    config.data.clip_len, config.data.crop, config.data.max_boxes = 4, 32, 4
    return config
"""


def exchanged(path):
    """Bytes of one gradient and of BatchNorm's statistics.

    Forward, mean and variance of every channel; backward, besides the gradients of
    scale and bias, which are parameters, the mean's: half as much again.
    """
    shapes = variable_shapes(ava_config.load(path).model)
    size = {
        name: sum(4 * leaf.size for leaf in jax.tree.leaves(tree))
        for name, tree in shapes.items()
    }
    return size["params"] + size["batch_stats"] * 3 // 2


def assert_one_gradient(path, devices, clips):
    traffic = communication.traffic(path, devices, clips)
    assert set(traffic) == {"all-reduce"}, traffic
    # Beyond that: loss, number of boxes, and twelve metrics.
    assert 0 <= traffic["all-reduce"] - exchanged(path) <= 4 * 20


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 8, 32])
def test_a_step_exchanges_one_gradient(tmp_path, devices):
    path = tmp_path / "tiny.py"
    path.write_text(TINY)
    assert_one_gradient(str(path), devices, clips=1)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [8, 256])
def test_so_does_the_published_slowfast(devices):
    assert_one_gradient("configs/slowfast.py", devices, clips=9)


def test_bytes_are_read_from_the_shapes():
    program = """
  %a = f32[8,64]{1,0} all-reduce(%x), channel_id=1
  %b = (bf16[3]{0}, s32[]) all-reduce-start(%y, %z), channel_id=2
  %c = pred[16]{0} all-gather(%p), dimensions={0}
  %d = f32[8]{0} add(%a, %a)
"""
    expected = {"all-reduce": 8 * 64 * 4 + 3 * 2 + 4, "all-gather": 16}
    assert communication.collective_bytes(program) == expected


@pytest.mark.parametrize(
    "devices, seconds",
    [
        # 900 MB: 7/4 of it through a 450 GB/s link.
        (8, 3.5e-3),
        # Then its eighth once around two machines, through 50 GB/s.
        (16, 3.5e-3 + 2.25e-3),
    ],
)
def test_projection(devices, seconds):
    assert communication.all_reduce_seconds(900e6, devices) == pytest.approx(seconds)
