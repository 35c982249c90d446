"""Detectors for other programs: StableHLO, TensorFlow SavedModel, ONNX.

All take `clips` (B, T, H, W, 3) uint8 RGB in the model's size and `boxes`
(B, N, 4) float32 xyxy in pixels of the clips, and give scores (B, N, num_classes)
float32, as `predict.Detector.predict` does. Those with long-term features also take
`bank_features` and `bank_columns`, see `models.long_term.LongTerm`. The weights are
inside.
"""

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import ml_collections

from ava_jax import files
from ava_jax.annotations import read_boxes
from ava_jax.checkpoints import load
from ava_jax.errors import UserError
from ava_jax.models import action_scores, build_detector
from ava_jax.models.long_term import COLUMNS, NAMES, OPERATORS
from ava_jax.models.preprocessing import Normalization
from ava_jax.video import resize

Score = Callable[..., jax.Array]
# Name -> shape without that of the batch, and dtype.
Inputs = Mapping[str, tuple[tuple[int, ...], Any]]
# What a StableHLO file and a SavedModel run on.
_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def export_detector(
    path: str | os.PathLike,
    out: str | os.PathLike,
    kind: str,
    *,
    size: tuple[int, int] | None = None,
    batch: int = 1,
    config: str | ml_collections.ConfigDict | None = None,
    dtype: str | None = None,
) -> str:
    """Writes a detector, and beside it `OUT.json`, which says how to use it.

    Args:
      path: see `load.read_detector`.
      out: a file; a directory for a SavedModel. An older one is replaced.
      kind: one of `FORMATS`.
      size: height and width of the clips; None: see `evaluation_size`.
      batch: clips that an ONNX file takes at a time; the others take any number.
      config: see `load.read_detector`.
      dtype: 'float32' or 'bfloat16', of the computation.

    Returns:
      What size the clips have, in words.

    Raises:
      UserError: there is no checkpoint, what the format needs is not installed, or
        `out` is a folder of other files.
    """
    out = pathlib.Path(out)
    _check_output(out)
    config, variables, names = load.read_detector(path, config, dtype=dtype)
    normalize = Normalization.from_config(config.data)
    score = _score_function(config.model, normalize, variables)
    why = ""
    if size is None:
        root = config.data.root or pathlib.Path(path, "data")
        size, why = evaluation_size(config.data, root)
    inputs = _inputs(config, size)
    with files.beside(out) as partial:
        FORMATS[kind](score, inputs, batch, partial)
        files.remove(out)
    notes = _description(config, names, kind, inputs, batch)
    files.write_json(out.with_name(out.name + ".json"), notes)
    return f"clips of {size[0]} x {size[1]} pixels{why}"


