"""From a PyTorch state dict to the variables of a detector, and back."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ava_jax.checkpoints.pytorch import (
    architecture,
    background_class,
    conventions,
    families,
    key_names,
    matching_recipes,
    source_state,
)
from ava_jax.errors import UserError
from ava_jax.models import box_head, conv, detector

_HEAD = "roi_head"
# Recognisers with `fc_norm` have none: a detector's starts at one and zero.
_FINAL_NORM = {"backbone.norm.weight", "backbone.norm.bias"}
Variables = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Report:
    """What a conversion did.

    Attributes:
      used: keys of the source whose tensors were taken.
      unused: key of the source -> why it was not taken.
      initialised: names here (dots for slashes) of parameters that the source
        does not fill, and that start as in a fresh model.
      family: the project that wrote the source.
      notes: what a user should know, a sentence each.
    """

    used: tuple[str, ...]
    unused: Mapping[str, str]
    initialised: tuple[str, ...]
    family: str = ""
    notes: tuple[str, ...] = ()


def convert_state_dict(
    state_dict: Mapping[str, np.ndarray],
    model: ml_collections.ConfigDict,
    *,
    strict: bool = True,
) -> tuple[Variables, Report]:
    """Variables of a detector from a state dict of a known project.

    Known are MMAction2's detectors and recognisers (0.x, 1.x), PySlowFast's
    (PyTorch and Caffe2), PyTorchVideo's, and 2D ResNets, whose kernels are
    inflated. The backbone must be there in full. The head of a source without
    one (a recogniser) is initialised afresh.

    Args:
      state_dict: key -> array, in torch's layouts.
      model: `config.model`.
      strict: refuse a detector's head that does not fit, and a configuration
        whose network differs in what no shape shows (RoIAlign, slow frames). If
        not, such a head is initialised afresh, too, and the report says so.

    Returns:
      {'params': ..., 'batch_stats': ...} of float32 NumPy arrays, and the report.

    Raises:
      UserError: the checkpoint is of another network, or of an unknown project, or
        has weights that are not finite.
    """
    source = source_state.rename(background_class.for_model(state_dict, model))
    shapes = flax.traverse_util.flatten_dict(detector.variable_shapes(model))
    _check_backbone(source, _expected_shapes(shapes))
    _check_finite(source)
    notes = _broken_conventions(source, model)
    if strict and notes:
        raise UserError(
            f"{notes[0]} To take the weights all the same, convert the file with "
            f"--no-strict. {matching_recipes.advice(source)}"
        )
    found, report = _fill(source, shapes, strict)
    if report.initialised:
        found = _fresh(shapes, model.head_init) | found
    variables = flax.traverse_util.unflatten_dict({p: found[p] for p in shapes})
    return variables, dataclasses.replace(report, notes=(*notes, *report.notes))


def convert_like(
    state_dict: Mapping[str, np.ndarray], like: Variables
) -> tuple[Variables, Report]:
    """Replaces the values of variables by a state dict's, to train on from it.

    Args:
      state_dict: as for `convert_state_dict`, not strictly.
      like: variables of the model; a head that the state dict does not fill
        stays as it is.

    Returns:
      Variables of the same structure, NumPy arrays where replaced; the report.

    Raises:
      UserError: the checkpoint is of another network, or of an unknown project, or
        has weights that are not finite.
    """
    source = source_state.rename(state_dict)
    flat = flax.traverse_util.flatten_dict(like)
    _check_backbone(source, _expected_shapes(flat))
    _check_finite(source)
    found, report = _fill(source, flat, strict=False)
    return flax.traverse_util.unflatten_dict(flat | found), report


def broken_conventions(
    state_dict: Mapping[str, np.ndarray], model: ml_collections.ConfigDict
) -> str:
    """What a network computes otherwise than the one that was trained.

    Args:
      state_dict: as for `convert_state_dict`.
      model: `config.model`.

    Returns:
      A sentence on the fields of `config.model` that no tensor's shape shows; '' if
      there is none.
    """
    return " ".join(_broken_conventions(source_state.rename(state_dict), model))


def to_state_dict(variables: Variables) -> dict[str, np.ndarray]:
    """MMAction2's state dict of a detector's variables, in torch's layouts.

    The inverse of `convert_state_dict` for MMAction2's detectors, bit by bit;
    only `num_batches_tracked` is 0 everywhere.
    """
    state = {}
    for path, value in flax.traverse_util.flatten_dict(variables).items():
        key = key_names.to_key(path)
        state[key] = key_names.to_torch_layout(np.asarray(value))
        if key.endswith("running_var"):
            counter = key.replace("running_var", "num_batches_tracked")
            state[counter] = np.zeros((), np.int64)
    return state


def _fill(source, shapes, strict):
    """Values of the variables that the source has: all, or all but the head.

    Args:
      source: a `SourceState` whose backbone fits.
      shapes: path -> anything with the variable's `shape`.
      strict: whether a head that does not fit is refused.
    """
    head_fits = _check_head(source, _expected_shapes(shapes), strict)
    found, used, unused = {}, [], dict(source.unused)
    for key, value in source.tensors.items():
        path = key_names.to_path(key)
        if path[1] == _HEAD and not head_fits:
            reason = "the head is for other classes or other features"
            unused |= dict.fromkeys(source.keys[key], reason)
        else:
            found[path] = _variable(value, shapes[path].shape)
            used += source.keys[key]
    fresh = tuple(".".join(p[1:]) for p in shapes if p not in found)
    notes = []
    if any(name.startswith(_HEAD) for name in fresh):
        why = "does not fit" if source.has_head else "has no place in the checkpoint"
        notes.append(f"The head that scores actions {why}: it starts untrained.")
    if any(not name.startswith(_HEAD) for name in fresh):
        notes.append(
            "The checkpoint normalises after its pooling: the normalisation before "
            "the detector's starts untrained."
        )
    return found, Report(tuple(used), unused, fresh, source.family.name, tuple(notes))


def _variable(value, shape):
    """A tensor as float32 in the layout of a variable, inflated if it is 2D."""
    if value.ndim == 4 and len(shape) == 5:
        # Spread over the kernel's frames (MMAction2's `inflate_weights`).
        value = np.repeat(value[:, :, None] / shape[0], shape[0], axis=2)
    # A copy, never a view: the file need not stay mapped.
    return np.array(key_names.to_layout(value), np.float32, order="C")


def _expected_shapes(shapes):
    """MMAction2's key -> shape in torch's layout, of all variables."""
    return {key_names.to_key(p): _torch_shape(s.shape) for p, s in shapes.items()}


def _torch_shape(shape):
    order = {5: (4, 3, 0, 1, 2), 2: (1, 0)}.get(len(shape), range(len(shape)))
    return tuple(shape[i] for i in order)


def _check_backbone(source, expected):
    there = architecture.read_architecture(source.shapes)
    here = architecture.read_architecture(expected)
    differing = architecture.differences(there, here)
    for field in architecture.HEAD_FIELDS:
        differing.pop(field, None)
    if "depth" in differing:
        # Says it all: the others are numbers of blocks.
        differing = {"depth": differing["depth"]}
    if differing:
        raise UserError(
            f"The checkpoint holds {architecture.name(there)}, the configuration has "
            f"{architecture.name(here)}: {_listed(differing)}. "
            f"{matching_recipes.advice(source)}"
        )
    misfits, missing = _misfits(source.shapes, expected)
    if not source.has_head and _FINAL_NORM.issubset(missing):
        missing = [key for key in missing if key not in _FINAL_NORM]
    foreign = [key for key in source.shapes if key not in expected]
    foreign = [key for key in foreign if not key.startswith(families.ROI_HEAD)]
    if misfits or missing or foreign:
        raise UserError(
            f"The checkpoint's backbone ({architecture.name(there)}) is not the "
            f"configuration's: {len(misfits)} tensors have other shapes, "
            f"{len(missing)} are missing, {len(foreign)} have no place; first: "
            f"{[*misfits, *missing, *foreign][0]}. It may be damaged, or of a variant "
            "of the network that is not known here."
        )


def _check_finite(source):
    broken = [
        key for key, value in source.tensors.items() if not np.isfinite(value).all()
    ]
    if broken:
        raise UserError(
            f"{len(broken)} of {len(source.tensors)} tensors of the checkpoint hold "
            f"NaN or infinity (first: {source.keys[broken[0]][0]}): its training "
            "diverged, or the file is damaged. Take an earlier checkpoint, or the "
            "file from its source again."
        )


def _check_head(source, expected, strict):
    """Whether the source's head, all its layers, is the configuration's."""
    there, here = (
        {key: x for key, x in shapes.items() if key.startswith(families.ROI_HEAD)}
        for shapes in (source.shapes, expected)
    )
    fits = there == here
    if strict and source.has_head and not fits:
        differing = architecture.differences(
            architecture.read_architecture(source.shapes),
            architecture.read_architecture(expected),
        )
        raise UserError(
            f"The checkpoint's head is another one: {_listed(differing)}. To start "
            "with an untrained head, convert the file with --no-strict."
            f"{_missing_class(source, differing)} {matching_recipes.advice(source)}"
        )
    return fits


def _missing_class(source, differing):
    """A hint for heads without an output for class 0."""
    there, here = differing.get("num_classes", (0, 0))
    if not source.family.reserved_class or here != there + 1:
        return ""
    return (
        " If it has no output for class 0 (MMAction2's background_class=False), "
        "convert it with --no-background-class."
    )


def _misfits(there, here):
    """Descriptions of the backbone's tensors that have other shapes, or are missing."""
    misfits, missing = [], []
    for key, shape in here.items():
        if key.startswith(families.ROI_HEAD):
            continue
        found = there.get(key)
        if found is None:
            missing.append(key)
        # Kernels of images get their time axis later.
        elif found not in (shape, shape[:2] + shape[3:]):
            misfits.append(f"{key} is {found}, expected {shape}")
    return misfits, missing


