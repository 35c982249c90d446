"""The detectors. Data and checkpoints are not known here."""

from ava_jax.models.detector import (
    Detector,
    build_detector,
    check_clips,
    init_variables,
    trainable,
)
from ava_jax.models.losses import (
    action_loss,
    action_metrics,
    action_scores,
    labelled_boxes,
)

__all__ = [
    "Detector",
    "action_loss",
    "action_metrics",
    "action_scores",
    "build_detector",
    "check_clips",
    "init_variables",
    "labelled_boxes",
    "trainable",
]
