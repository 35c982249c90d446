"""Converts a PyTorch file into a checkpoint directory.

config.json             the configuration
labels.json             actions and data set (`annotations.labels_file`)
source.json             the file it came from, and what became of its tensors
checkpoints/0/variables parameters and statistics
"""

import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Mapping, Sequence

import jax
import ml_collections
import numpy as np

from ava_jax import files, published, workdir
from ava_jax.annotations import labels_file
from ava_jax.annotations.label_map import (
    assumed_names,
    class_names,
    multisports_actions,
    read_labels,
)
from ava_jax.checkpoints import store
from ava_jax.checkpoints.pytorch import matching_recipes, reader, source_state
from ava_jax.checkpoints.pytorch.background_class import (
    for_model,
    read_tensors,
    with_background_class,
)
from ava_jax.checkpoints.pytorch.converter import (
    Report,
    Variables,
    convert_state_dict,
    to_state_dict,
)
from ava_jax.errors import UserError
from ava_jax.models import detector
from ava_jax.workdir import is_trained


def convert_file(
    path: str | os.PathLike,
    out: str | os.PathLike,
    config: ml_collections.ConfigDict | None = None,
    *,
    strict: bool = True,
    labels: str | os.PathLike | Mapping[int, str] | None = None,
    background_class: bool | None = None,
) -> Report:
    """Converts a checkpoint file into a directory that training and prediction read.

    Args:
      path: of a checkpoint of MMAction2, PySlowFast, PyTorchVideo, or a 2D ResNet.
      out: directory, which must not hold a checkpoint yet.
      config: the whole configuration of the detector; None: the recipe of the file's
        name or tensors, which a note names (`matching_recipes`).
      strict: see `convert_state_dict`.
      labels: a label map, or action id -> name; None: MultiSports' names for a
        published file of it, else AVA's, with a note unless it is published, too.
      background_class: whether a head of MMAction2 has an output for class 0; see
        `background_class.read_tensors`.

    Raises:
      UserError: the file cannot be read, is of another network, fits several recipes
        or has weights that are not finite; the labels are those of other classes;
        `out` is taken.
    """
    out = pathlib.Path(out)
    # One that was stopped, or found the disk full, left none that is whole.
    if is_trained(out):
        raise UserError(f"{out} holds a checkpoint already; give another directory.")
    digest, note = _digest(path)
    found = ""
    if config is None:
        recipe = _recipe(path, background_class)
        config, found = recipe.config, recipe.reason
    ids, classes = config.data.class_ids, config.model.num_classes
    names, assumed = action_names(path, ids, classes, labels)
    variables, report, layout = _convert(path, config.model, strict, background_class)
    # Orbax copies NumPy's arrays, all of them at once, before it writes; not JAX's.
    variables = jax.device_put(variables, _device())
    notes = (*report.notes, *filter(None, (found, note, assumed)))
    report = dataclasses.replace(report, notes=notes)
    out.mkdir(parents=True, exist_ok=True)
    files.write_json(out / "config.json", workdir.as_dict(config))
    labels_file.write(out / "labels.json", names, _dataset(path))
    source = {
        "file": pathlib.Path(path).name,
        "sha256": digest,
        "layout": layout,
        **dataclasses.asdict(report),
    }
    files.write_json(out / "source.json", source)
    store.save_variables(out, variables)
    return report


def action_names(
    path: str | os.PathLike,
    class_ids: Sequence[int],
    num_classes: int,
    labels: str | os.PathLike | Mapping[int, str] | None,
) -> tuple[dict[str, str], str]:
    """Action id -> name of the classes of a checkpoint, and a note if they are assumed.

    Args:
      path: of the checkpoint; nothing is assumed about a published one.
      class_ids: `config.data.class_ids`.
      num_classes: `config.model.num_classes`.
      labels: a label map, or action id -> name; None: those of `path`'s data set,
        or AVA's.

    Raises:
      UserError: the labels are those of other classes.
    """
    if labels is None and _dataset(path) == "MultiSports":
        labels = dict(enumerate(multisports_actions(), 1))
    if labels is None:
        is_ava = is_published_ava(path)
        note = "" if is_ava else assumed_names(class_ids, num_classes)
        return class_names(class_ids, num_classes), note
    where = "labels"
    if not isinstance(labels, Mapping):
        where, labels = os.fspath(labels), read_labels(labels)
    return class_names(class_ids, num_classes, labels, where), ""


