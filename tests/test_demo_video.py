"""From a video to an annotated one: the command, and the library under it."""

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import types
from pathlib import Path

import av
import jax
import numpy as np
import pytest
from video_files import write_video
from video_results import result

from ava_jax import errors, files, workdir
from ava_jax.annotations import read_boxes, read_proposals
from ava_jax.checkpoints import store
from ava_jax.models import detector
from ava_jax.prepare.sample_video import make_video
from ava_jax.report.people import track_color
from ava_jax.runtime import compilation_cache
from ava_jax.visualization import progress
from ava_jax.visualization.annotate_folder import annotate_folder
from ava_jax.visualization.annotate_video import Options, annotate_video

ROOT = Path(__file__).parents[1]
BOX = (8, 8, 24, 40)
SIZE = (64, 48)


class FakeDetector:
    """Sees number 1 walk at every key frame; notes how it was asked."""

    class_ids = (0, 12, 14, 79)
    labels = ("", "stand", "walk", "talk")
    trained_on = "AVA v2.1 (films)"
    config = types.SimpleNamespace(
        name="slowfast",
        eval=types.SimpleNamespace(action_threshold=0.002),
        data=types.SimpleNamespace(source="folder"),
    )

    def __init__(self, seconds=5, first=0, people=True, at=None):
        self.times = range(first, first + seconds)
        self.people = {1: (BOX, (0.1, 0.9, 0.01))} if people else {}
        self.at = at or {}

    def predict_video(self, source, boxes, **asked):
        self.boxes, self.asked = boxes, asked
        for time in self.times:
            self.at.get(time, lambda: None)()
            yield result(time * asked["every"], self.people, SIZE)


@pytest.fixture
def film(tmp_path):
    grey = np.full((50, SIZE[1], SIZE[0], 3), 90, np.uint8)
    return str(write_video(tmp_path / "film.mov", grey))


def frames_of(path):
    with av.open(str(path)) as container:
        return [
            (f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)
        ]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_writes_video_page_and_data(tmp_path, film):
    out = tmp_path / "out" / "result.mp4"
    told = annotate_video(FakeDetector(), film, out, Options())
    assert names_in(out.parent) == [
        *("result.csv", "result.html", "result.jsonl", "result.mp4")
    ]
    assert "1 person was found at 5 key frames." in told
    assert "5.0 s of video" in told and str(out) in told
    frames = frames_of(out)
    np.testing.assert_allclose([time for time, _ in frames], np.arange(50) / 10)
    assert frames[0][1].shape == (360, 480, 3)
    for _, picture in frames:
        # The left edge of the box, 7.5 times as large; colours of H.264 are coarse.
        assert np.abs(picture[200, 60] - np.array(track_color(1))).max() < 40
    table = read_boxes(out.with_suffix(".csv"), kind="detections")
    assert table.videos == ("film",)
    assert table.timestamp.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert table.label.tolist() == [12, 14, 79] * 5
    lines = out.with_suffix(".jsonl").read_text().splitlines()
    assert [json.loads(line)["time"] for line in lines] == [0, 1, 2, 3, 4]
    page = out.with_suffix(".html").read_text()
    model = "Model: slowfast, trained on AVA v2.1 (films); 3 actions"
    assert f"{model}</summary>stand, walk, talk</details>" in page
    # So small a video is part of its page.
    assert "Actions in film" in page and "data:video/mp4;base64" in page
    # Of the scores 0.9, 0.1 and 0.01 the last is too small to be shown.
    data = re.search('<script type="application/json" id="data">(.*?)</script>', page)
    assert "0.1" in data[1] and "0.01" not in data[1]


def test_a_large_video_stays_beside_its_page(tmp_path, rng):
    noise = rng.integers(0, 256, (60, 360, 480, 3), np.uint8)
    film = str(write_video(tmp_path / "film.mov", noise))
    out = tmp_path / "result.mp4"
    annotate_video(FakeDetector(), film, out, Options())
    assert out.stat().st_size > 6_000_000
    page = out.with_suffix(".html").read_text()
    assert "data:video/mp4" not in page and 'src="result.mp4"' in page
    assert page.count("<figcaption>") == 5


