"""AVA-Kinetics: Kinetics' clips beside AVA's movies."""

import json
import os
import pathlib
import pickle

import numpy as np
import pytest
import tensorflow as tf
import video_files

from ava_jax import annotations
from ava_jax import config as ava_config
from ava_jax.annotations import clip_names
from ava_jax.checks.check import examine
from ava_jax.data import frames
from ava_jax.data.dataset import load_split
from ava_jax.data.examples import Examples
from ava_jax.errors import UserError
from ava_jax.prepare import ava_kinetics
from ava_jax.prepare.extract import extract_movies
from ava_jax.prepare.extract_movie import recipe_of
from configs import ava_kinetics as recipes
from configs import slowfast

GOLDEN = json.loads(
    (
        pathlib.Path(__file__).parent / "reference/mmaction2_1x/goldens/datasets.json"
    ).read_text()
)
SAMPLINGS = {"4x16": (4, 16), "8x8": (8, 8), "16x4": (16, 4), "32x2": (32, 2)}


def write_inputs(data, inputs):
    """The annotation files of one of the data sets, as `config.data` names them."""
    root = pathlib.Path(data.root)
    (root / "annotations").mkdir(parents=True)
    items = (f'item {{ name: "action {i}" id: {i} }}\n' for i in range(1, 81))
    (root / data.labels).write_text("".join(items))
    proposals = {key: np.array(rows) for key, rows in inputs["proposals"].items()}
    for split in ("train", "val"):
        files = data[split]
        (root / files.boxes).write_text(inputs["csv"])
        (root / files.exclusions).write_text(inputs["exclude"])
        (root / files.proposals).write_bytes(pickle.dumps(proposals))


def write_frames(data):
    """A folder of frames for each movie, all links to one picture."""
    folder = pathlib.Path(data.root, data.frames)
    folder.mkdir()
    picture = folder.parent / "picture.jpg"
    picture.write_bytes(tf.io.encode_jpeg(np.zeros((24, 32, 3), np.uint8)).numpy())
    table = annotations.read_boxes(pathlib.Path(data.root, data.train.boxes))
    for movie in table.videos:
        clip = clip_names.parse(movie)
        (folder / movie).mkdir()
        for i in range(30 * (clip.end - clip.start) if clip else 27_000):
            os.link(picture, folder / movie / f"img_{i + 1:05}.jpg")


@pytest.fixture(scope="module")
def kinetics(tmp_path_factory):
    """`config.data` of the fixture's AVA-Kinetics."""
    data = recipes.get_config().data
    data.root = str(tmp_path_factory.mktemp("kinetics"))
    write_inputs(data, GOLDEN["inputs"]["ava_kinetics"])
    write_frames(data)
    return data


@pytest.fixture(scope="module")
def ava(tmp_path_factory):
    """`config.data` of the fixture's AVA, by a recipe of MMAction2 1.x."""
    name = "slowfast_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb"
    data = slowfast.get_config(name).data
    data.root = str(tmp_path_factory.mktemp("ava"))
    data.no_proposals = "full_frame"
    write_inputs(data, GOLDEN["inputs"]["ava"])
    write_frames(data)
    return data


@pytest.mark.parametrize("name", ["ava_kinetics", "ava"])
@pytest.mark.parametrize("mode", ["train", "val"])
def test_items_are_mmaction2s(request, name, mode):
    data = request.getfixturevalue("kinetics" if name == "ava_kinetics" else "ava")
    items = {
        item["img_key"]: item
        for item in GOLDEN["items"][name]
        if item["test_mode"] == (mode == "val")
    }
    split = load_split(data, mode, 81)
    assert {f"{v},{s:04g}" for v, s in map(split.key, range(len(split)))} == set(items)
    for k in range(len(split)):
        video, second = split.key(k)
        item = items[f"{video},{second:04g}"]
        truth = slice(*split.truth_starts[k : k + 2])
        np.testing.assert_array_equal(split.truth_boxes[truth], item["gt_bboxes"])
        found = [np.flatnonzero(row).tolist() for row in split.truth_classes[truth]]
        assert found == item["gt_labels"]
        proposed = split.proposal_boxes[slice(*split.proposal_starts[k : k + 2])]
        np.testing.assert_array_equal(proposed, item["proposals"])


