"""Scores clips on one device in batches of one shape."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from jax.sharding import AxisType

from ava_jax.inference.eval_step import make_eval_step
from ava_jax.models import build_detector
from ava_jax.models.preprocessing import Normalization
from ava_jax.runtime import sharding
from ava_jax.video.resize import resize_boxes


@dataclasses.dataclass
class Row:
    """A clip with at most `max_boxes` boxes, one row of a batch.

    Attributes:
      clip: (T, h, w, 3) uint8.
      boxes: (n, 4) float32 xyxy in pixels of the clip, n <= `max_boxes`.
      scores: (B, max_boxes, num_classes) of its batch; None before `start`.
      position: of the row in its batch.
    """

    clip: np.ndarray
    boxes: np.ndarray
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
        self._classes = model.num_classes
        self._variables = jax.device_put(variables, sharding.replicated(mesh))
        self._eval_step = make_eval_step(
            build_detector(model), normalize, mesh, multilabel=model.multilabel
        )

    def rows(
        self, clip: np.ndarray, boxes: np.ndarray, size: tuple[int, int]
    ) -> list[Row]:
        """The rows of a clip: as many as its boxes need, none without boxes.

        Args:
          clip: (T, h, w, 3) uint8.
          boxes: (N, 4) float32 xyxy in pixels of a frame of `size`.
          size: (height, width).
        """
        boxes = resize_boxes(boxes, size, clip.shape[1:3])
        starts = range(0, len(boxes), self._max_boxes)
        return [Row(clip, boxes[i : i + self._max_boxes]) for i in starts]

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
        scores = self._eval_step(self._variables, clips, boxes)
        for position, row in enumerate(rows):
            row.scores, row.position = scores, position

    def results(self, rows: Iterable[Row]) -> np.ndarray:
        """(N, num_classes) float32 scores of the boxes of started rows, in order."""
        none = np.zeros((0, self._classes), np.float32)
        return np.concatenate([none, *[row.result() for row in rows]])
