"""Actions of people in frames and videos, by a trained or converted detector.

    detector = Detector.from_checkpoint(
        "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
    )
    scores = detector.predict(frames, boxes)
    for result in detector.predict_video("street.mp4"):
        print(result.time, result.actions())

TensorFlow is not needed.
"""

import os
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

from ava_jax.checkpoints import load
from ava_jax.errors import UserError, join_first
from ava_jax.inference.clip_sampler import VideoSampling
from ava_jax.inference.clip_scorer import ClipScorer
from ava_jax.inference.eval_step import feature_width
from ava_jax.inference.video_minutes import VideoMinutes
from ava_jax.inference.video_predictor import key_frame_results, video_features
from ava_jax.inference.video_results import VideoResults
from ava_jax.models import check_clips
from ava_jax.models.long_term import OPERATORS
from ava_jax.models.preprocessing import Normalization
from ava_jax.people.boxes import checked_boxes
from ava_jax.video.clip_sampling import ClipSampling
from ava_jax.video.reader import Source
from ava_jax.video.resize import resize_frame

Config = ml_collections.ConfigDict
# Its features are in MMAction2's published banks.
_FEATURES = "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"


class Detector:
    """Scores the actions of people.

    Attributes:
      config: the whole configuration.
      class_ids: action id of each class; 0 for class 0, which is reserved.
      labels: name of each class; '' for class 0.
      trained_on: data set and domain, such as 'AVA v2.1 (films)'; '' if unknown.
      scorer: scores clips in batches.
      features: the detector that gives its long-term features; None: it has none.
    """

    def __init__(
        self,
        config: Config,
        variables: dict[str, Any],
        names: Mapping[int, str],
        trained_on: str = "",
        features: "Detector | None" = None,
    ):
        """Puts the variables on the first device.

        Args:
          config: the whole configuration.
          variables: of its detector.
          names: action id -> name of classes 1, 2, ..., in this order.
          trained_on: data set and domain.
          features: the detector whose features are the long-term ones of this one.

        Raises:
          UserError: its network does not take its clips, or these features.
        """
        _check_features(config, features)
        self.config = config
        self.trained_on = trained_on
        self.class_ids = (0, *names)
        self.labels = ("", *names.values())
        self.scorer = ClipScorer(
            config.model,
            variables,
            normalize=Normalization.from_config(config.data),
            max_boxes=config.data.max_boxes,
        )
        self.features = features
        self._feature_scorer = None if features is None else features.scorer.features()
        check_clips(config.model, config.data.clip_len, config.data.test_short_side)

    def __repr__(self) -> str:
        names, data = self.labels[1:], self.config.data
        learned = f"trained on {self.trained_on}, " if self.trained_on else ""
        return (
            f"Detector({self.config.name!r}, {learned}{len(names)} actions "
            f"({join_first(names)}), clips of {data.clip_len} frames, "
            f"{data.frame_interval} apart at {data.fps:g} fps)"
        )

    @classmethod
    def from_checkpoint(
        cls,
        path: str | os.PathLike,
        *,
        config: str | Config | None = None,
        labels: load.Labels | None = None,
        dtype: str | None = None,
        features: str | os.PathLike | None = None,
    ) -> "Detector":
        """Loads a detector.

        Args:
          path: name of a published detector (`ava-jax published list`), working
            directory of a training, directory that `ava-jax convert`
            wrote, or a PyTorch file of MMAction2, PySlowFast or PyTorchVideo. A
            published one is downloaded and converted at its first use.
          config: for a PyTorch file: its configuration, as 'FILE.py:VARIANT' or
            itself; by default the one that its name or its tensors show. Directories
            and published detectors have theirs.
          labels: a label map, or action id -> name. By default those that the
            directory holds; AVA's for a PyTorch file.
          dtype: 'float32' or 'bfloat16', of the computation; the configuration's
            by default.
          features: for a detector with long-term features (`configs/lfb.py`): the
            detector whose features they are, as `path`.

        Raises:
          UserError: there is no checkpoint, it cannot be downloaded, it does not
            score boxes (it is a recogniser), or labels, configuration or features
            are of another model.
        """
        config, variables, names = load.read_detector(path, config, labels, dtype=dtype)
        of_features = None
        if features is not None:
            of_features = cls.from_checkpoint(features, dtype=dtype)
        return cls(config, variables, names, load.trained_on(path), of_features)

    def predict(self, frames: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Scores the actions of people in one clip.

        Args:
          frames: (T, H, W, 3) uint8 RGB, `config.data.clip_len` frames,
            `frame_interval` apart at `fps`; the key frame is number T // 2. They
            are scaled to `config.data.test_short_side`, as in evaluation; its
            test-time augmentation is not done.
          boxes: (N, 4) xyxy in pixels of these frames; any number, also none.

        Returns:
          (N, num_classes) float32. Column c is the probability of the action
          `labels[c]`. Column 0 is of the reserved class, which is never trained:
          what the network gives there means nothing.

        Raises:
          UserError: frames or boxes of another shape or type; a box that is not
            finite, is inverted, in fractions, or not on the frames; the detector has
            long-term features.
        """
        if self.features is not None:
            raise UserError(
                f"{self.config.name} needs the long-term features of a whole video, "
                "which a clip does not have: predict_video"
            )
        frames = self._checked_frames(frames)
        boxes = checked_boxes(boxes, frames.shape[2:0:-1])[:, :4]
        short_side = self.config.data.test_short_side
        clip = np.stack([resize_frame(frame, short_side) for frame in frames])
        rows = self.scorer.rows(clip, boxes, frames.shape[1:3])
        for row in rows:
            self.scorer.start([row], batch=1)
        return self.scorer.results(rows)

    def predict_video(
        self,
        source: Source,
        boxes: Any = None,
        *,
        every: float = 1.0,
        batch: int = 1,
        smooth: bool = False,
        live: bool | None = None,
    ) -> VideoResults:
        """Scores the people of a video stream, key frame by key frame.

        The video is taken at `config.data.fps` frames a second, whatever its own
        rate (`video.resample`), and clips are cut from it as from a data set
        (`inference.clip_sampler`). The memory that it takes does not grow with its
        length. A damaged file gives results up to the damage, and a warning. A
        detector with long-term features reads the video twice: first it takes the
        features of the people at every second.

        Args:
          source: path of a video, address like 'rtsp://...', number of a camera.
          boxes: where people are. None: OpenCV's HOG detector finds them. A name
            for `people.open_detector`: 'onnx:FILE' or a file of boxes. A function
            from the RGB frame (H, W, 3) to (N, 5): xyxy in pixels and a score. An
            object whose `at(seconds)` gives the same. An array (N, 4), for a
            camera and people that do not move.
          every: seconds from one key frame to the next; the first is at 0.
          batch: clips that the device scores at a time; results come by batch.
          smooth: average each person's scores over time (`people.Tracker.smooth`).
          live: drop key frames rather than fall behind. None: for cameras and
            endless streams only.

        Returns:
          An iterator of `KeyFrameResult`, one a key frame, in the order of time.

        Raises:
          UserError: the source is not a video, or the boxes are not boxes.
        """
        fps = self.config.data.fps
        if not (every * fps >= 1 - 1e-6 and batch >= 1):
            raise UserError(
                f"every={every}, batch={batch}; expected at least 1/{fps} seconds, of "
                "one frame, and one clip."
            )
        results = self._results(source, boxes, every, batch, smooth, live)
        return VideoResults(results)

    def _results(self, source, boxes, every, batch, smooth, live):
        scorer = self.scorer
        if self.features is not None:
            sampling = self.features.sampling(1.0)
            found = video_features(self._feature_scorer, source, boxes, sampling, batch)
            minutes = VideoMinutes(
                found, self.config.model.bank_width, self.config.data.bank_rows
            )
            scorer = scorer.with_minutes(minutes)
        yield from key_frame_results(
            scorer,
            self.labels,
            source,
            boxes,
            self.sampling(every),
            batch=batch,
            live=live,
            smooth=smooth,
        )

    def sampling(self, every: float) -> VideoSampling:
        """How clips are cut from a video, with a key frame `every` seconds."""
        data = self.config.data
        return VideoSampling(
            ClipSampling.from_config(data), data.test_short_side, every
        )

    def _checked_frames(self, frames):
        frames = np.asarray(frames)
        data = self.config.data
        if frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) != data.clip_len:
            raise UserError(
                f"Frames of shape {frames.shape}; expected ({data.clip_len}, height, "
                f"width, 3): {data.clip_len} frames, {data.frame_interval} apart at "
                f"{data.fps} frames a second."
            )
        if frames.dtype != np.uint8 or 0 in frames.shape:
            raise UserError(
                f"Frames of shape {frames.shape} and type {frames.dtype}; expected "
                "uint8, RGB from 0 to 255, and at least one pixel."
            )
        return frames


def _check_features(config: Config, features: Detector | None) -> None:
    """Whether a detector has the long-term features that it needs, or needs none."""
    model = config.model
    if model.shared_head not in OPERATORS:
        if features is not None:
            raise UserError(f"{config.name} has no long-term features; give none.")
        return
    if features is None:
        raise UserError(
            f"{config.name} needs long-term features (config.model.shared_head is "
            f"{model.shared_head!r}). Name the detector whose features it was trained "
            "with: features=NAME, on the command line --features NAME. MMAction2's own "
            f"is {_FEATURES}."
        )
    width = feature_width(features.config.model)
    if width != model.bank_width:
        raise UserError(
            f"{config.name} was trained with long-term features of {model.bank_width} "
            f"channels, and those of {features.config.name} have {width}. Name the "
            "detector whose features it was trained with."
        )