@pytest.mark.parametrize("name", ["ava_kinetics", "ava"])
def test_frames_are_mmaction2s(request, name):
    data = request.getfixturevalue("kinetics" if name == "ava_kinetics" else "ava")
    split = load_split(data, "val", 81)
    items = {i["img_key"]: i for i in GOLDEN["items"][name] if i["test_mode"]}
    for sampling, (clip_len, interval) in SAMPLINGS.items():
        changed = data.copy_and_resolve_references()
        changed.clip_len, changed.frame_interval = clip_len, interval
        examples = Examples(split, changed)
        for k in range(len(split)):
            video, second = split.key(k)
            expected = items[f"{video},{second:04g}"]["frames"][sampling]
            found = examples.indices(tf.constant(k, tf.int64)).numpy()
            assert found.tolist() == expected, (sampling, video, second)


def test_the_doctor_is_content(kinetics):
    verdict = examine(kinetics, 81).verdict
    problems = {finding.name for finding in verdict.findings if finding.is_problem}
    # The two splits of the fixture are one; nothing about time or proposals.
    assert problems == {"actions without samples", "movies in both splits"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("-4PkFEs5dD4_000004_000014", ("-4PkFEs5dD4", 4, 14)),
        ("a_b_c-dEf_h_000120_000124", ("a_b_c-dEf_h", 120, 124)),
        ("0f39OWEqJ24", None),
        ("short_000004_000014", None),
        ("-4PkFEs5dD4_4_14", None),
    ],
)
def test_names_of_clips(name, expected):
    assert clip_names.parse(name) == expected


@pytest.fixture
def clip_video(tmp_path):
    """A clip of Kinetics as a file of 4 s, in the data set's folder of videos."""
    data = recipes.get_config().data
    data.root = str(tmp_path)
    folder = tmp_path / "videos"
    folder.mkdir()
    path = folder / "Zz9Zz9Zz9Zz_001003_001007.mov"
    video_files.write_video(path, video_files.pictures(120), fps=30)
    return data, path


def test_files_of_clips_begin_with_the_clip(clip_video):
    data, path = clip_video
    folder = pathlib.Path(data.root, data.frames)
    (movie,) = extract_movies(
        [path], folder, recipe_of(data, end=1801), names_of_clips=True, workers=1
    )
    assert (movie.error, movie.first, movie.frames) == ("", 1, 120)
    extracted = frames.open_frames(data, [path.stem])
    data.frame_store, data.frames = "video", "videos"
    files = frames.open_frames(data, [path.stem])
    for store in (extracted, files):
        # Second 1003, of 900, is frame 1.
        assert store.first[0] == 1 and store.last[0] == 120
        assert store.origin[0] + 30 * (1003 - 900) == 1
    for index in (2, 61, 119):
        frame = extracted.read(0, index).astype(int)
        near = [files.read(0, i).astype(int) for i in (index - 1, index, index + 1)]
        # JPEG loses some of it.
        assert np.argmin([np.abs(frame - other).mean() for other in near]) == 1


