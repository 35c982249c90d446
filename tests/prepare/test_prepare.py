"""Making a data set: frames, proposals; stopped, damaged, repeated."""

import errno
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import cv2
import from_config
import numpy as np
import pytest
import video_files

from ava_jax import annotations, people
from ava_jax.errors import UserError
from ava_jax.prepare import detect_people, extract
from ava_jax.prepare.extract_movie import Recipe, recipe_of

ROOT = pathlib.Path(__file__).parents[2]


def grey(count, height=16, width=24):
    """Frames that tell their number: frame i is 4 i everywhere."""
    level = 4 * np.arange(count, dtype=np.uint8)
    return np.broadcast_to(level[:, None, None, None], (count, height, width, 3))


def video(folder, name="film.mov", count=60, fps=25, **options):
    folder.mkdir(exist_ok=True)
    return video_files.write_video(folder / name, grey(count), fps=fps, **options)


def shown(folder):
    """The numbers of the source frames that the frames of a folder show."""
    files = sorted(folder.iterdir())
    return {file.name: round(cv2.imread(str(file)).mean() / 4) for file in files}


# Frames


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (Recipe(fps=25), list(range(60))),
        # The nearest in time; of 27 and 28, which are equally near, the earlier.
        (Recipe(fps=10, start=1, end=1.5), [25, 27, 30, 32, 35]),
        (Recipe(fps=50, end=0.1), [0, 0, 1, 1, 2]),
        (Recipe(fps=5, start=2), [50, 55]),
    ],
    ids=["same rate", "slower, cut", "faster", "to the end"],
)
def test_frames_are_the_nearest_in_time(tmp_path, recipe, expected):
    film = video(tmp_path / "videos")
    (movie,) = extract.extract_movies([film], tmp_path / "out", recipe)
    found = shown(tmp_path / "out/film")
    names = [f"img_{i:05}.jpg" for i in range(1, len(expected) + 1)]
    assert found == dict(zip(names, expected, strict=True))
    assert (movie.frames, movie.first, movie.error) == (len(expected), 1, "")


def test_a_video_that_begins_late_has_no_first_frames(tmp_path):
    film = video(tmp_path / "videos", count=20, fps=10)
    recipe = Recipe(fps=10, start=-1)
    (movie,) = extract.extract_movies([film], tmp_path / "out", recipe)
    assert movie.first == 11
    assert list(shown(tmp_path / "out/film"))[0] == "img_00011.jpg"


def test_the_recipe_is_the_configurations(tiny_config):
    data = tiny_config.data
    data.fps, data.timestamp_start, data.video_start = 30, 900, 0
    assert recipe_of(tiny_config.data, end=1801) == Recipe(fps=30, start=900, end=1801)
    data.video_start, data.frame_name = 900, "{video}_{:06}.jpg"
    assert recipe_of(tiny_config.data, end=1801) == Recipe(
        fps=30, start=0, end=901, frame_name="{video}_{:06}.jpg"
    )


@pytest.mark.parametrize(
    ("short_side", "size"), [(0, (24, 16)), (8, (12, 8)), (500, (24, 16))]
)
def test_size_and_names(tmp_path, short_side, size):
    film = video(tmp_path / "videos", count=2)
    name = "{video}_{:06}.jpg"
    recipe = Recipe(fps=25, short_side=short_side, frame_name=name)
    (movie,) = extract.extract_movies([film], tmp_path / "out", recipe)
    assert (movie.width, movie.height) == size
    image = cv2.imread(str(tmp_path / "out/film/film_000001.jpg"))
    assert image.shape == (*size[::-1], 3)


def test_the_manifest_says_how_frames_were_made(tmp_path):
    film = video(tmp_path / "videos")
    recipe = Recipe(fps=10, quality=80)
    extract.extract_movies([film], tmp_path / "out", recipe)
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["recipe"]["fps"] == 10 and manifest["recipe"]["quality"] == 80
    assert {"av", "opencv", "libavcodec", "libswscale"} <= set(manifest["versions"])
    (movie,) = manifest["movies"]
    assert movie["sha256"] == hashlib.sha256(film.read_bytes()).hexdigest()
    assert movie["bytes"] == film.stat().st_size
    assert (movie["frames"], movie["width"], movie["height"]) == (24, 24, 16)
    assert movie["source_fps"] == 25


