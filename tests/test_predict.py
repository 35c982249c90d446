"""Prediction: equal to evaluation, from arrays and from videos."""

import dataclasses
import shutil
import subprocess
import sys
import threading

import from_config
import jax
import numpy as np
import pytest
import tensorflow as tf
from made_up import made_up_variables
from video_files import pictures, write_video

from ava_jax.checkpoints import load, store
from ava_jax.checkpoints.pytorch import convert_file
from ava_jax.checkpoints.pytorch.converter import to_state_dict
from ava_jax.checkpoints.pytorch.writer import write_pytorch
from ava_jax.data import clips, transforms
from ava_jax.errors import UserError
from ava_jax.inference.video_results import KeyFrameResult
from ava_jax.models import build_detector
from ava_jax.predict import Detector
from ava_jax.runtime import sharding
from ava_jax.video import resize
from ava_jax.video.clip_sampling import ClipSampling
from configs import mini as mini_config

BOXES = np.array([[4, 5, 30, 40], [20, 2, 63, 47], [0, 0, 64, 48]], np.float32)


@pytest.fixture(scope="module")
def config(tiny_root):
    config = mini_config.get_config()
    config.data.source = "folder"
    config.data.root = str(tiny_root)
    config.data.clip_len, config.data.frame_interval = 4, 2
    config.data.test_short_side = 64
    config.data.max_boxes = 4
    config.model.backbone, config.model.width = "slowonly", 8
    config.eval.batch = 4
    return config


@pytest.fixture(scope="module")
def variables(config):
    return made_up_variables(config.model)


@pytest.fixture(scope="module")
def file(config, variables, tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "tiny.pth"
    write_pytorch(path, to_state_dict(variables), {})
    return path


@pytest.fixture(scope="module")
def directory(config, file):
    out = file.parent / "converted"
    convert_file.convert_file(file, out, config)
    return out


@pytest.fixture(scope="module")
def model(directory):
    return Detector.from_checkpoint(directory)


@pytest.fixture(scope="module")
def movie():
    """Six seconds at ten frames a second; key frames at 0 to 5 seconds."""
    return pictures(60)


@pytest.fixture(scope="module")
def video(movie, tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "a.mov", movie)


def test_scores_equal_evaluations(config, variables, model):
    split = from_config.load_split(config, "val")
    mesh = sharding.make_mesh()
    eval_step = from_config.make_eval_step(build_detector(config.model), config, mesh)
    expected = np.zeros((len(split.proposal_boxes), config.model.num_classes))
    for batch in from_config.eval_batches(split, config, rows=range(4)):
        scores = np.asarray(eval_step(variables, batch["clip"], batch["boxes"]))
        for i, (first, count) in enumerate(zip(batch["first_box"], batch["count"])):
            expected[first : first + count] = scores[i, :count]
            # What evaluation has scaled already, in another size of batch, whose
            # sums have another order.
            found = model.predict(batch["clip"][i], batch["boxes"][i, :count])
            np.testing.assert_allclose(found, scores[i, :count], rtol=0, atol=1e-6)
    assert expected.std(axis=0)[1:].min() > 0.005
    for k in range(len(split)):
        rows = slice(*split.proposal_starts[k : k + 2])
        boxes = split.proposal_boxes[rows] * (96, 72, 96, 72)
        found = model.predict(frames_of(split, k, config), boxes)
        # TensorFlow and OpenCV differ by one level of 255 when they scale a frame.
        np.testing.assert_allclose(found, expected[rows], rtol=0, atol=2e-3)


def frames_of(split, k, config):
    """The clip of a key frame in the size of its files."""
    video, store = split.video[k], split.frames
    offsets = ClipSampling.from_config(config.data).offsets()
    indices = clips.frame_indices(
        split.centre[k], store.first[video], store.last[video], offsets
    )
    return np.stack([store.read(video, int(i)) for i in indices])


@pytest.mark.parametrize(
    ("height", "width"), [(72, 96), (48, 64), (97, 71), (64, 64), (360, 640)]
)
def test_frames_and_boxes_are_scaled_as_in_evaluation(height, width, rng):
    frame = rng.integers(0, 256, (height, width, 3), np.uint8)
    size = transforms.size_for_short_side(tf.constant(height), tf.constant(width), 64)
    expected = transforms.resize(frame[None], *size)[0].numpy().astype(int)
    found = resize.resize_frame(frame, 64)
    # OpenCV rounds weights to 11 bits.
    assert np.abs(found - expected).max() <= 1
    boxes = rng.uniform(0, 60, (5, 4)).astype(np.float32)
    np.testing.assert_array_equal(
        resize.resize_boxes(boxes, (height, width), found.shape[:2]),
        transforms.resize_boxes(boxes, (height, width), size),
    )


def test_any_number_of_boxes(model, config, movie, rng):
    frames = movie[:4]
    corners = rng.uniform(0, 48, (11, 2, 2)).astype(np.float32)
    boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1)
    whole = model.predict(frames, boxes)
    assert whole.shape == (11, config.model.num_classes) and whole.dtype == np.float32
    # More than max_boxes, one alone: the same program, so the same bits.
    one_by_one = np.concatenate([model.predict(frames, box[None]) for box in boxes])
    np.testing.assert_array_equal(whole, one_by_one)
    assert model.predict(frames, boxes[:0]).shape == (0, config.model.num_classes)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_stream_gives_what_the_array_gives(model, movie, video, batch):
    found = list(model.predict_video(video, lambda _: BOXES, batch=batch))
    assert [result.time for result in found] == [0, 1, 2, 3, 4, 5]
    for result in found:
        centre = round(10 * result.time)
        np.testing.assert_array_equal(result.frame, movie[centre])
        np.testing.assert_array_equal(result.boxes, BOXES)
        np.testing.assert_array_equal(result.track_ids, found[0].track_ids)
        indices = np.clip(centre + 2 * np.arange(-2, 2), 0, 59)
        expected = model.predict(movie[indices], BOXES)
        # Another batch is another program, whose sums have another order.
        atol = 0 if batch == 1 else 1e-6
        np.testing.assert_allclose(result.scores, expected, rtol=0, atol=atol)