def is_published_ava(path: str | os.PathLike) -> bool:
    """Whether the file's name is that of a published detector of AVA's actions."""
    return _dataset(path).startswith("AVA")


def _dataset(path) -> str:
    """The data set of a published detector; '' for other files."""
    file = published.get(pathlib.Path(path).name)
    return file.dataset if file is not None and file.kind == "detector" else ""


def _recipe(path, has_background):
    source = source_state.rename(read_tensors(path, has_background))
    return matching_recipes.find_recipe(path, source)


def _convert(path, model, strict, has_background):
    # A separate function, so that the memory of the file is freed when it returns.
    file = reader.read_file(path)
    tensors = with_background_class(file.tensors, file.metadata, has_background)
    variables, report = convert_state_dict(tensors, model, strict=strict)
    return variables, report, file.layout


def verify(
    path: str | os.PathLike,
    out: str | os.PathLike,
    background_class: bool | None = None,
) -> int:
    """Compares a converted directory with its source, bit by bit.

    Args:
      path: of the source.
      out: the converted directory.
      background_class: as for `convert_file`.

    Returns:
      The number of tensors compared.

    Raises:
      UserError: a tensor differs.
    """
    # The file's pages and the variables are in memory one after the other.
    config = workdir.read_config(out)
    expected = _fingerprints_of_file(path, background_class, config.model)
    _, variables = read_variables(out)
    stored = to_state_dict(variables)
    count = 0
    for key, (shape, digest) in expected.items():
        if key not in stored or len(shape) == 4:
            continue  # left out, which the report says; or inflated
        if shape != stored[key].shape and key.startswith("roi_head."):
            continue  # an untrained head in its place
        if (shape, digest) != _fingerprint(stored[key]):
            raise UserError(f"{out}: {key} differs from {path}; convert it again.")
        count += 1
    return count


def _fingerprints_of_file(
    path, has_background, model
) -> dict[str, tuple[tuple[int, ...], bytes]]:
    """Of every tensor, as float32, under MMAction2's names."""
    tensors = for_model(read_tensors(path, has_background), model)
    source = source_state.rename(tensors)
    return {key: _fingerprint(value) for key, value in source.tensors.items()}


def _fingerprint(value: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    """Shape, and SHA-256 of the bits as float32."""
    values = np.ascontiguousarray(value, np.float32)
    return value.shape, hashlib.sha256(values).digest()


def read_variables(
    path: str | os.PathLike,
) -> tuple[ml_collections.ConfigDict, Variables]:
    """Configuration and variables of a working or converted directory.

    Returns:
      The whole configuration, and NumPy arrays.

    Raises:
      UserError: there is no checkpoint.
    """
    config = workdir.read_config(path)
    place = jax.sharding.SingleDeviceSharding(_device())
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
        detector.variable_shapes(config.model),
    )
    return config, jax.device_get(store.load_variables(path, config.model, like))


def _device() -> jax.Device:
    try:
        return jax.devices("cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS=cuda leaves the CPU out
        return jax.local_devices()[0]


def report_table(report: Report) -> str:
    """A report as text: what was used, left out (with the reason), initialised."""
    unused: dict[str, list[str]] = {}
    for key, reason in report.unused.items():
        unused.setdefault(reason, []).append(key)
    rows = [("used", len(report.used), f"named as in {report.family}", report.used)]
    rows += [("unused", len(keys), reason, keys) for reason, keys in unused.items()]
    if report.initialised:
        count = len(report.initialised)
        rows.append(("initialised", count, "not in the file", report.initialised))
    lines = [
        f"{what:<12}{count:>6}  {why} ({', '.join(keys[:2])}{', ...' * (count > 2)})"
        for what, count, why, keys in rows
    ]
    return "\n".join([f"{'tensors':<12}{'count':>6}", *lines])


def _digest(path: str | os.PathLike) -> tuple[str, str]:
    """SHA-256, and a note if the file's name has the beginning of another one."""
    try:
        digest = files.sha256(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); check the path."
        ) from None
    # MMAction2 publishes files under such names.
    match = re.search(r"-([0-9a-f]{8})\.pth$", os.fspath(path))
    if match and not digest.startswith(match[1]):
        return digest, (
            f"The file's name says that its SHA-256 begins with {match[1]}, but it "
            f"begins with {digest[:8]}: the file is not as it was published."
        )
    return digest, ""