@pytest.mark.parametrize(
    ("source", "is_own_data", "expected"),
    [("mini", False, True), ("mini", True, False), ("vtest", False, False)],
)
def test_a_model_of_drawn_figures_says_so(
    tmp_path, film, source, is_own_data, expected
):
    detector = FakeDetector(seconds=1)
    detector.config = types.SimpleNamespace(
        name="mini",
        eval=detector.config.eval,
        data=types.SimpleNamespace(source=source),
    )
    out = tmp_path / "result.mp4"
    told = annotate_video(detector, film, out, Options(is_own_data=is_own_data))
    page = out.with_suffix(".html").read_text()
    assert ("drawn figures only" in told) == expected
    assert ("drawn figures only" in page) == expected
    # A white line on the grey film.
    (_, picture), *_ = frames_of(out)
    assert (picture[3, 3].min() > 230) == expected


def test_options_reach_the_detector(tmp_path, film):
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("film,0900,0,0,.5,.5,,.9\nfilm,0901,0,0,.5,.5,,.3\n")
    options = Options(
        **{"people": str(boxes), "person_score": 0.2, "every": 0.5, "batch": 3},
        **{"smooth": False, "start": 900.0},
    )
    fake = FakeDetector(seconds=10)
    annotate_video(fake, film, tmp_path / "result.mp4", options)
    assert fake.asked == {"every": 0.5, "batch": 3, "smooth": False}
    np.testing.assert_array_equal(fake.boxes.at(0.0)[:, :4], [[0, 0, 32, 24]])
    assert len(fake.boxes.at(1.0)) == 1
    table = read_boxes(tmp_path / "result.csv", kind="detections")
    assert table.timestamp.min() == 900 and table.timestamp.max() == 904.5


def test_nobody_is_a_result(tmp_path, film):
    out = tmp_path / "result.mp4"
    told = annotate_video(FakeDetector(people=False), film, out, Options())
    assert "Nobody was found at 5 key frames." in told
    assert "onnx:FILE" in told
    assert len(frames_of(out)) == 50
    assert (tmp_path / "result.csv").read_text() == ""


@pytest.mark.parametrize(
    ("start", "advice"),
    [
        (0, "seconds 900 to 904, and the key frames of the video are at 0 to 4"),
        (1000, "the key frames of the video are at 1000 to 1004"),
        (902, ""),
    ],
)
def test_boxes_at_other_times_are_hinted_at(tmp_path, film, start, advice):
    boxes = ROOT / "tests/data/cases/people_files/from_second_900.csv"
    options = Options(people=str(boxes), start=float(start))
    told = annotate_video(
        FakeDetector(people=False), film, tmp_path / "result.mp4", options
    )
    assert "Nobody was found at 5 key frames." in told
    page = (tmp_path / "result.html").read_text()
    for text in (told, page):
        assert advice in text
        assert ("--start 900" in text) == bool(advice)


@pytest.mark.parametrize("size", [(48, 64), (47, 63), (400, 226)])
def test_one_frame(tmp_path, size):
    film = write_video(tmp_path / "film.mov", np.full((1, *size, 3), 90, np.uint8))
    out = tmp_path / "result.mp4"
    told = annotate_video(FakeDetector(seconds=1), str(film), out, Options())
    assert "1 person was found at 1 key frame." in told
    assert len(frames_of(out)) == 1


def test_an_interrupted_video_is_whole_so_far(tmp_path, film):
    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)

    out = tmp_path / "out" / "result.mp4"
    told = annotate_video(FakeDetector(at={3: interrupt}), film, out, Options())
    assert told.startswith("Stopped")
    # The key frame at second 3 is asked for at second 2, some frames ahead.
    times = [time for time, _ in frames_of(out)]
    np.testing.assert_allclose(times, np.arange(len(times)) / 10)
    assert 15 <= len(times) <= 21
    lines = out.with_suffix(".jsonl").read_text().splitlines()
    seen = [second for second in range(4) if second < len(times) / 10]
    assert [json.loads(line)["time"] for line in lines] == seen
    assert names_in(out.parent) == [
        *("result.csv", "result.html", "result.jsonl", "result.mp4")
    ]


def test_nothing_is_left_of_an_error(tmp_path, film):
    def fail():
        raise errors.UserError("the boxes are not boxes")

    out = tmp_path / "out" / "result.mp4"
    with pytest.raises(errors.UserError, match="not boxes"):
        annotate_video(FakeDetector(at={3: fail}), film, out, Options())
    assert names_in(out.parent) == []


