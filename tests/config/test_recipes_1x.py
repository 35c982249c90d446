"""The recipes of MMAction2 1.x by its names, against its own settings."""

import json
import pathlib

import pytest

from ava_jax import config as ava_config
from ava_jax import published
from ava_jax.errors import UserError

REFERENCE = pathlib.Path(__file__).parents[1] / "data/reference/mmaction2_1x"
SUMMARY = json.loads((REFERENCE / "specs/summary.json").read_text())
RECIPES = {
    path.partition(":")[2]: config
    for file in ava_config.DETECTORS
    for path, config in ava_config.variants(f"configs/{file}.py").items()
}
SAME = json.loads((REFERENCE / "goldens/same_as_0_24_1.json").read_text())["rows"]
# Two only write a feature bank.
NAMES = [name for name, stored in SUMMARY.items() if stored["max_epochs"]]


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_mmaction2s(name):
    config, stored = RECIPES[name], SUMMARY[name]
    ava_config.check(config)
    assert config.name == name
    optim, clip = (stored["optim_wrapper"][key] for key in ("optimizer", "clip_grad"))
    batch = 8 * stored["batch_size_per_gpu"]
    found = {
        "lr": config.optim.lr,
        "weight_decay": config.optim.weight_decay,
        "max_norm": config.optim.clip_norm,
        "epochs": config.train.epochs,
        "batches": (config.train.batch, config.optim.lr_batch),
        "clip": (config.data.clip_len, config.data.frame_interval),
        "pretrained": published.find(config.init_from).url,
    }
    assert found == {
        "lr": optim["lr"],
        "weight_decay": optim["weight_decay"],
        "max_norm": clip["max_norm"],
        "epochs": stored["max_epochs"],
        "batches": (batch, batch),
        "clip": (stored["clip_len"], stored["frame_interval"]),
        "pretrained": stored["pretrained"],
    }


@pytest.mark.parametrize("name", NAMES)
def test_heads_are_mmaction2s(name):
    model, stored = RECIPES[name].model, SUMMARY[name]
    head, roi = stored["bbox_head"], stored["roi_extractor"]
    assert model.context == roi.get("with_global", False)
    assert model.temporal_pool == roi.get("temporal_pool_mode", "avg")
    assert model.mlp_head == head.get("mlp_head", False)
    assert model.focal_alpha == head.get("focal_alpha", 1.0)
    assert model.focal_gamma == head.get("focal_gamma", 0.0)
    assert model.dropout == head["dropout_ratio"]
    assert model.multilabel == head["multilabel"]
    assert model.background_class == head["background_class"]
    assert model.num_classes == head["num_classes"] + (not head["background_class"])
    assert bool(model.shared_head) == bool(stored["shared_head"])


@pytest.mark.parametrize("name", SAME)
def test_networks_that_are_those_of_0x(name):
    found = RECIPES[name].model.to_dict()
    expected = RECIPES[SAME[name]["config_0_24_1"]].model.to_dict()
    for field in ("head_init", "focal_alpha", "focal_gamma"):
        del found[field], expected[field]
    assert found == expected


@pytest.mark.parametrize(
    ("path", "near"),
    [
        (
            "configs/slowonly.py:slowfast-acrn_kinetics400-pretrained-r50",
            "acrn.py:slow",
        ),
        ("configs/acrn.py:vit-base-p16_videomae-k400-pre_8xb8", "videomae.py:vit-base"),
        ("configs/own.py:slowonly_k700-pre-r50-context_8xb8", "ava_kinetics.py:slowo"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_of_all_files(path, near):
    with pytest.raises(UserError, match=f"nearest in all files are .*configs/{near}"):
        ava_config.load(path)
