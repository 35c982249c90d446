"""MultiSports: frames for seconds, video files, and its own files."""

import json
import pathlib
import pickle

import multisports_files
import numpy as np
import pytest
import tensorflow as tf
import video_files

from ava_jax import annotations, scoring
from ava_jax.checks.check import examine
from ava_jax.data.dataset import load_split
from ava_jax.data.examples import Examples
from ava_jax.errors import UserError
from ava_jax.evaluate import evaluate
from ava_jax.predict import Detector
from ava_jax.prepare import ava_builder, multisports
from ava_jax.prepare.extract import extract_movies, find_videos
from ava_jax.prepare.extract_movie import recipe_of
from ava_jax.train import train
from ava_jax.workdir import Workdir
from configs import multisports as recipes

GOLDEN = json.loads(
    (
        pathlib.Path(__file__).parent / "reference/mmaction2_1x/goldens/datasets.json"
    ).read_text()
)
SAMPLINGS = {"4x16": (4, 16), "8x8": (8, 8), "16x4": (16, 4), "32x2": (32, 2)}
FRAMES = GOLDEN["inputs"]["multisports"]["total_frames"]


def ground_truth():
    """`multisports_GT.pkl` of the fixture's rows, a tube each; all videos in both."""
    labels = [f"action {i}" for i in range(66)]
    content = {"labels": labels, "nframes": {}, "resolution": {}, "gttubes": {}}
    for line in GOLDEN["inputs"]["multisports"]["csv"].split():
        video, frame, *box, label, _ = line.split(",")
        video = video.removesuffix(".mp4")
        # The fixture has a frame behind the end of its video; see the test of that.
        if int(frame) > FRAMES:
            continue
        pixels = np.array(box, float) * (64, 48, 64, 48)
        tube = np.array([[int(frame), *pixels]])
        content["gttubes"].setdefault(video, {}).setdefault(int(label), []).append(tube)
        content["nframes"][video] = FRAMES
        content["resolution"][video] = (48, 64)
    videos = [list(content["gttubes"])]
    return content | {"train_videos": videos, "test_videos": videos}


def write_data_set(data, content):
    """Ground truth, proposals and videos in MultiSports' folders."""
    root = pathlib.Path(data.root)
    path = multisports_files.write_pickle(root / "multisports_GT.pkl", content)
    rows = GOLDEN["inputs"]["multisports"]["proposals"]
    proposals = {key: np.array(boxes) for key, boxes in rows.items()}
    boxes = multisports_files.write_pickle(root / "boxes.pkl", proposals)
    lines = multisports.write_annotations(data, path, {"train": boxes, "val": boxes})
    for video in content["gttubes"]:
        file = root / data.frames / f"{video}.mov"
        file.parent.mkdir(parents=True, exist_ok=True)
        video_files.write_video(file, video_files.pictures(FRAMES), fps=25)
    return lines


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """`config.data` of the fixture's MultiSports."""
    data = recipes.get_config().data
    data.root = str(tmp_path_factory.mktemp("multisports"))
    write_data_set(data, ground_truth())
    return data


def test_items_and_frames_are_mmaction2s(data):
    split = load_split(data, "val", 67)
    items = {
        item["img_key"].replace(".mp4", ""): item
        for item in GOLDEN["items"]["multisports"]
        if item["test_mode"] and item["timestamp"] <= FRAMES
    }
    assert {f"{v},{t:04g}" for v, t in map(split.key, range(len(split)))} == set(items)
    for k in range(len(split)):
        video, number = split.key(k)
        item = items[f"{video},{number:04g}"]
        truth = slice(*split.truth_starts[k : k + 2])
        # Pixels as float64, and six digits in the file.
        np.testing.assert_allclose(split.truth_boxes[truth], item["gt_bboxes"], 1e-5)
        found = [np.flatnonzero(row) - 1 for row in split.truth_classes[truth]]
        assert [row.tolist() for row in found] == item["gt_labels"]
        proposed = split.proposal_boxes[slice(*split.proposal_starts[k : k + 2])]
        np.testing.assert_array_equal(proposed, item["proposals"])
        for sampling, (clip_len, interval) in SAMPLINGS.items():
            changed = data.copy_and_resolve_references()
            changed.clip_len, changed.frame_interval = clip_len, interval
            indices = Examples(split, changed).indices(tf.constant(k, tf.int64))
            # Frames count from 1 here.
            assert (indices.numpy() - 1).tolist() == item["frames"][sampling]


def test_the_doctor_is_content(data):
    verdict = examine(data, 67).verdict
    problems = {finding.name for finding in verdict.findings if finding.is_problem}
    # The two splits of the fixture are one.
    assert problems <= {"actions without samples", "movies in both splits"}


