"""Spatio-temporal action detection on AVA in JAX.

    import ava_jax

    detector = ava_jax.Detector.from_checkpoint(
        "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
    )
    scores = detector.predict(frames, boxes)

Each of these is imported at its first use; TensorFlow is needed for SavedModels only:

  Detector     actions of people in clips and in videos
  UserError    what is raised if a file, a value or a data set is wrong
  annotations  files of boxes, label maps, exclusions, proposals
  checkpoints  PyTorch files: reading and converting
  config       configurations: fields and recipes
  export       detectors as StableHLO, SavedModel or ONNX
  intervals    when people do what: from results of videos, and files
  models       the networks
  people       person detectors, files of boxes, the tracker
  published    published weights and files by name
  scoring      mAP of detections

Training and evaluation are commands: python -m ava_jax.main --help
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_CLASSES = {"Detector": "predict", "UserError": "errors"}
_MODULES = (
    "annotations",
    "checkpoints",
    "config",
    "export",
    "intervals",
    "models",
    "people",
    "published",
    "scoring",
)
__all__ = [*_CLASSES, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        return getattr(importlib.import_module(f"ava_jax.{_CLASSES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"ava_jax.{name}")
    raise AttributeError(f"module 'ava_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