def test_processes_make_the_same_files_as_one(tmp_path):
    videos = [video(tmp_path / "videos", f"{i}.mov", count=5 + i) for i in range(3)]
    for out, workers in (("one", 1), ("two", 2)):
        extract.extract_movies(videos, tmp_path / out, Recipe(fps=25), workers=workers)
    files = sorted(
        p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*")
    )
    assert len(files) == 5 + 6 + 7 + 3 + 1
    for file in files:
        one, two = tmp_path / "one" / file, tmp_path / "two" / file
        assert one.is_dir() or one.read_bytes() == two.read_bytes()


def test_what_is_there_is_not_made_again(tmp_path):
    folder, out = tmp_path / "videos", tmp_path / "out"
    one = video(folder, "one.mov")
    extract.extract_movies([one], out, Recipe(fps=25))
    made = (out / "one/img_00001.jpg").stat().st_mtime_ns
    # What a process that was killed leaves behind.
    (out / "two.partial").mkdir()
    (out / "two.partial/img_00099.jpg").write_bytes(b"half a fra")
    two = video(folder, "two.mov")
    counts = []

    def progress(items, total):
        counts.append(total)
        return items

    movies = extract.extract_movies([one, two], out, Recipe(fps=25), progress=progress)
    assert [movie.frames for movie in movies] == [60, 60]
    assert counts == [1]
    assert (out / "one/img_00001.jpg").stat().st_mtime_ns == made
    assert len(shown(out / "two")) == 60
    assert {p.name for p in out.iterdir()} == {"one", "two", "manifest.json"}


def test_frames_that_are_gone_or_of_another_file_are_made_again(tmp_path):
    out = tmp_path / "out"
    films = [video(tmp_path / "videos", name) for name in ("a.mov", "b.mov")]
    extract.extract_movies(films, out, Recipe(fps=25), workers=1)
    shutil.rmtree(out / "a")
    video(tmp_path / "videos", "b.mov", count=7)
    movies = extract.extract_movies(films, out, Recipe(fps=25), workers=1)
    assert [movie.frames for movie in movies] == [60, 7]
    assert [len(shown(out / name)) for name in "ab"] == [60, 7]


def test_bad_videos_do_not_keep_the_others(tmp_path):
    folder, out = tmp_path / "videos", tmp_path / "out"
    good = video(folder, "good.mov")
    cut = video(folder, "cut.mov")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (folder / "text.mp4").write_text("no video")
    short = video(folder, "short.mov", count=3)
    videos = extract.find_videos(folder)
    recipe = Recipe(fps=25, start=0.5, end=2)
    movies = extract.extract_movies(videos, out, recipe, workers=1)
    found = {movie.name: movie for movie in movies}
    assert found["good"].frames == 38 and not found["good"].note
    assert found["cut"].note.startswith("damaged or cut off: says 2.4 s, ends after")
    assert "cannot be opened as a video" in found["text"].error
    assert "has no frame 0.5 s after its first one" in found["short"].error
    assert {p.name for p in out.iterdir()} == {"good", "cut", "manifest.json"}
    table = extract.table(movies)
    assert "4 movies" in table and "2 failed" in table
    # The next try says it again, and does not touch the good one.
    good.touch(), short.touch()
    again = extract.extract_movies(videos, out, recipe, workers=1)
    assert [movie.error for movie in again] == [movie.error for movie in movies]


def test_a_full_disk_leaves_nothing_half_made(tmp_path, monkeypatch):
    film = video(tmp_path / "videos")
    write = pathlib.Path.write_bytes

    def full(path, content):
        if path.name == "img_00030.jpg":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "write_bytes", full)
        out = tmp_path / "out"
        (movie,) = extract.extract_movies([film], out, Recipe(fps=25))
    assert "No space left" in movie.error
    assert list(out.iterdir()) == []
    (movie,) = extract.extract_movies([film], out, Recipe(fps=25))
    assert movie.frames == 60


def other_recipe(out, film):
    extract.extract_movies([film], out, Recipe(fps=10))
    return r"made by another recipe: fps was 10 and is 25 now\. Give"


def other_hand(out, film):
    (out / "film").mkdir(parents=True)
    return r"film was not made by this command"


def no_folder(out, film):
    out.write_text("a file")
    return r"out cannot be written"


@pytest.mark.parametrize("make", [other_recipe, other_hand, no_folder])
def test_what_is_not_ours_is_left_alone(tmp_path, make):
    film, out = video(tmp_path / "videos"), tmp_path / "out"
    message = make(out, film)
    before = sorted(out.rglob("*"))
    with pytest.raises(UserError, match=message):
        extract.extract_movies([film], out, Recipe(fps=25))
    assert sorted(out.rglob("*")) == before


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(fps=0),
        Recipe(fps=25, start=5, end=4),
        Recipe(fps=25, quality=0),
        Recipe(fps=25, short_side=-1),
        Recipe(fps=25, frame_name="img.jpg"),
        Recipe(fps=25, frame_name="{:05"),
    ],
    ids=str,
)
def test_recipes_that_make_no_sense(tmp_path, recipe):
    with pytest.raises(UserError, match=r"cannot be meant: [\d.]+ frames a second"):
        extract.extract_movies([], tmp_path, recipe)


