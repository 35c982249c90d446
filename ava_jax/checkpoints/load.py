"""Loads trained detectors for prediction."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
import numpy as np
from absl import logging
from jax.sharding import Mesh

from ava_jax import config as ava_config
from ava_jax import files, published
from ava_jax.annotations import labels_file
from ava_jax.annotations.label_map import read_labels
from ava_jax.checkpoints import by_name, store
from ava_jax.checkpoints.pytorch import (
    background_class,
    convert_file,
    converter,
    matching_recipes,
    source_state,
)
from ava_jax.errors import UserError
from ava_jax.models import detector
from ava_jax.runtime import multihost, sharding

Config = ml_collections.ConfigDict
Labels = str | os.PathLike | Mapping[int, str]
Names = dict[int, str]


def read_detector(
    path: str | os.PathLike,
    config: str | Config | None = None,
    labels: Labels | None = None,
    *,
    dtype: str | None = None,
) -> tuple[Config, dict[str, Any], Names]:
    """Configuration, variables and action names of a detector.

    Args:
      path: working directory of a training, directory that
        `ava-jax convert` wrote, a PyTorch file, or the name of a
        published detector, which is fetched and converted at its first use.
      config: for a PyTorch file: its configuration, as 'FILE.py:VARIANT' or itself.
        By default the recipe of its name or tensors: `matching_recipes`.
      labels: a label map, or action id -> name. By default those that the directory
        holds; AVA's for a PyTorch file.
      dtype: 'float32' or 'bfloat16', of the computation; the configuration's by
        default.

    Returns:
      The whole configuration; NumPy arrays; action id -> name of classes 1, 2, ...,
      in this order.

    Raises:
      UserError: there is no checkpoint, it has no head that scores boxes, or labels
        or configuration are of another model.
    """
    if file := by_name.published_detector(path):
        path = by_name.converted(file) if config is None else published.fetch(file)
    path = pathlib.Path(path)
    if path.is_dir():
        if config is not None:
            raise UserError(
                f"{path} holds its own configuration, so config must not be given; it "
                "is for PyTorch files."
            )
        config, variables, names = _read_directory(path)
    elif path.is_file():
        config, variables, names = _read_file(path, config)
    else:
        raise UserError(by_name.missing(path))
    if labels is not None or names is None:
        ids, classes = config.data.class_ids, config.model.num_classes
        names, note = convert_file.action_names(path, ids, classes, labels)
        if note:
            logging.warning("%s: %s", path, note)
    if dtype is not None:
        config = config.copy_and_resolve_references()  # it may be the caller's
        config.model.dtype = dtype
    return config, variables, {int(i): name for i, name in names.items()}


def trained_on(path: str | os.PathLike) -> str:
    """Data set and domain of a detector, such as 'AVA v2.1 (films)'; '' if unknown.

    Args:
      path: as `read_detector` takes it.
    """
    if file := by_name.published_detector(path):
        return labels_file.describe(file.dataset)
    recorded = pathlib.Path(path, "labels.json")
    if not recorded.is_file():
        return ""
    return labels_file.describe(labels_file.read_dataset(recorded))


def _read_directory(path):
    """(configuration, variables, names or None) of a directory with a checkpoint."""
    source = path / "source.json"
    if source.is_file() and files.read_json(source)["initialised"]:
        _refuse_untrained_head(path)
    config, variables = convert_file.read_variables(path)
    if not all(np.isfinite(value).all() for value in jax.tree.leaves(variables)):
        raise UserError(
            f"{path}: the weights of its newest checkpoint hold NaN or infinity. Take "
            "an earlier checkpoint, or convert the file from its source again."
        )
    recorded = path / "labels.json"
    if not recorded.is_file():
        return config, variables, None
    names = read_labels(recorded)
    if len(names) != config.model.num_classes - 1:
        raise UserError(
            f"{recorded} names {len(names)} actions, but the model scores "
            f"{config.model.num_classes - 1}. Give labels, or write the file again."
        )
    return config, variables, names


def _read_file(path, config):
    """(configuration, variables, None) of a PyTorch file."""
    tensors = background_class.read_tensors(path)
    if config is None:
        source = source_state.rename(tensors)
        if not source.has_head:
            _refuse_untrained_head(path)
        recipe = matching_recipes.find_recipe(path, source)
        logging.warning("%s: %s", path, recipe.reason)
        config = recipe.config
    if isinstance(config, str):
        config = ava_config.load(config)
    variables, report = converter.convert_state_dict(tensors, config.model)
    if report.initialised:
        _refuse_untrained_head(path)
    return config, variables, None


def _refuse_untrained_head(path):
    raise UserError(
        f"{path} has no trained head that scores boxes: it comes from a recogniser, "
        "or from a model of other classes. Train one on it first: python -m "
        f"ava_jax.main --config ... --config.init_from={path}"
    )


def load_to_evaluate(
    init_from: str,
    checkpoint: str,
    model: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    mesh: Mesh,
) -> tuple[dict[str, Any], str]:
    """The weights that an evaluation takes, on all devices, and what they are.

    Args:
      init_from: `config.init_from`, if nothing was trained in `workdir`.
      checkpoint: `config.checkpoint`, of the working directory.
      model: `config.model`.
      workdir: of the run.
      mesh: the devices.

    Raises:
      UserError: there are none, or they are of another network.
    """
    with multihost.main_process_first("weights"):
        weights = by_name.weights_to_evaluate(init_from, workdir)
    everywhere = sharding.replicated(mesh)
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere),
        detector.variable_shapes(model),
    )
    variables = store.load_variables(weights, model, like, checkpoint)
    if weights == workdir:
        return variables, f"step {store.checkpoint_step(weights, checkpoint)}"
    return variables, by_name.describe(init_from)
