"""Batches: what is in them, and that their order depends on nothing else."""

import dataclasses

import cv2
import from_config
import host_processes
import numpy as np
import pipeline_worker
import pytest
import tensorflow as tf

from ava_jax import workdir
from ava_jax.data import eval_clips, target_assignment, transforms
from ava_jax.errors import UserError


def take(split, config, first_step=0, steps=4, rows=None):
    rows = range(config.train.batch) if rows is None else rows
    batches = from_config.train_batches(
        split, config, first_step=first_step, steps=steps, rows=rows
    )
    return list(batches)


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.fixture
def train_split(tiny_config):
    return from_config.load_split(tiny_config, "train")


@pytest.fixture
def val_split(tiny_config):
    return from_config.load_split(tiny_config, "val")


def test_training_batch(tiny_config, train_split):
    batch = take(train_split, tiny_config, steps=1)[0]
    shapes = {name: (value.shape, value.dtype) for name, value in batch.items()}
    assert shapes == {
        "clip": ((4, 4, 64, 64, 3), np.uint8),
        "boxes": ((4, 8, 4), np.float32),
        "box_mask": ((4, 8), np.bool_),
        "labels": ((4, 8, 8), np.float32),
    }
    mask = batch["box_mask"]
    assert mask.any(axis=1).all()
    assert (batch["labels"][mask].sum(-1) > 0).all()
    assert (batch["labels"][..., 0] == 0).all()
    assert (batch["boxes"][~mask] == 0).all()
    assert (batch["boxes"] >= 0).all() and (batch["boxes"] <= 64).all()


def test_a_restart_continues_the_stream(tiny_config, train_split):
    whole = take(train_split, tiny_config, steps=5)
    resumed = take(train_split, tiny_config, first_step=3, steps=5)
    assert len(whole) == 5 and len(resumed) == 2
    for a, b in zip(whole[3:], resumed):
        assert_equal(a, b)


def run_hosts(config, hosts, folder, first_step):
    """The arrays of as many processes, of which this one is the first."""
    fields = workdir.as_dict(config)
    group = host_processes.start(
        pipeline_worker.write, hosts - 1, folder, fields, hosts, first_step, 3, folder
    )
    first = pipeline_worker.read(config, 0, hosts, first_step, 3)
    assert group.wait() == [0] * (hosts - 1), group.text()
    return [first, *(dict(np.load(file)) for file in sorted(folder.glob("*.npz")))]


@pytest.mark.parametrize("hosts", [2, 8])
def test_processes_share_the_same_batches(tiny_config, tmp_path, hosts):
    """Also after a restart, at step 1."""
    tiny_config.train.batch = tiny_config.eval.batch = 8
    whole = pipeline_worker.read(tiny_config, 0, 1, 0, 3)
    shares = run_hosts(tiny_config, hosts, tmp_path, first_step=1)
    joined = {
        name: np.concatenate([share[name] for share in shares])
        for name in shares[0]
        if name.startswith("train")
    }
    for share in shares:
        joined |= {name: a for name, a in share.items() if name.startswith("val")}
    later = {name: a for name, a in whole.items() if not name.startswith("train 0")}
    assert_equal(later, joined)


class CountedFrames:
    """Frames, and which of them were read."""

    def __init__(self, store):
        self._store = store
        self.read = []

    def __getattr__(self, name):
        return getattr(self._store, name)

    def clip(self, video, indices):
        def note(video, indices):
            self.read += [(int(video), int(i)) for i in indices]
            return indices

        noted = tf.numpy_function(note, [video, indices], tf.int64)
        return self._store.clip(video, tf.ensure_shape(noted, indices.shape))


@pytest.mark.parametrize(
    # Clips that overlap, or don't; key frames are 10 frames apart.
    ("streams", "clip_len", "interval", "overlap"),
    [(1, 8, 2, True), (3, 24, 1, True), (16, 8, 2, True), (3, 4, 2, False)],
)
def test_evaluation_reads_shared_frames_once(
    tiny_config, train_split, monkeypatch, streams, clip_len, interval, overlap
):
    monkeypatch.setattr(eval_clips, "_STREAMS", streams)
    data = tiny_config.data
    data.clip_len, data.frame_interval, data.max_boxes = clip_len, interval, 2
    tiny_config.eval.batch = 3
    counted = CountedFrames(train_split.frames)
    split = dataclasses.replace(train_split, frames=counted)
    seen = set()
    for batch in from_config.eval_batches(split, tiny_config, rows=range(3)):
        for first, count, clip in zip(
            batch["first_box"], batch["count"], batch["clip"]
        ):
            if count == 0:
                continue  # padding
            k = np.searchsorted(split.proposal_starts, first, "right") - 1
            video = split.video[k]
            wanted = split.centre[k] + interval * (np.arange(clip_len) - clip_len // 2)
            wanted = np.clip(
                wanted, split.frames.first[video], split.frames.last[video]
            )
            frames = train_split.frames.clip(video, tf.constant(wanted))
            expected = transforms.resize(frames, *clip.shape[1:3])
            np.testing.assert_array_equal(clip, expected)
            seen |= {(video, i) for i in wanted.tolist()}
    assert set(counted.read) == seen
    # One stream of each row of the batch at least: where one ends and another
    # begins, frames are read by both.
    if streams <= 3 and overlap:
        joints = 3 * clip_len
        assert len(counted.read) <= len(seen) + joints


def test_seeds_differ_and_steps_differ(tiny_config, train_split):
    first, second = take(train_split, tiny_config, steps=2)
    assert (first["clip"] != second["clip"]).any()
    tiny_config.seed = 1
    other = take(train_split, tiny_config, steps=1)[0]
    assert (first["clip"] != other["clip"]).any()


def test_an_epoch_sees_every_key_frame_once(tiny_config, train_split):
    tiny_config.data.positive_iou = 2.0  # none: only ground truth has labels
    tiny_config.data.min_visible = 0.0
    tiny_config.train.batch = len(train_split)
    epochs = [
        [row.tobytes() for row in batch["labels"]]
        for batch in take(train_split, tiny_config, steps=2)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1])
    assert epochs[0] != epochs[1]
    counts = np.diff(train_split.truth_starts)
    assert sum(np.frombuffer(row, np.float32).any() for row in epochs[0]) == sum(
        counts > 0
    )


