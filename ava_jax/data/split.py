"""The key frames of one split, as arrays."""

import dataclasses

import numpy as np

from ava_jax.annotations import BoxTable
from ava_jax.data.feature_bank import FeatureBank
from ava_jax.data.frames.store import FrameStore


@dataclasses.dataclass(frozen=True)
class Split:
    """The key frames of a split with their boxes.

    The boxes of key frame k are rows `starts[k]` to `starts[k + 1]`. Those that
    `dense_sampling` adds for training come last and have no proposals.

    Attributes:
      frames: of the movies that have key frames.
      labels: action id -> name, of the label map.
      class_ids: (num_classes,) int64, action id of each class; 0 for class 0.
      ground_truth: all rows of the annotation file.
      excluded: (video, second) of the key frames that are left out.
      video: (K,) int32 index into `frames.videos`.
      second: (K,) float64 timestamp.
      centre: (K,) int64 frame index.
      truth_starts: (K + 1,) int64.
      truth_boxes: (G, 4) float64 xyxy, fractions of the frame.
      truth_classes: (G, num_classes) float32 multi-hot.
      proposal_starts: (K + 1,) int64.
      proposal_boxes: (P, 4) float64 xyxy, fractions of the frame, of the people
        detected with enough confidence.
      repeats: (K,) float64, how often training takes each key frame in an epoch, in
        the mean; 1 or more (see `repeat_factors`).
      bank: long-term features; None without `data.feature_bank`.
    """

    frames: FrameStore
    labels: dict[int, str]
    class_ids: np.ndarray
    ground_truth: BoxTable
    excluded: set[tuple[str, float]]
    video: np.ndarray
    second: np.ndarray
    centre: np.ndarray
    truth_starts: np.ndarray
    truth_boxes: np.ndarray
    truth_classes: np.ndarray
    proposal_starts: np.ndarray
    proposal_boxes: np.ndarray
    repeats: np.ndarray
    bank: FeatureBank | None = None

    def __repr__(self) -> str:
        return (
            f"Split({len(self):,} key frames of {len(self.frames.videos):,} movies, "
            f"{len(self.truth_boxes):,} true boxes, {len(self.proposal_boxes):,} "
            f"proposals, {len(self.class_ids) - 1} actions)"
        )

    def __len__(self) -> int:
        """Number of key frames."""
        return len(self.second)

    def key(self, k: int) -> tuple[str, float]:
        """Video and second of a key frame."""
        return self.frames.videos[self.video[k]], float(self.second[k])