def evaluation_size(
    data: ml_collections.ConfigDict, root: str | os.PathLike
) -> tuple[tuple[int, int], str]:
    """Height and width of the clips that evaluation scores, and why, in words.

    Args:
      data: `config.data`.
      root: the folder of the data set; where it has no frame folders, frames of 16:9
        are assumed.
    """
    short_side = data.test_short_side
    frame = _frame_size(data, root)
    if frame is None:
        # 455.1 pixels to 456, which strides of 8 divide.
        width = -(-short_side * 16 // 9 // 8) * 8
        why = f", evaluation's short side {short_side} at 16:9"
        return (short_side, width), why
    size = resize.size_for_short_side(*frame, short_side)
    return size, f", as evaluation scores the frames of {root}"


def _frame_size(data, root) -> tuple[int, int] | None:
    """(height, width) of the first validation movie; None if it is not there."""
    boxes = pathlib.Path(root, data.val.boxes)
    if data.frame_store != "folder" or not boxes.is_file():
        return None
    # Not by `data.frames`, which needs TensorFlow.
    movie = pathlib.Path(root, data.frames, read_boxes(boxes).videos[0])
    picture = next(movie.glob("*.jpg"), None)
    frame = None if picture is None else cv2.imread(os.fspath(picture))
    return None if frame is None else frame.shape[:2]


def _score_function(
    model: ml_collections.ConfigDict, normalize: Normalization, variables: Any
) -> Score:
    module = build_detector(model)

    def score(clips, boxes, *bank):
        logits = module.apply(variables, normalize(clips), boxes, bank=bank or None)
        return action_scores(logits, multilabel=model.multilabel)

    return score


def _inputs(config: ml_collections.ConfigDict, size: tuple[int, int]) -> Inputs:
    data = config.data
    inputs = {
        "clips": ((data.clip_len, *size, 3), jnp.uint8),
        "boxes": ((data.max_boxes, 4), jnp.float32),
    }
    if config.model.shared_head in OPERATORS:
        features, columns = NAMES
        inputs[features] = (data.bank_rows, config.model.bank_width), jnp.float16
        inputs[columns] = (data.max_boxes, COLUMNS), jnp.int32
    return inputs


def _write_stablehlo(score, inputs, batch, path) -> None:
    """A file for `jax.export.deserialize`, and what reads its StableHLO."""
    del batch
    (any_number,) = jax.export.symbolic_shape("b")
    export = jax.export.export(jax.jit(score), platforms=_PLATFORMS)
    exported = export(*_structs(inputs, any_number))
    path.write_bytes(exported.serialize())


def _write_savedmodel(score, inputs, batch, path) -> None:
    del batch
    import tensorflow as tf
    from jax.experimental import jax2tf

    tf.config.set_visible_devices([], "GPU")
    # TensorFlow's XLA knows no ROCm.
    platforms = tuple(name for name in _PLATFORMS if name != "rocm")
    converted = jax2tf.convert(
        score,
        polymorphic_shapes=["(b, ...)"] * len(inputs),
        with_gradient=False,
        native_serialization_platforms=platforms,
    )
    module = tf.Module()
    module.score = tf.function(
        lambda *arrays: {"scores": converted(*arrays)},
        input_signature=[
            tf.TensorSpec((None, *shape), jnp.dtype(dtype), name)
            for name, (shape, dtype) in inputs.items()
        ],
        autograph=False,
    )
    signature = module.score.get_concrete_function()
    tf.saved_model.save(module, str(path), signatures=signature)


def _write_onnx(score, inputs, batch, path) -> None:
    try:
        import jax2onnx
        import onnx
    except ImportError as error:
        raise UserError(
            "ONNX needs jax2onnx. As it asks for an older orbax-checkpoint than this "
            "project's own, use another environment, in the clone: python3 -m venv "
            ".venv-onnx && .venv-onnx/bin/pip install -e . jax2onnx. Other formats: "
            "stablehlo, savedmodel."
        ) from error
    model = jax2onnx.to_onnx(
        score,
        inputs=_structs(inputs, batch),
        model_name="detector",
        input_names=list(inputs),
        output_names=["scores"],
    )
    onnx.save(model, str(path))


# Name -> function(score, inputs, batch, path).
FORMATS = {
    "stablehlo": _write_stablehlo,
    "savedmodel": _write_savedmodel,
    "onnx": _write_onnx,
}
# What `OUT.json` says of an input beside its shape and dtype.
_MEANING = {
    "clips": {"colours": "RGB"},
    "boxes": {"unit": "x1 y1 x2 y2, px"},
    NAMES[0]: {"of": "the minute around the key frame, in any order"},
    NAMES[1]: {
        "of": "which features a box takes: 5 of each of 60 seconds; where there is "
        "none, the number of rows of bank_features"
    },
}


def _structs(inputs: Inputs, batch) -> list[jax.ShapeDtypeStruct]:
    return [jax.ShapeDtypeStruct((batch, *s), dtype) for s, dtype in inputs.values()]


def _description(config, names, kind, inputs: Inputs, batch) -> dict[str, Any]:
    """What `OUT.json` says; null in a shape is any number."""
    data = config.data
    fixed = batch if kind == "onnx" else None
    return {
        "format": kind,
        "config": config.name,
        "inputs": {
            name: {"shape": [fixed, *shape], "dtype": jnp.dtype(dtype).name}
            | _MEANING[name]
            for name, (shape, dtype) in inputs.items()
        },
        "outputs": {
            "scores": {"shape": [fixed, data.max_boxes, config.model.num_classes]}
        },
        "frames": {"fps": data.fps, "interval": data.frame_interval},
        "classes": {str(c): name for c, name in enumerate(names.values(), 1)},
        "action_ids": {str(c): action for c, action in enumerate(names, 1)},
    }


def _check_output(out: pathlib.Path) -> None:
    """A folder is removed only if it is a SavedModel."""
    if out.is_dir() and any(out.iterdir()) and not (out / "saved_model.pb").is_file():
        raise UserError(
            f"{out} is a folder of other files, which are left alone. Give the name of "
            f"what is to be written, such as {out / 'detector'}"
        )
    if not out.parent.is_dir():
        raise UserError(f"{out} cannot be written: there is no folder {out.parent}.")