def test_of_a_camera_the_key_frames_are_shown(tmp_path):
    # Key frames 3 to 7: earlier ones were left out.
    out = tmp_path / "result.mp4"
    told = annotate_video(FakeDetector(first=3), "0", out, Options(every=0.5))
    assert "at 5 key frames" in told
    np.testing.assert_allclose([t for t, _ in frames_of(out)], np.arange(5) / 2)
    lines = out.with_suffix(".jsonl").read_text().splitlines()
    assert [json.loads(line)["time"] for line in lines] == [1.5, 2, 2.5, 3, 3.5]


@pytest.fixture
def folder(tmp_path, film):
    """Two videos, one of two kinds, one that is none, and other files."""
    folder = tmp_path / "videos"
    (folder / "inner.mov").mkdir(parents=True)
    for name in ("b.mov", "a.mov", "a.mp4"):
        (folder / name).write_bytes(Path(film).read_bytes())
    (folder / "broken.avi").write_text("not a video")
    (folder / "notes.txt").touch()
    return folder


def test_a_folder_is_annotated_video_by_video(tmp_path, folder, capsys):
    out = tmp_path / "out"
    with pytest.raises(errors.UserError, match="1 of 4 videos .*: broken.avi"):
        annotate_folder(FakeDetector(), folder, out, Options())
    videos = ("a.mov.mp4", "a.mp4.mp4", "b.mp4")
    assert names_in(out) == sorted(
        Path(name).with_suffix(end).name
        for name in videos
        for end in (".mp4", ".html", ".csv", ".jsonl")
    )
    told, wrong = capsys.readouterr()
    heads = re.findall(r".*, \d of 4", told)
    assert heads == [
        "a.mov, 1 of 4",
        "a.mp4, 2 of 4",
        "b.mov, 3 of 4",
        "broken.avi, 4 of 4",
    ]
    assert told.count("1 person was found at 5 key frames.") == 3
    assert "broken.avi cannot be opened" in wrong


def test_ctrl_c_ends_a_folder(tmp_path, folder):
    fake = FakeDetector(at={3: lambda: os.kill(os.getpid(), signal.SIGINT)})
    out = tmp_path / "out"
    annotate_folder(fake, folder, out, Options())
    assert len(names_in(out)) == 4


@pytest.mark.parametrize(
    ("files", "out", "message"),
    [
        (["a.mov"], "out.mp4", "its results need a folder.*--out DIR"),
        (["a.mov"], ".", "is the folder of the videos itself"),
        (["img_00001.jpg", "img_00002.jpg"], "out", "2 pictures.*ffmpeg"),
        (["notes.txt"], "out", "has no video; expected files that end in .avi"),
    ],
)
def test_folders_that_cannot_be_meant(tmp_path, files, out, message):
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(errors.UserError, match=message):
        annotate_folder(FakeDetector(), tmp_path, tmp_path / out, Options())
    assert names_in(tmp_path) == sorted(files)


def test_a_log_file_has_a_line_now_and_then(tmp_path, film, capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    annotate_video(FakeDetector(), film, tmp_path / "result.mp4", Options())
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 50
    assert re.fullmatch(r"3 of 5 s, \d+\.\dx real time, 1 person", lines[30])


@pytest.mark.parametrize(
    ("source", "out", "options", "message"),
    [
        ("film.mov", "result.avi", {}, "MP4 file"),
        ("nowhere.mov", "result.mp4", {}, "nowhere.mov"),
        ("film.mp4", "film.mp4", {}, "is the video itself"),
        ("film.mov", "film.mp4", {"people": "film.csv"}, "is the file of boxes"),
        ("film.mov", "result.mp4", {"people": "yolo"}, "no person detector 'yolo'"),
        ("film.mov", "result.mp4", {"people": "yolo11n.pt"}, "Export it as ONNX"),
        ("0", "result.mp4", {"people": "boxes.csv"}, "needs a video file"),
        ("film.mov", "/proc/none/result.mp4", {}, "cannot be written"),
    ],
)
def test_mistakes(tmp_path, film, monkeypatch, source, out, options, message):
    monkeypatch.chdir(tmp_path)
    Path("film.mp4").write_bytes(Path(film).read_bytes())
    Path("film.csv").touch()
    before = names_in(tmp_path)
    with pytest.raises(errors.UserError, match=message):
        annotate_video(FakeDetector(), source, out, Options(**options))
    assert names_in(tmp_path) == before


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "demo_video.py", *arguments],
        **{"capture_output": True, "text": True, "cwd": cwd},
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("arguments", [["film.mp4"], []])
def test_without_a_checkpoint_the_miniature_is_offered(tmp_path, arguments):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    for command in (
        "mini.py --workdir runs/mini",
        "i3d.py:vtest --workdir runs/street",
    ):
        assert f"python -m ava_jax.main --config configs/{command}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def trained(tmp_path, tiny_config):
    """A working directory, as far as prediction needs it; all scores are 0.5."""
    folder = tmp_path / "trained"
    tiny_config.model.backbone = "slowonly"
    folder.mkdir()
    files.write_json(folder / "config.json", workdir.as_dict(tiny_config))

    def value(path, leaf):
        fill = np.ones if path[-1].key in ("scale", "var") else np.zeros
        return fill(leaf.shape, np.float32)

    shapes = detector.variable_shapes(tiny_config.model)
    store.save_variables(folder, jax.tree.map_with_path(value, shapes))
    return folder