def write_merge_inputs(root):
    """Google's Kinetics rows, AVA's, proposals of both; and folders of three clips."""
    (root / "annotations").mkdir()
    for clip in (
        "aaaaaaaaaaa_000004_000014",
        "aaaaaaaaaaa_000020_000030",
        "bbbbbbbbbbb_000000_000010",
    ):
        (root / "rawframes" / clip).mkdir(parents=True)
    kinetics = root / "annotations/kinetics_train_v1.0.csv"
    kinetics.write_text(
        "aaaaaaaaaaa,0009,0.1,0.2,0.3,0.4,12\n"
        "aaaaaaaaaaa,0025,0.1,0.2,0.3,0.4,12\n"
        "aaaaaaaaaaa,0014,0.1,0.2,0.3,0.4,12\n"
        "aaaaaaaaaaa,13.999,0.1,0.2,0.3,0.4,12\n"
        "aaaaaaaaaaa,0004,0.1,0.2,0.3,0.4,12\n"
        "bbbbbbbbbbb,0005,,,,,\n"
        "ccccccccccc,0005,0.1,0.2,0.3,0.4,80\n"
        "bbbbbbbbbbb_000000_000010,0003,0.1,0.2,0.3,0.4,80,-1\n"
    )
    ava = root / "annotations/ava_train_v2.2.csv"
    ava.write_text("0f39OWEqJ24,0902,0.5,0.164,0.992,0.988,12,0\n")
    paths = [root / "kinetics.pkl", root / "ava.pkl"]
    for path, score in zip(paths, (0.5, 0.9), strict=True):
        rows = {"aaaaaaaaaaa,0009": np.array([[0.1, 0.2, 0.3, 0.4, score]])}
        path.write_bytes(pickle.dumps(rows | {f"{path.stem},0001": np.ones((1, 5))}))
    return kinetics, ava, paths


def test_annotations_are_joined(tmp_path):
    kinetics, ava, paths = write_merge_inputs(tmp_path)
    data = recipes.get_config().data
    data.root = str(tmp_path)
    merged = ava_kinetics.merge(data, kinetics=kinetics, ava=ava, proposals=paths)

    lines = (tmp_path / data.train.boxes).read_text().splitlines()
    assert lines == [
        "aaaaaaaaaaa_000004_000014,0009,0.1,0.2,0.3,0.4,12",
        "aaaaaaaaaaa_000020_000030,0025,0.1,0.2,0.3,0.4,12",
        "aaaaaaaaaaa_000004_000014,0013,0.1,0.2,0.3,0.4,12",
        "bbbbbbbbbbb_000000_000010,0003,0.1,0.2,0.3,0.4,80,-1",
        "0f39OWEqJ24,0902,0.5,0.164,0.992,0.988,12,0",
    ]
    joined = annotations.read_proposals(tmp_path / data.train.proposals)
    assert len(joined) == merged.proposals == 3
    assert joined["aaaaaaaaaaa", 9.0][0, 4] == 0.9  # the last file's
    text = merged.text()
    assert "4 rows of Kinetics, 1 of AVA" in text and "1 rows without a box" in text
    assert "1 rows of Kinetics at a fraction of a second" in text
    assert "3 rows of 2 videos" in text and "aaaaaaaaaaa, ccccccccccc" in text


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("kinetics", "a,b,c\n", "kinetics.csv:1: 3 columns, expected video, second"),
        ("kinetics", "a,nine,0.1,0.2,0.3,0.4,1\n", "kinetics.csv:1: second is 'nine'"),
        ("kinetics", "a,nan,0.1,0.2,0.3,0.4,1\n", "kinetics.csv:1: second is 'nan'"),
        ("ava", "a,9,0.1,0.2,0.3,wide,1\n", "y2 is 'wide'"),
        ("ava", None, "ava.csv cannot be read"),
    ],
)
def test_what_cannot_be_joined(tmp_path, name, text, message):
    write_merge_inputs(tmp_path)
    paths = {key: tmp_path / f"{key}.csv" for key in ("kinetics", "ava")}
    for path in paths.values():
        path.write_text("")
    if text is None:
        paths[name].unlink()
    else:
        paths[name].write_text(text)
    data = recipes.get_config().data
    data.root = str(tmp_path)
    with pytest.raises(UserError, match=message):
        ava_kinetics.merge(data, **paths)
    assert not (tmp_path / data.train.boxes).exists()


def test_a_folder_without_clips_is_named(tmp_path):
    data = ava_config.load("configs/ava_kinetics.py").data
    data.root = str(tmp_path)
    with pytest.raises(UserError, match="rawframes has no clip of Kinetics"):
        ava_kinetics.merge(data, kinetics="none", ava="none")
