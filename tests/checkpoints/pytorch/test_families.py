"""Every family's names, in both directions."""

import checkpoint_data
import pytest
import reference_data

from ava_jax.checkpoints.pytorch import architecture, families
from ava_jax.errors import UserError

NETWORKS = sorted(set(checkpoint_data.PYSLOWFAST.values()))
NAMES = checkpoint_data.names()


def _keys(network):
    return [key for key, _ in NAMES["specs"][network]]


@pytest.mark.parametrize("network", NETWORKS)
def test_pyslowfast_names_go_back_and_forth(network):
    keys = _keys(network)
    renamed = families.PYSLOWFAST.to_mmaction2(keys)
    assert None not in renamed.values()
    assert len(set(renamed.values())) == len(keys)
    back = families.PYSLOWFAST.from_mmaction2(renamed.values())
    assert [back[renamed[key]] for key in keys] == keys


@pytest.mark.parametrize(
    ("table", "family", "network"),
    [
        *(("caffe2", families.CAFFE2, network) for network in NETWORKS),
        ("pytorchvideo", families.PYTORCHVIDEO, "SLOW_8x8_R50"),
        ("pytorchvideo", families.PYTORCHVIDEO, "SLOWFAST_32x2_R50"),
    ],
)
def test_other_names_of_pyslowfast_networks(table, family, network):
    table = {ours: theirs for ours, theirs in NAMES[table][network].items() if theirs}
    expected = families.PYSLOWFAST.to_mmaction2(table)
    renamed = family.to_mmaction2(table.values())
    assert {key: renamed[name] for key, name in table.items()} == expected
    back = family.from_mmaction2(renamed.values())
    assert {name: back[renamed[name]] for name in renamed} == {n: n for n in renamed}


@pytest.mark.parametrize(
    ("key", "family"),
    [
        ("backbone.conv1.conv.weight", "MMAction2"),
        ("backbone.slow_path.conv1.conv.weight", "MMAction2"),
        ("conv1.conv.weight", "MMAction2"),
        ("s1.pathway0_stem.conv.weight", "PySlowFast"),
        ("conv1_w", "PySlowFast (Caffe2)"),
        ("model.blocks.0.multipathway_blocks.0.conv.weight", "PyTorchVideo"),
        ("blocks.0.conv.weight", "PyTorchVideo"),
        ("conv1.weight", "a 2D ResNet"),
        ("backbone.conv1.weight", "a 2D ResNet"),
    ],
)
def test_family_is_found_by_the_stem(key, family):
    assert families.find_family(["other", key]).name == family


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="cls_token.*Known: MMAction2"):
        families.find_family(["cls_token"])


@pytest.mark.parametrize("name", reference_data.CONFIGS)
def test_architecture_of_mmaction2_detectors(name):
    state = reference_data.spec(reference_data.SAME_SHAPES.get(name, name))
    found = architecture.read_architecture({k: tuple(s) for k, s, _ in state})
    config = reference_data.config(name).model
    fields = set(found) - {"temporal_blocks"}
    assert {f: found[f] for f in fields} == {f: config[f] for f in fields}
    assert fields >= {"backbone", "depth", "width", "num_classes", "context"}


def test_architecture_sees_what_pyslowfast_adds():
    shapes = dict(NAMES["specs"]["SLOWFAST_32x2_R101_50_50"])
    renamed = families.PYSLOWFAST.to_mmaction2(shapes)
    found = architecture.read_architecture({renamed[k]: s for k, s in shapes.items()})
    assert found["depth"] == 101
    assert found["lateral_norm"]
    assert found["lateral_kernel"] == 5
    assert found["nonlocal_blocks"] == ((), (), (6, 13, 20), ())
    assert found["temporal_blocks"] == (0, 0, 6, 3)