@pytest.mark.parametrize("store", ["folder", "packed"])
def test_other_stores_give_the_same_clips(data, tmp_path, store):
    videos = load_split(data, "val", 67)
    other = data.copy_and_resolve_references()
    other.frame_store, other.frames = "folder", "rawframes"
    root = pathlib.Path(data.root)
    folder = root / "trainval/football"
    recipe = recipe_of(other, quality=100)
    extract_movies(find_videos(folder), root / "rawframes/football", recipe, workers=1)
    if store == "packed":
        ava_builder.pack(other, tmp_path / "packed", name="own", beam_arguments=())
        other.root, other.frame_store = str(tmp_path / "packed"), "packed"
    split = load_split(other, "val", 67)
    np.testing.assert_array_equal(split.centre, videos.centre)
    examples = [Examples(s, other) for s in (split, videos)]
    for k in range(len(split)):
        frames = [
            e.frames(
                tf.constant(k, tf.int64), e.indices(tf.constant(k, tf.int64)), (48, 64)
            )
            for e in examples
        ]
        # JPEG's loss; the frames of the other store's neighbours differ by 22 and more.
        assert np.abs(frames[0].numpy().astype(int) - frames[1].numpy()).mean() < 12


def test_frames_behind_the_end_of_a_video_are_named(tmp_path):
    content = ground_truth()
    video = next(iter(content["gttubes"]))
    content["gttubes"][video][33] = [np.array([[12_000, 1, 2, 30, 40]])]
    data = recipes.get_config().data
    data.root = str(tmp_path)
    write_data_set(data, content)
    with pytest.raises(UserError, match="timestamps after the end of their movie"):
        load_split(data, "val", 67)


def test_files_say_what_they_hold(tmp_path):
    data = recipes.get_config().data
    data.root = str(tmp_path)
    lines = write_data_set(data, ground_truth())
    assert "4 boxes of 1 videos" in lines[0] and "2 frames with proposals" in lines[-1]
    labels = annotations.read_labels(tmp_path / data.labels)
    assert len(labels) == 66 and labels[1] == "aerobic push up"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n", "is no pickle"),
        (pickle.dumps([1]), "multisports_GT.pkl: a dict with"),
        (pickle.dumps({"labels": []}), "multisports_GT.pkl: a dict with"),
    ],
)
def test_other_ground_truth_is_named(tmp_path, content, message):
    data = recipes.get_config().data
    data.root = str(tmp_path)
    (tmp_path / "GT.pkl").write_bytes(content)
    with pytest.raises(UserError, match=message):
        multisports.write_annotations(data, tmp_path / "GT.pkl", {})
    assert not (tmp_path / data.val.boxes).exists()


@pytest.mark.usefixtures("quick_compilation")
def test_it_trains_evaluates_and_predicts(tmp_path, monkeypatch):
    content = ground_truth()
    video = next(iter(content["gttubes"]))
    track = np.array([[i, 10, 5, 40, 40] for i in range(20, 44)], float)
    content["gttubes"] = {video: {33: [track], 60: [track + [0, 10, 0, 10, 0]]}}
    config = recipes.get_config()
    config.data.root = str(tmp_path)
    write_data_set(config.data, content)
    config.model.depth, config.model.width = 10, 8
    config.data.crop = config.data.test_short_side = 48
    config.data.train_short_side, config.data.max_boxes = (48, 56), 8
    config.init_from = "scratch"
    config.train.batch = config.eval.batch = 8
    config.train.epochs, config.eval.every_epochs = 1, 0
    workdir = Workdir(tmp_path / "run")
    workdir.claim(config, False)
    metrics = train(config, workdir)

    linked, score = [], scoring.score_tubes
    monkeypatch.setattr(
        scoring, "score_tubes", lambda *args: linked.append(args[1]) or score(*args)
    )
    again = evaluate(config, Workdir(tmp_path / "run"))
    assert again["tubes"] == metrics["tubes"]
    # Each box's best action; every frame has one box here, of the whole picture.
    rows = annotations.read_boxes(
        tmp_path / "run/detections_val.csv", kind="detections"
    )
    best = {time: rows.score[rows.timestamp == time].max() for time in rows.timestamp}
    found = dict(zip(linked[0].timestamp, linked[0].score, strict=True))
    assert found == pytest.approx(best, rel=1e-6) and len(best) == 24
    tubes = metrics["tubes"]
    assert tubes["counts"]["ground_truth_tubes"] == 2
    assert set(tubes["per_class"]) == {"34", "61"}
    assert set(tubes["video_mAP"]) >= {"0.2", "0.5", "0.10:0.90"}
    shown = (tmp_path / "run/report/index.html").read_text()
    for text in ("video-mAP at IoU 0.5", "AP of tubes", "2 true tubes"):
        assert " ".join(text.split()) in " ".join(shown.split())
    detector = Detector.from_checkpoint(tmp_path / "run")
    clip = np.zeros((4, 48, 64, 3), np.uint8)
    scores = detector.predict(clip, [[5, 5, 40, 40]])
    np.testing.assert_allclose(scores.sum(), 1, atol=1e-5)
