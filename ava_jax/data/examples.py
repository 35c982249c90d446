"""One example: a clip with its boxes, as TensorFlow operations."""

import ml_collections
import numpy as np
import tensorflow as tf

from ava_jax.data import (
    clips,
    color_jitter,
    multi_scale_crop,
    target_assignment,
    transforms,
)
from ava_jax.data.split import Split
from ava_jax.models.long_term import COLUMNS, NAMES
from ava_jax.video.clip_sampling import ClipSampling

Tensors = dict[str, tf.Tensor]


class Examples:
    """Makes the examples of a split."""

    def __init__(self, split: Split, data: ml_collections.ConfigDict, seed: int = 0):
        """Copies the split's arrays into TensorFlow constants.

        Args:
          split: of training or validation.
          data: `config.data`, of the clips and their augmentation.
          seed: of the augmentation.
        """
        self._split = split
        self._frames = split.frames
        self._data = data
        self._sampling = ClipSampling.from_config(data)
        self._seed = seed
        names = ("video", "centre", "truth_starts", "truth_boxes", "truth_classes")
        names += ("proposal_starts", "proposal_boxes")
        self._arrays = {name: tf.constant(getattr(split, name)) for name in names}
        for name in ("first", "last", "size"):
            self._arrays[name] = tf.constant(getattr(split.frames, name))

    def video(self, key_frame: tf.Tensor) -> tf.Tensor:
        """() int32, the movie of a key frame."""
        return self._arrays["video"][key_frame]

    def size(self, key_frame: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Height and width of the stored frame of a key frame."""
        return tuple(tf.unstack(self._arrays["size"][self.video(key_frame)]))

    def indices(
        self, key_frame: tf.Tensor, position: tf.Tensor | None = None
    ) -> tf.Tensor:
        """(T,) int64, the frames of a clip.

        Args:
          key_frame: () integer, row of the split.
          position: () int64, the example's place in the stream of training, which
            seeds the jitter; None for evaluation, which has no jitter.
        """
        video, sampling = self.video(key_frame), self._sampling
        offsets = sampling.offsets()
        if position is not None and self._data.frame_jitter and sampling.interval:
            offsets += clips.jitter(sampling, self._seeds(position)[0])
        return clips.frame_indices(
            self._arrays["centre"][key_frame],
            self._arrays["first"][video],
            self._arrays["last"][video],
            offsets,
        )

    def training(self, key_frame: tf.Tensor, position: tf.Tensor) -> Tensors:
        """One augmented clip with its targets.

        Args:
          key_frame: () integer, row of the split.
          position: () int64, the example's place in the stream, which seeds
            every random draw.

        Returns:
          See `pipeline.train_batches`.
        """
        data = self._data
        clip = self._frames.clip(
            self.video(key_frame), self.indices(key_frame, position)
        )
        boxes = self._rows("truth", key_frame, "truth_boxes")
        classes = self._rows("truth", key_frame, "truth_classes")
        proposals = self._rows("proposal", key_frame, "proposal_boxes")
        # Ground truth and proposals are augmented together.
        people = tf.concat([boxes, proposals], axis=0)
        # The crop may leave people with less than `min_visible` of their box.
        clip, people, visible = self._augment(
            clip, people, self.size(key_frame), position
        )
        if data.colour_jitter:
            # 0 to 3 are the seeds of `_seeds`.
            seed = tf.random.fold_in(self._seed_of(position), 4)
            clip = color_jitter.apply(clip, color_jitter.draw(data.clip_len, seed))
        count = tf.shape(boxes)[0]
        truth = tf.boolean_mask(people[:count], visible[:count])
        classes = tf.boolean_mask(classes, visible[:count])
        proposals = tf.boolean_mask(people[count:], visible[count:])
        boxes, labels = target_assignment.assign_targets(
            truth, classes, proposals, data.positive_iou
        )
        boxes, labels, mask = target_assignment.pad(data.max_boxes, boxes, labels)
        shape = [data.clip_len, data.crop, data.crop, 3]
        return self.bank(key_frame, position) | {
            "clip": tf.ensure_shape(clip, shape),
            "boxes": boxes,
            "box_mask": mask,
            "labels": labels,
        }

    def bank(self, key_frame: tf.Tensor, position: tf.Tensor) -> Tensors:
        """The long-term features of a key frame, if there are any.

        Args:
          key_frame: () integer, row of the split.
          position: () integer, which with the seed decides what the boxes draw.

        Returns:
          `bank_features` (bank_rows, C) float16 and `bank_columns` (max_boxes,
          COLUMNS) int32, see `feature_bank.Minute`; nothing without a bank.
        """
        data, bank = self._data, self._split.bank
        if bank is None:
            return {}

        def draw(key_frame, position):
            minute = bank.minute(*self._split.key(int(key_frame)), data.bank_rows)
            rng = np.random.default_rng((self._seed, int(position)))
            return minute.padded(), minute.columns(data.max_boxes, rng)

        types = tf.float16, tf.int32
        features, columns = tf.numpy_function(draw, [key_frame, position], types)
        shapes = [data.bank_rows, bank.width], [data.max_boxes, COLUMNS]
        arrays = map(tf.ensure_shape, (features, columns), shapes)
        return dict(zip(NAMES, arrays))

    def _seeds(self, position: tf.Tensor) -> tf.Tensor:
        # One seed for each purpose, so that adding a draw does not change the others.
        return tf.random.split(self._seed_of(position), 4)

    def _seed_of(self, position: tf.Tensor) -> tf.Tensor:
        return tf.stack([self._seed, position])

    def _augment(self, clip, people, size, position):
        """Random size, crop and flip; the third value says which boxes are kept."""
        data = self._data
        seeds = self._seeds(position)
        people = transforms.to_pixels(people, *size)
        if data.crop_scales:
            seed = tf.random.fold_in(self._seed_of(position), 5)
            clip, people, visible = self._multi_scale_crop(clip, people, size, seed)
        else:
            clip, people, visible = self._square_crop(clip, people, size, seeds)
        if tf.random.stateless_uniform([], seeds[3]) < data.flip:
            clip = transforms.flip(clip)
            people = transforms.flip_boxes(people, data.crop)
        return clip, people, visible

    def _square_crop(self, clip, people, size, seeds):
        """MMAction2's recipe: a random short side, then a square crop."""
        data = self._data
        low, high = data.train_short_side
        short_side = tf.random.stateless_uniform(
            [], seeds[1], minval=low, maxval=high + 1, dtype=tf.int32
        )
        new_size = transforms.size_for_short_side(*size, short_side)
        y, x = transforms.random_crop_offset(*new_size, data.crop, seeds[2])
        # Only the pixels of the crop are computed.
        clip = transforms.resize(clip, *new_size, window=(y, x, data.crop))
        whole = transforms.resize_boxes(people, size, new_size)
        people = transforms.crop_boxes(whole, y, x, data.crop)
        return clip, people, self._is_visible(people, whole)

    def _multi_scale_crop(self, clip, whole, size, seed):
        """A random window of the frame, resized to the size of the clip."""
        data = self._data
        window = multi_scale_crop.draw(size, data.crop_scales, data.crop, seed)
        clip = transforms.crop(clip, *window)
        clip = transforms.resize(clip, data.crop, data.crop)
        people = transforms.crop_boxes(whole, *window)
        visible = self._is_visible(people, whole)
        people = transforms.resize_boxes(people, window[2:], (data.crop, data.crop))
        return clip, people, visible

    def _is_visible(self, people, whole):
        """Which boxes keep the fraction `min_visible` of their area."""
        least = self._data.min_visible * target_assignment.area(whole)
        return target_assignment.area(people) >= least

    def boxes(
        self, key_frame: tf.Tensor, rows: tf.Tensor, size: tuple[int, int]
    ) -> tf.Tensor:
        """(max_boxes, 4) float32, proposals in pixels of an evaluation clip.

        Args:
          key_frame: () integer, row of the split.
          rows: (2,) int64, first row of `proposal_boxes` and number of rows.
          size: height and width of the clip.
        """
        first, count = tf.unstack(rows)
        boxes = self._arrays["proposal_boxes"][first : first + count]
        stored = self.size(key_frame)
        boxes = transforms.to_pixels(boxes, *stored)
        boxes = transforms.resize_boxes(boxes, stored, size)
        return target_assignment.pad(self._data.max_boxes, boxes)[0]

    def frames(
        self, key_frame: tf.Tensor, indices: tf.Tensor, size: tuple[int, int]
    ) -> tf.Tensor:
        """(n, h, w, 3) uint8, frames of a key frame's movie in the size `size`."""
        clip = self._frames.clip(self.video(key_frame), indices)
        return transforms.resize(clip, *size)

    def _rows(self, kind, key_frame, name):
        starts = self._arrays[f"{kind}_starts"]
        return self._arrays[name][starts[key_frame] : starts[key_frame + 1]]