def test_frozen_motion_repeats_the_centre_frame(tiny_config, val_split):
    def clips(config):
        return np.concatenate(
            [
                batch["clip"]
                for batch in from_config.eval_batches(val_split, config, rows=range(4))
            ]
        )

    moving = clips(tiny_config)
    tiny_config.data.freeze_motion = True
    frozen = clips(tiny_config)
    assert (frozen == frozen[:, :1]).all()
    np.testing.assert_array_equal(frozen[:, 0], moving[:, 2])
    assert (moving != frozen).any()


def test_evaluation_covers_every_proposal_once(tiny_config, val_split):
    tiny_config.data.max_boxes = 2  # so that key frames take several rows
    seen = np.zeros(len(val_split.proposal_boxes), int)
    for batch in from_config.eval_batches(val_split, tiny_config, rows=range(4)):
        height, width = batch["clip"].shape[2:4]
        for first, count, boxes in zip(
            batch["first_box"], batch["count"], batch["boxes"]
        ):
            seen[first : first + count] += 1
            expected = val_split.proposal_boxes[first : first + count]
            np.testing.assert_allclose(
                boxes[:count] / [width, height, width, height], expected, rtol=1e-6
            )
            assert (boxes[count:] == 0).all()
    assert (seen == 1).all()


def test_evaluation_groups_frames_by_shape(tiny_config, val_split):
    store = dataclasses.replace(
        val_split.frames,
        videos=val_split.frames.videos * 2,
        size=np.array([[72, 96], [72, 120]], np.int32),
    )
    split = dataclasses.replace(
        val_split, frames=store, video=np.arange(len(val_split)) % 2
    )
    plan = dict(from_config.eval_plan(split, tiny_config, rows=4))
    assert plan.keys() == {(64, 85), (64, 107)}
    for (_, width), rows in plan.items():
        videos = split.video[rows[..., 0]]
        assert (store.size[videos, 1] == {85: 96, 107: 120}[width]).all()


def test_a_clip_is_made_of_the_right_frames(tiny_config, val_split):
    tiny_config.data.test_short_side = 72  # the frames' own size
    batch = next(from_config.eval_batches(val_split, tiny_config, rows=range(4)))
    centre = int(val_split.centre[0])
    folder = val_split.frames.root / val_split.frames.videos[0]
    for t, index in enumerate(np.maximum(centre + 2 * np.arange(-2, 2), 1)):
        image = cv2.imread(str(folder / f"img_{index:05}.jpg"))[..., ::-1]
        # Both decode with libjpeg's accurate DCT; versions may round differently.
        assert np.abs(batch["clip"][0, t].astype(int) - image).max() <= 2


@pytest.mark.parametrize(
    ("proposals", "expected"),
    [
        # Below the threshold, at it, above it, exactly the ground truth.
        ([[0, 0, 10, 8.9]], []),
        ([[0, 0, 10, 9]], [[0, 1, 0]]),
        ([[0, 0, 10, 9.1]], [[0, 1, 0]]),
        ([[0, 0, 10, 10], [20, 20, 30, 30]], [[0, 1, 0], [0, 0, 1]]),
        ([[5, 5, 5, 5]], []),
        (np.zeros((0, 4)), []),
    ],
    ids=["below", "at", "above", "equal", "empty", "none"],
)
def test_targets(proposals, expected):
    truth = tf.constant([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    classes = tf.constant([[0.0, 1, 0], [0, 0, 1]])
    boxes, labels = target_assignment.assign_targets(
        truth, classes, tf.constant(proposals, tf.float32), positive_iou=0.9
    )
    np.testing.assert_array_equal(boxes[:2], truth)
    np.testing.assert_array_equal(labels[:2], classes)
    np.testing.assert_array_equal(labels[2:], np.reshape(expected, (-1, 3)))


def test_a_frame_that_vanishes_is_named(tiny_config, val_split, tmp_path):
    store = dataclasses.replace(val_split.frames, root=tmp_path)
    split = dataclasses.replace(val_split, frames=store)
    with pytest.raises(UserError, match=r"img_\d{5}\.jpg"):
        next(from_config.eval_batches(split, tiny_config, rows=range(4)))


def test_people_outside_the_crop(tiny_config, train_split):
    def people(share):
        tiny_config.data.min_visible = share
        tiny_config.data.crop = 32  # of 64 and more: cuts many
        return np.concatenate(
            [batch["box_mask"].sum(1) for batch in take(train_split, tiny_config)]
        )

    every, half, whole = people(0.0), people(0.5), people(1.0)
    # As in MMAction2 nobody is dropped by default.
    tiny_config.data.positive_iou = 2.0
    assert (people(0.0) >= 1).all()
    assert (every >= half).all() and (half >= whole).all()
    assert every.sum() > half.sum() > whole.sum()
