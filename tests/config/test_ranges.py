"""Values that a configuration refuses, and the documentation of its fields."""

import math
import pathlib
import runpy

import pytest

from ava_jax import config as ava_config
from ava_jax.config import other_names, page
from ava_jax.config.ranges import RANGES
from ava_jax.errors import UserError
from ava_jax.metrics.protocols import PROTOCOLS
from ava_jax.models import resnet3d, vit
from ava_jax.models.backbones import BACKBONES

ROOT = pathlib.Path(__file__).parents[2]
RECIPES = sorted((ROOT / "configs").glob("*.py"))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("seed", -1, "a whole number, 0 or more"),
        ("profile", "abc", "first and last step such as '10-15'"),
        ("profile", "15-10", "first and last step such as '10-15'"),
        ("profile", "0-3", "first and last step such as '10-15'"),
        ("model.depth", 51, "34, 50, 101 or 152"),
        ("model.num_classes", 1, "2 or more"),
        ("model.lateral_kernel", 4, "an odd number"),
        ("model.temporal_blocks", (1, 2), "four numbers of blocks"),
        ("model.nonlocal_blocks", ((), ()), "one for each of res2 to res5"),
        ("model.dropout", 1.0, "0 or more, and below 1"),
        ("model.dtype", "float16", "'float32' or 'bfloat16'"),
        ("model.vit_size", "giant", "'large' or 'huge'"),
        ("model.drop_path", 1.0, "0 or more, and below 1"),
        ("model.remat", (1,), "numbers from 2 to 5"),
        ("data.source", "folders", "'folder', 'mini' or 'vtest'"),
        ("data.frame_store", "zip", "'folder', 'packed' or 'video'"),
        ("data.on_bad_frame", "skip", "'error' or 'nearest'"),
        ("data.no_proposals", "ignore", "'error', 'skip' or 'full_frame'"),
        ("data.fps", 0, "a number above 0"),
        ("data.flip", math.nan, "a number from 0 to 1"),
        ("data.class_ids", (1, 1), "different action ids"),
        ("data.clips_per_second", -1, "0 or more"),
        ("data.train_short_side", (320, 256), "the smaller one first"),
        ("data.crop_scales", (1.0, 0.0), "above 0 and at most 1"),
        ("data.crop_scales", (True,), "above 0 and at most 1"),
        ("data.flip", 1.5, "a number from 0 to 1"),
        ("data.std", (1.0, 0.0, 1.0), "three numbers above 0"),
        ("data.positive_iou", 0.0, "above 0, up to 1"),
        ("optim.lr", -1.0, "a number above 0"),
        ("optim.lr", math.inf, "a number above 0"),
        ("optim.optimizer", "adam", "'sgd' or 'adamw'"),
        ("optim.layer_decay", 0.0, "above 0, up to 1"),
        ("optim.schedule", "linear", "'step', 'cosine' or 'cosine_after_warmup'"),
        ("optim.warmup", "linear", "'mmcv', 'mmengine' or 'mmengine_epochs'"),
        ("optim.decay_epochs", (15, 10), "increasing numbers"),
        ("train.batch", 0, "1 or more"),
        ("train.ema", 1.0, "0 or more, and below 1"),
        ("train.epochs", -1, "a number above 0"),
        ("train.epochs", 0, "a number above 0"),
        ("train.log_every", 0, "1 or more"),
        ("train.keep", 0, "1 or more"),
        ("eval.stride_seconds", -2, "0 or more"),
        ("eval.protocol", "coco", "'mmaction2'"),
    ],
)
def test_values_that_are_refused(field, value, expected):
    config = ava_config.default()
    config.update_from_flattened_dict({field: value})
    with pytest.raises(UserError) as error:
        ava_config.check(config)
    heading, found = str(error.value).split("\n")
    assert heading == "The configuration cannot be used:"
    assert found.startswith(f"  config.{field} is {value!r}; expected: ")
    assert expected in found


def test_all_wrong_values_are_listed():
    config = ava_config.default()
    config.optim.lr, config.train.batch = 0.0, -3
    with pytest.raises(UserError, match=r"optim\.lr is 0\.0(.|\n)*train\.batch is -3"):
        ava_config.check(config)


def test_a_section_alone():
    config = ava_config.default()
    config.optim.lr = config.data.flip = -1.0
    with pytest.raises(UserError, match=r"config\.optim\.lr is -1\.0") as error:
        ava_config.check(config.optim, "optim")
    assert "flip" not in str(error.value)


def test_fields_of_your_own_are_left_alone():
    config = ava_config.default()
    config.mine = "anything"
    ava_config.check(config)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_field_of_every_recipe_is_in_the_table(path):
    recipe = runpy.run_path(str(path))
    variants = [(name,) for name in recipe.get("VARIANTS", ())] or [()]
    for variant in variants:
        config = recipe["get_config"](*variant)
        ava_config.check(config)
        assert {name for name, _ in ava_config.flat(config.to_dict())} <= set(RANGES)


@pytest.mark.parametrize(
    ("field", "table"),
    [
        ("model.backbone", BACKBONES),
        ("model.depth", resnet3d.DEPTHS),
        ("model.vit_size", vit.SIZES),
        ("eval.protocol", PROTOCOLS),
    ],
)
def test_choices_are_those_of_the_program(field, table):
    names = [repr(name) for name in table]
    listed = RANGES[field].expected.replace(" or ", ", ").split(", ")
    assert sorted(listed) == sorted(names)
    assert all(RANGES[field].holds(name) for name in table)
    assert not RANGES[field].holds("")


def test_every_field_has_a_meaning():
    listed = {field.name: field for _, _, found in page.sections() for field in found}
    fields = {name for name, _ in ava_config.flat(ava_config.default().to_dict())}
    # The two splits have the same fields.
    assert set(listed) == {name for name in fields if not name.startswith("data.val.")}
    assert [name for name, field in listed.items() if not field.meaning] == []


def test_the_page_of_the_documentation_is_this_list():
    """Made by: python -m ava_jax.config.page > docs/configuration.md."""
    written = (ROOT / "docs/configuration.md").read_text()
    assert written == page.as_markdown()


def test_names_of_other_projects_lead_to_fields_or_advice():
    fields = {name for name, _ in ava_config.flat(ava_config.default().to_dict())}
    for advice in other_names.OTHER_NAMES.values():
        assert advice in fields or " " in advice