def test_two_videos_of_one_name_or_none_are_refused(tmp_path):
    with pytest.raises(UserError, match="--videos DIR"):
        extract.find_videos(tmp_path / "nowhere")
    for suffix in ("mp4", "mkv"):
        (tmp_path / f"a.{suffix}").touch()
    with pytest.raises(UserError, match=r"both be movie a"):
        extract.find_videos(tmp_path)


# Proposals


def test_proposals_of_a_detector(tiny_config, tiny_root, tmp_path, monkeypatch):
    config = tiny_config
    config.data.root = str(tmp_path)
    for name in ("annotations", "rawframes"):
        (tmp_path / name).symlink_to(tiny_root / name)
    config.data.train.proposals = "found.csv"
    seen = []

    def detector(image):
        """Finds one person on every other key frame, left half."""
        seen.append(image.shape)
        height, width = image.shape[:2]
        return np.array([[0, 0, width / 2, height, 0.75]] * (len(seen) % 2), np.float32)

    monkeypatch.setattr(people, "open_detector", {"mine": detector}.get)
    (said,) = detect_people.write_proposals(config.data, ["train"], "mine")
    truth = annotations.read_boxes(tiny_root / "annotations/mini_train.csv")
    frames = annotations.index_frames(truth)
    assert seen == [(72, 96, 3)] * len(frames.video)
    proposals = annotations.read_proposals(tmp_path / "found.csv")
    names = [frames.videos[video] for video in frames.video]
    keys = list(zip(names, frames.timestamp.tolist(), strict=True))
    assert list(proposals) == keys[::2]
    for boxes in proposals.values():
        np.testing.assert_array_equal(boxes, [[0, 0, 0.5, 1, 0.75]])
    half = len(keys) // 2
    assert said.endswith(f"{len(keys) - half} boxes; {half} key frames without anyone")
    with pytest.raises(UserError, match=r"found\.csv is there"):
        list(detect_people.write_proposals(config.data, ["train"], "mine"))


def test_the_detector_sees_the_key_frame(tiny_config):
    split = from_config.load_split(tiny_config, "val")
    pictures = []
    detect_people.propose(
        tiny_config.data,
        "val",
        lambda image: pictures.append(image) or np.zeros((0, 5)),
    )
    for k, picture in enumerate(pictures):
        expected = split.frames.read(split.video[k], split.centre[k])
        np.testing.assert_array_equal(picture, expected)


def test_a_detectors_boxes_are_checked(tiny_config):
    with pytest.raises(UserError, match=r"Second \d+ of mini_val_00: boxes\[0\].*frac"):
        detect_people.propose(tiny_config.data, "val", lambda _: [[0, 0, 0.5, 1]])


def test_proposals_are_written_as_csv(tiny_config):
    with pytest.raises(UserError, match=r"a CSV file is written here"):
        list(detect_people.write_proposals(tiny_config.data, ["train"], "hog"))


# The command line


def run(*arguments):
    return subprocess.run(
        [sys.executable, "scripts/prepare_ava.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_command_line(tmp_path):
    video(tmp_path / "videos", "good.mov", fps=10)
    (tmp_path / "videos/text.mp4").write_text("no video")
    result = run(
        "extract",
        "--config=configs/own.py",
        f"--config.data.root={tmp_path}",
        "--config.data.fps=10",
        f"--videos={tmp_path / 'videos'}",
        "--workers=1",
    )
    assert result.returncode == 1, result.stderr
    assert "2 movies, 60 frames, 1 failed" in result.stdout
    assert len(shown(tmp_path / "rawframes/good")) == 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: STEP"),
        (["--config=configs/own.py", "extract"], "must come after the command"),
        (["extrac"], "'multisports', 'bank', 'proposals', 'pack'"),
        (["extract"], "required: --config"),
        (["pack", "--config=configs/own.py"], "required: --out"),
        (
            ["download", "--config=configs/slowfast.py", "pack"],
            "Unrecognized arguments: pack",
        ),
    ],
    ids=str,
)
def test_mistakes_are_told_in_a_paragraph(arguments, message):
    result = run(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
