"""The recipes of configs/ that a PyTorch checkpoint fits, by its name and shapes."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import ml_collections

from ava_jax import config as ava_config
from ava_jax import published
from ava_jax.checkpoints.pytorch import architecture, conventions
from ava_jax.checkpoints.pytorch.source_state import SourceState
from ava_jax.errors import UserError

Config = ml_collections.ConfigDict
# Recipes that differ in other fields score a clip alike.
_TRAINING_FIELDS = (
    "background_class",
    "bn",
    "class_weights",
    "drop_path",
    "dropout",
    "dtype",
    "focal_alpha",
    "focal_gamma",
    "frozen_stages",
    "head_init",
    "remat",
)
_CLIP_FIELDS = (
    "class_ids",
    "clip_len",
    "fps",
    "frame_interval",
    "mean",
    "std",
    "test_short_side",
)


@dataclasses.dataclass(frozen=True, eq=False)
class Recipe:
    """The recipe of a checkpoint.

    Attributes:
      name: 'configs/FILE.py:VARIANT'.
      config: the whole configuration.
      reason: a sentence that says how it was found.
    """

    name: str
    config: Config
    reason: str


def find_recipe(path: str | os.PathLike, source: SourceState) -> Recipe:
    """The recipe that a checkpoint file was trained with.

    The name of a published file decides. For other files it is the recipe that has
    their network; where several have it, they must score clips alike.

    Args:
      path: of the file.
      source: its tensors.

    Raises:
      UserError: no recipe fits, or several do, which the message lists; or the file
        is a published one that is not supported.
    """
    path = pathlib.Path(path)
    file = published.get(path.name) or published.get(path.stem)
    if file is not None:
        file.check_supported()
    recipes = fitting(source)
    if file is not None and file.config in recipes:
        reason = f"Its configuration is {file.config}, by its file name."
        return Recipe(file.config, recipes[file.config], reason)
    if not source.has_head and file is not None:
        recipes = _started_from(file.name, recipes) or recipes
    if not recipes or _count_alike(recipes) > 1:
        flags = _flags(recipes) or _with_other_classes(source)
        raise UserError(
            f"{path} holds {_description(source)}. {_advice(source, flags)}"
            f"{_how_they_differ(recipes)}"
        )
    name, *others = recipes
    reason = f"Its configuration is {name}, by the shapes of its tensors"
    if others:
        reason += f" (equal for scoring: {', '.join(others)})"
    return Recipe(name, recipes[name], f"{reason}.")


def fitting(source: SourceState) -> dict[str, Config]:
    """'configs/FILE.py:VARIANT' -> configuration, where the network is the source's."""
    return {
        name: config
        for name, config in _with_the_backbone(source).items()
        if not _other_head(source, config.model)
    }


def advice(source: SourceState) -> str:
    """Which configuration to give for a checkpoint, as flags of a command line."""
    return _advice(source, _flags(fitting(source)) or _with_other_classes(source))


def _advice(source: SourceState, flags: Iterable[str]) -> str:
    if not flags:
        return (
            "No configuration in configs/ has its network: write one in a file of your "
            "own, starting from the nearest in "
            f"{', '.join(source.family.configs)}."
        )
    what = "that it was trained with" if source.has_head else "of a detector to train"
    listed = "\n  ".join(flags)
    return (
        f"Give the configuration {what}. These have its network:\n  {listed}\n"
        "To train on data of your own: configs/own.py with the same name after the "
        "colon."
    )


def _flags(recipes: Iterable[str]) -> list[str]:
    return [f"--config {name}" for name in recipes]


def _with_the_backbone(source: SourceState) -> dict[str, Config]:
    found = architecture.read_architecture(source.shapes)
    recipes: dict[str, Config] = {}
    for file in source.family.configs:
        recipes |= ava_config.variants(file)
    return {
        name: config
        for name, config in recipes.items()
        # Those that only write a feature bank are another recipe's network.
        if not config.eval.write_features
        and not _other_backbone(found, config.model)
        and not conventions.differing(source, config.model)
    }


def _other_backbone(found: Mapping[str, Any], model: Config) -> bool:
    configured = architecture.configured_architecture(model)
    differing = architecture.differences(found, configured)
    return not differing.keys() <= set(architecture.HEAD_FIELDS)


def _other_head(source: SourceState, model: Config) -> dict[str, tuple[Any, Any]]:
    """Fields of the head that differ; none for a recogniser."""
    found = architecture.read_architecture(source.shapes)
    if not model.background_class and found.get("num_classes") == model.num_classes - 1:
        found["num_classes"] = model.num_classes
    configured = architecture.configured_architecture(model)
    return architecture.differences(found, configured)


def _with_other_classes(source: SourceState) -> list[str]:
    """Flags of the recipes that fit but for the number of their classes."""
    classes = architecture.read_architecture(source.shapes).get("num_classes")
    return [
        f"--config {name} --config.model.num_classes={classes}"
        for name, config in _with_the_backbone(source).items()
        if _other_head(source, config.model).keys() == {"num_classes"}
        and not config.data.class_ids
    ]


def _started_from(name: str, recipes: Mapping[str, Config]) -> dict[str, Config]:
    """The recipes whose training starts from a published recogniser."""
    return {key: config for key, config in recipes.items() if config.init_from == name}


def _count_alike(recipes: Mapping[str, Config]) -> int:
    """How many groups of recipes there are that score clips alike."""
    return len({repr(_scoring_fields(config)) for config in recipes.values()})


def _scoring_fields(config: Config) -> dict[str, Any]:
    """What decides the scores of a clip, apart from the weights."""
    model, data = config.model.to_dict(), config.data.to_dict()
    fields = {
        f"model.{k}": model[k] for k in sorted(model.keys() - {*_TRAINING_FIELDS})
    }
    return fields | {f"data.{k}": data[k] for k in _CLIP_FIELDS}


def _how_they_differ(recipes: Mapping[str, Config]) -> str:
    """A sentence on the fields by which recipes score clips differently; '' if none."""
    values: dict[str, dict[str, None]] = {}
    for config in recipes.values():
        for field, value in _scoring_fields(config).items():
            values.setdefault(field, {})[repr(value)] = None
    parts = [
        f"config.{field} is {' or '.join(found)}"
        for field, found in values.items()
        if len(found) > 1
    ]
    return f"\nThey score clips differently: {'; '.join(parts)}." if parts else ""


def _description(source: SourceState) -> str:
    """'SlowFast R50 with 81 classes' and the like."""
    fields = architecture.read_architecture(source.shapes)
    classes = fields.get("num_classes")
    head = f"{classes} classes" if classes else "no head that scores boxes"
    return f"{architecture.name(fields)} with {head}"