def _listed(differing):
    return "; ".join(
        f"config.model.{field} is {here!r}, the checkpoint has {there!r}"
        for field, (there, here) in differing.items()
    )


def _broken_conventions(source, model):
    """What the configuration does otherwise though no shape shows it, in a note."""
    differing = conventions.differing(source, model)
    if not differing:
        return ()
    return (f"{source.family.name} computes otherwise: {_listed(differing)}.",)


def _fresh(shapes, head_init):
    """Values for what a recogniser lacks: the head, and the final normalisation."""
    norm = {
        path: np.full(shape.shape, path[-1] == "scale", np.float32)
        for path, shape in shapes.items()
        if key_names.to_key(path) in _FINAL_NORM
    }
    return norm | _fresh_head(shapes, head_init)


def _fresh_head(shapes, head_init):
    """Values for the head, as a fresh model has them."""
    head = {path: shape for path, shape in shapes.items() if path[1] == _HEAD}
    keys = jax.random.split(jax.random.key(0), len(head))
    return {
        path: np.asarray(_init(head, path, head_init)(key, shape.shape, jnp.float32))
        for key, (path, shape) in zip(keys, head.items(), strict=True)
    }


def _init(head, path, head_init):
    """The initialiser of a variable of the head: of a linear layer, or ACRN's."""
    kernel = head.get((*path[:-1], "kernel"))
    if kernel is not None and len(kernel.shape) == 5 and path[-1] == "bias":
        return nn.initializers.zeros
    if kernel is not None and len(kernel.shape) == 2:
        return box_head.linear_init(head_init, kernel.shape[0])[path[-1] == "bias"]
    if kernel is not None:
        return conv.kaiming
    is_one = path[-1] in ("scale", "var")
    return nn.initializers.ones if is_one else nn.initializers.zeros