def test_people_come_and_go(model, video):
    """More boxes than a row has, none, one: across the batches."""
    counts = [5, 0, 1, 9, 0, 0]
    many = np.concatenate([BOXES] * 3)

    @dataclasses.dataclass
    class FromFile:
        def at(self, seconds):
            count = counts[round(seconds)]
            return np.hstack([many[:count], np.ones((count, 1), np.float32)])

    found = list(model.predict_video(video, FromFile(), batch=3))
    assert [len(result.boxes) for result in found] == counts
    assert [len(result.track_ids) for result in found] == counts
    alone = {r.time: r for r in model.predict_video(video, many)}
    for result, count in zip(found, counts):
        np.testing.assert_allclose(
            result.scores, alone[result.time].scores[:count], rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("every", [1, 4])
def test_numbers_stay_however_far_apart_key_frames_are(model, video, every):
    found = list(model.predict_video(video, BOXES, every=every))
    assert len(found) > 1
    assert {tuple(result.track_ids) for result in found} == {(1, 2, 3)}


def test_a_person_may_be_missed_at_one_key_frame(model, video):
    @dataclasses.dataclass
    class MissedAtTwo:
        def at(self, seconds):
            boxes = BOXES[:0] if seconds == 2 else BOXES
            return np.hstack([boxes, np.ones((len(boxes), 1), np.float32)])

    found = list(model.predict_video(video, MissedAtTwo(), every=2))
    assert [r.time for r in found] == [0, 2, 4]
    assert [tuple(r.track_ids) for r in found] == [(1, 2, 3), (), (1, 2, 3)]


def test_boxes_by_name(model, video, tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("a,2,0.25,0.25,0.5,0.75,12,0.9\n")
    found = {r.time: r.boxes for r in model.predict_video(video, str(path))}
    np.testing.assert_allclose(found[2], [[16, 12, 32, 36]])
    assert len(found[4]) == 0
    # Nobody is in these pictures: a normal result.
    assert all(len(r.scores) == 0 for r in model.predict_video(video))


def test_a_file_of_other_times_is_warned_of(model, video, tmp_path, caplog):
    path = tmp_path / "boxes.csv"
    path.write_text("a,900,0.25,0.25,0.5,0.75,12,0.9\n")
    assert all(len(r.boxes) == 0 for r in model.predict_video(video, str(path)))
    assert "boxes.csv has boxes from second 900 to 900, but the video" in caplog.text


def test_smoothed_scores_lag_behind(model, video):
    raw, smooth = (
        np.stack([r.scores for r in model.predict_video(video, BOXES, smooth=s)])
        for s in (False, True)
    )
    np.testing.assert_array_equal(raw[0], smooth[0])
    assert np.abs(np.diff(smooth, axis=0)).mean() < np.abs(np.diff(raw, axis=0)).mean()


def test_a_live_source_leaves_key_frames_out(model, video):
    every = {r.time: r.scores for r in model.predict_video(video, BOXES, every=0.2)}
    found = list(model.predict_video(video, BOXES, every=0.2, live=True))
    times = [result.time for result in found]
    assert times == sorted(set(times)) and times[-1] == max(every)
    for result in found:
        np.testing.assert_array_equal(result.scores, every[result.time])
        assert result.latency >= 0


def test_stopping_early_leaves_no_thread(model, video):
    before = threading.active_count()
    results = model.predict_video(video, BOXES)
    next(results)
    results.close()
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("options", "every", "expected"),
    [
        ({}, 1.0, [0, 1]),
        ({}, 0.5, [0, 0.5, 1]),
        ({"fps": 240}, 0.1, [0]),
        ({"rotation": 90}, 1.0, [0, 1]),
        ({"times": [0, 0.1, 0.7, 0.75, 3]}, 1.0, [0, 1, 2, 3]),
    ],
    ids=["plain", "often", "240 fps", "phone", "variable rate"],
)
def test_videos(model, tmp_path, options, every, expected):
    count = len(options.get("times", range(12)))
    path = write_video(tmp_path / "a.mov", pictures(count, 47, 65), **options)
    shapes = []

    def nobody(frame):
        shapes.append(frame.shape)
        return np.zeros((0, 5))

    found = [r.time for r in model.predict_video(path, nobody, every=every)]
    np.testing.assert_allclose(found[: len(expected)], expected)
    upright = (65, 47, 3) if "rotation" in options else (47, 65, 3)
    assert set(shapes) == {upright}


def test_a_video_of_one_frame(model, tmp_path):
    picture = pictures(1)
    path = write_video(tmp_path / "a.mov", picture)
    (result,) = model.predict_video(path, BOXES)
    expected = model.predict(np.repeat(picture, 4, axis=0), BOXES)
    np.testing.assert_array_equal(result.scores, expected)


def test_actions_of_a_result():
    scores = np.array([[0.9, 0.2, 0.8, 0.4], [0.9, 0.1, 0.1, 0.1]], np.float32)
    result = KeyFrameResult(
        time=0.0,
        frame=np.zeros((4, 4, 3), np.uint8),
        boxes=BOXES[:2],
        track_ids=np.array([1, 2]),
        scores=scores,
        labels=("", "a", "b", "c"),
        latency=0.0,
    )
    assert result.actions(threshold=0.3) == [
        [("b", pytest.approx(0.8)), ("c", pytest.approx(0.4))],
        [],
    ]
    assert [len(row) for row in result.actions(threshold=0, top=1)] == [1, 1]


def test_names_of_the_classes(model, config):
    assert model.class_ids == (0, *config.data.class_ids)
    assert model.labels[:3] == ("", "jump/leap", "lie/sleep")


def test_names_that_the_directory_holds(directory, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    (copy / "labels.json").write_text('{"4": "own a", "9": "own b"}')
    with pytest.raises(UserError, match="labels.json names 2 actions.*scores 7"):
        Detector.from_checkpoint(copy)
    (copy / "labels.json").unlink()
    assert Detector.from_checkpoint(copy).labels[1] == "jump/leap"


@pytest.mark.parametrize("labels", ["map", "mapping"])
def test_own_labels(directory, config, tmp_path, labels):
    names = {i: f"own {i}" for i in config.data.class_ids}
    if labels == "map":
        path = tmp_path / "labels.txt"
        path.write_text("".join(f"{i}: {name}\n" for i, name in names.items()))
        given = path
    else:
        given = names
    found = Detector.from_checkpoint(directory, labels=given)
    assert found.labels == ("", *names.values())


def test_a_pytorch_file_is_the_same_detector(file, directory, config):
    found = load.read_detector(file, config)
    expected = load.read_detector(directory)
    assert found[2] == expected[2]
    jax.tree.map(np.testing.assert_array_equal, found[1], expected[1])


def test_weights_that_are_not_finite_are_refused(directory, variables, tmp_path):
    broken = jax.tree.map(np.array, variables)
    leaf = jax.tree.leaves(broken)[0]
    leaf[...] = np.nan
    shutil.copy(directory / "config.json", tmp_path)
    store.save_variables(tmp_path, broken)
    with pytest.raises(UserError, match="newest checkpoint hold NaN or infinity"):
        Detector.from_checkpoint(tmp_path)


def test_type_of_the_computation(directory, model):
    found = Detector.from_checkpoint(directory, dtype="bfloat16")
    assert found.config.model.dtype == "bfloat16"
    assert model.config.model.dtype == "float32"


def recogniser(file, tmp_path):
    from ava_jax.checkpoints import read_pytorch

    path = tmp_path / "recogniser.pth"
    tensors = read_pytorch(file)
    backbone = {k: v for k, v in tensors.items() if k.startswith("backbone.")}
    write_pytorch(path, backbone, {})
    return path


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("missing", "no checkpoint"),
        ("empty", "no config.json"),
        ("no config", "SlowOnly R10.*configs/"),
        ("other config", "SlowOnly R10.*SlowFast R10"),
        ("two configs", "its own configuration"),
        ("recogniser", "recogniser"),
        ("converted recogniser", "recogniser"),
        ("labels", "up to 3.*1 to 7|no name for the actions"),
        ("dtype", "float7"),
    ],
)
def test_what_is_no_detector_is_refused(
    file, directory, config, tmp_path, case, message
):
    path, options = directory, {}
    if case == "missing":
        path = tmp_path / "nothing"
    elif case == "empty":
        path = tmp_path
    elif case == "no config":
        path = file
    elif case == "other config":
        path, options = file, {"config": "configs/mini.py"}
    elif case == "two configs":
        options = {"config": config}
    elif case == "recogniser":
        path, options = recogniser(file, tmp_path), {"config": config}
    elif case == "converted recogniser":
        path = tmp_path / "out"
        convert_file.convert_file(recogniser(file, tmp_path), path, config)
    elif case == "labels":
        options = {"labels": {1: "a", 3: "b"}}
    elif case == "dtype":
        options = {"dtype": "float7"}
    with pytest.raises(UserError, match=message):
        Detector.from_checkpoint(path, **options)