def test_shows_a_movie_of_the_models_own_data(tmp_path, trained, monkeypatch, capsys):
    out = tmp_path / "result.mp4"
    arguments = ["--checkpoint", str(trained), "--out", str(out), "--raw"]
    # It would be this whole process's.
    monkeypatch.setattr(compilation_cache, "use_cache", lambda: None)
    runpy.run_path(str(ROOT / "scripts" / "demo_video.py"))["main"](arguments)
    assert str(out) in capsys.readouterr().out
    config = workdir.from_dict(files.read_json(trained / "config.json"))
    root = Path(config.data.root)
    proposals = read_proposals(root / config.data.val.proposals)
    found = read_boxes(out.with_suffix(".csv"), kind="detections")
    truth = read_boxes(root / config.data.val.boxes)
    assert found.videos == truth.videos
    # The miniature's movies begin at second 100; so do the detections.
    assert set(truth.timestamp) <= set(found.timestamp)
    movie, second = truth.videos[0], truth.timestamp[0]
    people = proposals[movie, second]
    people = people[people[:, 4] >= 0.5, :4].clip(0, 1)
    rows = (found.timestamp == second) & (found.label == 12)
    # Through pixels in float32 and back.
    np.testing.assert_allclose(found.box[rows], people, atol=1e-6)
    np.testing.assert_array_equal(found.score, 0.5)
    assert set(found.label) == set(config.data.class_ids)


def test_the_movie_is_shown_from_its_first_key_frame_on(tmp_path, tiny_config):
    data = tiny_config.data
    boxes = Path(data.root, data.val.boxes)
    rows = boxes.read_text().splitlines(keepends=True)
    movie = rows[0].split(",")[0]
    late = tmp_path / "late.csv"
    late.write_text("".join(row for row in rows if row.startswith(f"{movie},0104")))
    whole, whole_start = make_video(data, tmp_path)
    data.val.boxes = str(late)
    (tmp_path / "late").mkdir()
    path, start = make_video(data, tmp_path / "late")
    # The miniature's movies begin at second 100, with 10 frames a second.
    assert (whole_start, start) == (100, 102)
    assert len(frames_of(whole)) - len(frames_of(path)) == 20
    first, frames = frames_of(path)[0][1].astype(int), frames_of(whole)
    differences = [np.abs(frame - first).mean() for _, frame in frames]
    assert np.argmin(differences) == 20


def test_without_its_data_a_model_needs_a_video(tmp_path, tiny_config):
    tiny_config.data.root = str(tmp_path / "elsewhere")
    with pytest.raises(errors.UserError, match="Give a video: .*elsewhere"):
        make_video(tiny_config.data, tmp_path)


def test_a_video_is_looked_at_before_weights_are_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("AVA_JAX_CACHE", str(tmp_path))
    monkeypatch.setenv("AVA_JAX_OFFLINE", "1")
    monkeypatch.setattr(compilation_cache, "use_cache", lambda: None)
    main = runpy.run_path(str(ROOT / "scripts" / "demo_video.py"))["main"]
    name = "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
    with pytest.raises(errors.UserError, match="no video file nowhere.mp4"):
        main(["nowhere.mp4", f"--checkpoint={name}"])


def test_imports_neither_tensorflow_nor_jax():
    modules = "ava_jax.people, ava_jax.report.video_page, ava_jax.report.people"
    code = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        **{"check": True, "cwd": ROOT, "capture_output": True, "text": True},
    )
    assert not {"tensorflow", "jax"} & set(done.stdout.split())
