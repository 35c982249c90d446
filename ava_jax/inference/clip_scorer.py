"""Scores clips on one device in batches of one shape."""

import copy
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from jax.sharding import AxisType

from ava_jax.inference.eval_step import (
    feature_width,
    make_eval_step,
    make_feature_step,
)
from ava_jax.inference.video_minutes import VideoMinutes
from ava_jax.models import build_detector
from ava_jax.models.long_term import OPERATORS
from ava_jax.models.preprocessing import Normalization
from ava_jax.runtime import sharding
from ava_jax.video.resize import resize_boxes


@dataclasses.dataclass
class Row:
    """A clip with at most `max_boxes` boxes, one row of a batch.

    Attributes:
      clip: (T, h, w, 3) uint8.
      boxes: (n, 4) float32 xyxy in pixels of the clip, n <= `max_boxes`.
      bank: (M, W) features of the minute around it, and (max_boxes, COLUMNS) which of
        them the boxes have; for detectors with long-term features.
      scores: (B, max_boxes, num_classes) of its batch; None before `start`.
      position: of the row in its batch.
    """

    clip: np.ndarray
    boxes: np.ndarray
    bank: tuple[np.ndarray, np.ndarray] | None = None
    scores: jax.Array | None = None
    position: int = 0

    def result(self) -> np.ndarray:
        """(n, num_classes) float32; waits for the device."""
        return np.asarray(self.scores)[self.position, : len(self.boxes)]


class ClipScorer:
    """Scores boxes in clips with the program of evaluation.

    Boxes are padded to `max_boxes`, batches to their size, so that every clip of one
    shape runs the same program.
    """

    def __init__(
        self,
        model: ml_collections.ConfigDict,
        variables: dict[str, Any],
        *,
        normalize: Normalization,
        max_boxes: int,
    ):
        """Puts the variables on the first device of this process.

        Args:
          model: `config.model`.
          variables: of this model.
          normalize: of the clips.
          max_boxes: boxes that a clip is padded to.
        """
        device = jax.local_devices()[0]
        mesh = jax.make_mesh(
            (1,), (sharding.AXIS,), axis_types=(AxisType.Auto,), devices=[device]
        )
        self._max_boxes = max_boxes
        self._variables = jax.device_put(variables, sharding.replicated(mesh))
        self._minutes: VideoMinutes | None = None
        self._model, self._normalize, self._mesh = model, normalize, mesh
        self._width, self._dtype = model.num_classes, np.float32
        self._step = make_eval_step(
            build_detector(model),
            normalize,
            mesh,
            multilabel=model.multilabel,
            with_bank=model.shared_head in OPERATORS,
        )

    def features(self) -> "ClipScorer":
        """One that gives long-term features of boxes in place of scores."""
        scorer = copy.copy(self)
        scorer._width, scorer._dtype = feature_width(self._model), np.float16
        module = build_detector(self._model)
        scorer._step = make_feature_step(module, self._normalize, self._mesh)
        return scorer

    def with_minutes(self, minutes: VideoMinutes) -> "ClipScorer":
        """One for the clips of a video whose long-term features are known."""
        scorer = copy.copy(self)
        scorer._minutes = minutes
        return scorer

    def rows(
        self,
        clip: np.ndarray,
        boxes: np.ndarray,
        size: tuple[int, int],
        time: float = 0.0,
    ) -> list[Row]:
        """The rows of a clip: as many as its boxes need, none without boxes.

        Args:
          clip: (T, h, w, 3) uint8.
          boxes: (N, 4) float32 xyxy in pixels of a frame of `size`.
          size: (height, width).
          time: of the clip in its video, seconds; for long-term features.
        """
        boxes = resize_boxes(boxes, size, clip.shape[1:3])
        parts = [
            boxes[i : i + self._max_boxes]
            for i in range(0, len(boxes), self._max_boxes)
        ]
        bank = self._minutes and self._minutes.at(time, self._max_boxes)
        return [Row(clip, part, bank) for part in parts]

    def start(self, rows: Sequence[Row], batch: int) -> None:
        """Starts the scoring of a batch; `Row.result` waits for it.

        Args:
          rows: at least one, at most `batch`.
          batch: clips that the device scores at a time.
        """
        padded = [*rows, *[rows[-1]] * (batch - len(rows))]
        clips = np.stack([row.clip for row in padded])
        boxes = np.zeros((batch, self._max_boxes, 4), np.float32)
        for position, row in enumerate(rows):
            boxes[position, : len(row.boxes)] = row.boxes
        inputs = [clips, boxes]
        if padded[0].bank is not None:
            inputs.append(tuple(map(np.stack, zip(*(row.bank for row in padded)))))
        scores = self._step(self._variables, *inputs)
        for position, row in enumerate(rows):
            row.scores, row.position = scores, position

    def results(self, rows: Iterable[Row]) -> np.ndarray:
        """(N, num_classes) float32 scores of the boxes of started rows, in order.

        Or (N, W) float16 features.
        """
        none = np.zeros((0, self._width), self._dtype)
        return np.concatenate([none, *[row.result() for row in rows]])