@pytest.mark.parametrize(
    ("frames", "boxes", "message"),
    [
        (np.zeros((3, 8, 8, 3), np.uint8), BOXES, "4 frames, 2 apart at 10 frames"),
        (np.zeros((4, 8, 8), np.uint8), BOXES, r"\(4, height, width, 3\)"),
        (np.zeros((4, 8, 8, 3), np.float32), BOXES, "float32; expected uint8"),
        (np.zeros((4, 8, 0, 3), np.uint8), BOXES, "at least one pixel"),
        (np.zeros((4, 8, 8, 3), np.uint8), BOXES[0], r"shape \(4,\)"),
        (np.zeros((4, 8, 8, 3), np.uint8), [[0, 0, 1, np.nan]], r"boxes\[0\].*nan"),
        # As AVA's files have them.
        (np.zeros((4, 8, 9, 3), np.uint8), [[0.1, 0.2, 0.5, 1]], "fractions.*9.*8"),
        (
            np.zeros((4, 50, 9, 3), np.uint8),
            [[20, 0, 40, 9]],
            "not on .* 9 x 50 pixels",
        ),
    ],
    ids=["length", "axes", "type", "empty", "boxes", "nan", "fractions", "off"],
)
def test_what_cannot_be_scored_is_refused(model, frames, boxes, message):
    with pytest.raises(UserError, match=message):
        model.predict(frames, boxes)


@pytest.mark.parametrize("options", [{"every": 0}, {"every": 0.05}, {"batch": 0}])
def test_options_that_make_no_sense_are_refused(model, video, options):
    with pytest.raises(UserError, match="every=.*batch="):
        model.predict_video(video, BOXES, **options)


def test_an_error_of_the_person_detector_arrives(model, video):
    with pytest.raises(UserError, match=r"shape \(2, 3\)"):
        next(model.predict_video(video, lambda _: np.zeros((2, 3))))


def test_a_detector_may_return_boxes_and_scores(model, video):
    found = next(model.predict_video(video, lambda _: (BOXES, np.full(3, 0.5))))
    np.testing.assert_array_equal(found.boxes, BOXES)


def test_tensorflow_is_not_needed():
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "import ava_jax.predict, ava_jax.video.reader, ava_jax.people"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
