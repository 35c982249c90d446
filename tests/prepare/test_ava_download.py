"""AVA from a server of this machine: annotations, proposals, movies."""

import errno
import hashlib
import io
import os
import pathlib
import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile

import numpy as np
import pytest
import video_files
from file_server import Served
from published_files import serving

from ava_jax import config as ava_config
from ava_jax.errors import UserError
from ava_jax.prepare import archive, ava_annotations, ava_movies
from ava_jax.published import download

ROOT = pathlib.Path(__file__).parents[2]
LABELS = (ROOT / "tests/data/annotations/labels_item.pbtxt").read_bytes()
ACTIONS = re.findall(r" id: (\d+)", LABELS.decode())
MOVIES = ("-5KQ66BBWC4.mkv", "1j20qq1JyX4.mp4")
TRAINVAL = "/ava-dataset/trainval"


def zipped(contents, folder="", comment=b""):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in contents.items():
            file.writestr(folder + name, content)
    return data.getvalue()


def annotation_files(version, labels):
    """The files of one of Google's archives, for one movie of each split."""
    names = {
        f"ava_action_list_v{version}_for_activitynet_{labels}.pbtxt": LABELS,
        "README.txt": "not wanted",
    }
    for split, movie in zip(("train", "val"), MOVIES, strict=True):
        stem = movie.partition(".")[0]
        box = "0.100,0.100,0.600,0.900"
        rows = [f"{stem},{t:04d},{box},{a},0" for t in (902, 903) for a in ACTIONS]
        names[f"ava_{split}_v{version}.csv"] = "\n".join(rows) + "\n"
        names[f"ava_{split}_excluded_timestamps_v{version}.csv"] = f"{stem},0903\n"
    return names


def proposals(movie):
    stem = movie.partition(".")[0]
    boxes = np.array([[0.1, 0.1, 0.6, 0.9, 0.99]])
    return pickle.dumps({f"{stem},{t:04d}": boxes for t in (902, 903)})


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Has all that is published of AVA, small, in the layouts that Google uses."""
    monkeypatch.setattr(download, "TIMEOUT", (1, 1))
    with serving(monkeypatch, tmp_path / "cache") as server:
        google, mmlab = "/ava/download", "/mmaction/dataset/ava"
        served = {
            f"{google}/ava_v2.1.zip": zipped(annotation_files("2.1", 2018)),
            # In a folder, and with what macOS adds.
            f"{google}/ava_v2.2.zip": zipped(
                annotation_files("2.2", 2019) | {"__MACOSX/._ava_train_v2.2.csv": "x"},
                "ava_v2.2/",
            ),
            "/ava-dataset/annotations/ava_file_names_trainval_v2.1.txt": "\n".join(
                MOVIES
            ).encode(),
        }
        for split, movie in zip(("train", "val", "test"), (*MOVIES, "t"), strict=True):
            name = f"ava_dense_proposals_{split}.FAIR.recall_93.9.pkl"
            served[f"{mmlab}/{name}"] = proposals(movie)
        for i, movie in enumerate(MOVIES):
            served[f"{TRAINVAL}/{movie}"] = np.random.default_rng(i).bytes(100_000)
        for path, content in served.items():
            etag = f'"{hashlib.md5(content).hexdigest()}"'
            server.files[path] = Served(content, headers={"ETag": etag})
        yield server


@pytest.fixture
def data(tmp_path):
    """`config.data` of a recipe, in an empty folder."""
    data = ava_config.load("configs/slowfast.py").data
    data.root = str(tmp_path / "ava")
    return data


def command(script, *arguments, root):
    return subprocess.run(
        [sys.executable, *script, "--config=configs/slowfast.py"]
        + [f"--config.data.root={root}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def prepare(step, *arguments, root):
    return command(("scripts/prepare_ava.py", step), *arguments, root=root)


def movies(server, folder, workers=2):
    """Downloads all movies: those that failed."""
    plan = ava_movies.plan(folder, MOVIES)
    results = ava_movies.download_movies(plan, workers)
    failures = {name: error for name, error in results if error}
    return plan, failures


def there(folder):
    """Names in a folder; locks stay for ever."""
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".lock")


# Three commands


def test_three_commands_from_nothing_to_a_data_set(server, tmp_path):
    root = tmp_path / "ava"
    for movie in MOVIES:
        path = tmp_path / movie
        frames = np.zeros((906, 16, 24, 3), np.uint8)
        video_files.write_video(path, frames, fps=1, codec="h264", pix_fmt="yuv420p")
        server.files[f"{TRAINVAL}/{movie}"].content = path.read_bytes()
    result = prepare("download", "--videos", root=root)
    assert result.returncode == 0, result.stderr
    assert "0 of 2 movies are there; to download: 2, 0.0 GB; free" in result.stdout
    assert f"{root / 'videos'}: 2 of 2 movies\n" in result.stdout
    result = prepare("extract", "--workers=1", root=root)
    assert result.returncode == 0, result.stderr
    assert "2 movies, 360 frames, 0 failed" in result.stdout
    result = command(("scripts/check_ava.py",), root=root)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{root}: clean" in result.stdout


def test_a_repeated_command_downloads_nothing(server, tmp_path, data):
    for _ in range(2):
        ava_annotations.download_annotations(data)
        plan, failures = movies(server, tmp_path / "videos")
        assert not failures
    assert plan.missing == () and plan.text().endswith("2 of 2 movies are there")
    assert [served.told for served in server.files.values()] == [[None]] * 8
    for movie in MOVIES:
        content = server.files[f"{TRAINVAL}/{movie}"].content
        assert (tmp_path / "videos" / movie).read_bytes() == content


# Annotations and proposals


@pytest.mark.parametrize("recipe", ["slowfast", "slowonly", "i3d", "pyslowfast"])
def test_every_recipe_finds_its_files(server, tmp_path, recipe):
    data = ava_config.load(f"configs/{recipe}.py").data
    data.root = str(tmp_path / "ava")
    placed = ava_annotations.download_annotations(data)
    names = sorted(path.name for paths in placed.values() for path in paths)
    assert there(tmp_path / "ava/annotations") == names
    assert len(names) == 5 + 5 + 1 + 3
    assert all(is_same for paths in placed.values() for is_same in paths.values())
    assert ava_annotations.text(placed).count("\n") == len(names) - 1


def test_the_cache_serves_other_folders(server, data, monkeypatch):
    ava_annotations.download_annotations(data)
    monkeypatch.setenv("AVA_JAX_OFFLINE", "1")
    shutil.rmtree(data.root)
    ava_annotations.download_annotations(data)
    assert len(there(pathlib.Path(data.root, "annotations"))) == 14


@pytest.mark.parametrize("old", ["own rows", ""])
def test_files_that_were_there_are_kept(server, data, old):
    path = pathlib.Path(data.root, "annotations/ava_val_v2.1.csv")
    path.parent.mkdir(parents=True)
    path.write_text(old)
    placed = ava_annotations.download_annotations(data)
    assert path.read_text() == old
    text = ava_annotations.text(placed)
    assert f"{path}  KEPT: differs from ava_v2.1.zip; to replace" in text
    assert text.count("KEPT") == 1


def test_a_killed_process_leaves_nothing_that_is_used(server, data):
    folder = pathlib.Path(data.root, "annotations")
    folder.mkdir(parents=True)
    (folder / "ava_val_v2.1.csv.partial").write_text("half of")
    ava_annotations.download_annotations(data)
    assert len(there(folder)) == 14


@pytest.mark.parametrize("config", ["own", "mini"])
def test_other_data_sets_are_left_alone(server, tmp_path, config):
    data = ava_config.load(f"configs/{config}.py").data
    data.root = str(tmp_path / "own")
    with pytest.raises(UserError, match=r"is not AVA. `download` is for AVA"):
        ava_annotations.download_annotations(data)
    assert not (tmp_path / "own").exists() and not ava_annotations.is_ava(data)


def test_a_file_that_nobody_publishes_is_named(server, data):
    data.val.exclusions = "annotations/mine.csv"
    with pytest.raises(UserError, match=r"mine.csv \(config.data.val.exclusions\)"):
        ava_annotations.download_annotations(data)


def test_a_folder_that_cannot_be_written(server, data, tmp_path):
    (tmp_path / "ava").write_text("a file")
    with pytest.raises(UserError, match=r"annotations cannot be written \(Not a dir"):
        ava_annotations.download_annotations(data)


def damaged_crc():
    content = bytearray(zipped({"ava_a.csv": "row\n" * 1000}))
    content[60] ^= 0xFF
    return bytes(content)


HOSTILE = {
    "no archive": (b"<html>", "cannot be unpacked: File is not a zip file"),
    "cut off": (zipped({"ava_a.csv": "row"})[:-30], "cannot be unpacked: File is not"),
    "damaged": (damaged_crc(), "cannot be unpacked: "),
    "out of the folder": (
        zipped({"ava_a.csv": "", "../ava_b.csv": ""}),
        r"its path '../ava_b.csv' leaves the folder",
    ),
    "absolute": (zipped({"/etc/ava_b.csv": ""}), r"'/etc/ava_b.csv' leaves the"),
    "of Windows": (zipped({r"a\..\..\ava_b": ""}), r"leaves the folder"),
    "two of one name": (
        zipped({"a/ava_a.csv": "1", "b/ava_a.csv": "2"}),
        r"'a/ava_a.csv' and 'b/ava_a.csv' would both be ava_a.csv",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_damaged_and_hostile_archives_are_refused(tmp_path, name):
    content, message = HOSTILE[name]
    path, folder = tmp_path / "a.zip", tmp_path / "out"
    path.write_bytes(content)
    folder.mkdir()
    with pytest.raises(UserError, match=message) as error:
        archive.unpack(path, folder, "ava_")
    assert str(path) in str(error.value) and "elete it" in str(error.value)
    assert list(folder.iterdir()) == []
    assert {p.name for p in tmp_path.iterdir()} == {"a.zip", "out"}


def test_a_full_disk_leaves_no_half_file(server, data, monkeypatch):
    def full(source, target, size):
        target.write(source.read(10))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", full)
        with pytest.raises(UserError, match="No space left"):
            ava_annotations.download_annotations(data)
    assert there(pathlib.Path(data.root, "annotations")) == []
    ava_annotations.download_annotations(data)


# Movies


def test_a_movie_that_cannot_be_had_does_not_keep_the_others(server, tmp_path):
    root = tmp_path / "ava"
    gone = server.files.pop(f"{TRAINVAL}/{MOVIES[0]}")
    result = prepare("download", "--videos", "--workers=1", root=root)
    assert result.returncode == 1, result.stderr
    url = f"https://s3.amazonaws.com{TRAINVAL}/{MOVIES[0]}"
    assert re.search(rf"MISSING {url}: .*found HTTP status 404", result.stdout)
    assert f"{root / 'videos'}: 1 of 2 movies\n" in result.stdout
    assert there(root / "videos") == [MOVIES[1]]
    server.files[f"{TRAINVAL}/{MOVIES[0]}"] = gone
    plan, failures = movies(server, root / "videos")
    assert plan.missing == (MOVIES[0],) and not failures


def test_a_broken_movie_is_resumed(server, tmp_path):
    served = server.files[f"{TRAINVAL}/{MOVIES[0]}"]
    served.breaks += [50_000] + [0] * 9
    _, failures = movies(server, tmp_path)
    assert list(failures) == [MOVIES[0]]
    half = f"{MOVIES[0]}.partial"
    assert there(tmp_path) == [half, f"{half}.etag", MOVIES[1]]
    received = (tmp_path / half).stat().st_size
    served.breaks.clear()
    plan, failures = movies(server, tmp_path)
    # What is there already is not counted once more.
    assert plan.size == 100_000 - received < 100_000 and not failures
    assert served.told[-1] == f"bytes={received}-"
    assert (tmp_path / MOVIES[0]).read_bytes() == served.content


def test_several_at_a_time(server, tmp_path, monkeypatch):
    both = threading.Barrier(2, timeout=10)
    monkeypatch.setattr(ava_movies, "download", lambda url, path: both.wait())
    assert movies(server, tmp_path, workers=2)[1] == {}


def test_other_endings_of_a_movie_are_the_same_movie(server, tmp_path):
    (tmp_path / MOVIES[0]).with_suffix(".mp4").touch()
    plan = ava_movies.plan(tmp_path, MOVIES)
    assert plan.missing == (MOVIES[1],) and plan.size == 100_000


def test_too_little_room_is_said_before_the_start(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=199_999)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"to download: 2, 0.0 GB; free.*Make room"):
        ava_movies.plan(tmp_path, MOVIES)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=200_000))
    ava_movies.plan(tmp_path, MOVIES)


def test_a_full_disk_stops_all(server, tmp_path, monkeypatch):
    def full(file, piece):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download, "_write", full)
    with pytest.raises(UserError, match="No space left"):
        movies(server, tmp_path, workers=1)


def test_offline(server, tmp_path, monkeypatch):
    monkeypatch.setenv("AVA_JAX_OFFLINE", "1")
    with pytest.raises(UserError, match=r"AVA_JAX_OFFLINE=1 forbids"):
        movies(server, tmp_path)
    for movie in MOVIES:
        (tmp_path / movie).touch()
    assert movies(server, tmp_path)[1] == {}


def test_a_server_that_is_not_there(server, tmp_path, monkeypatch):
    monkeypatch.setenv("AVA_JAX_MIRROR", "http://127.0.0.1:1")
    with pytest.raises(UserError, match=rf"{TRAINVAL}/{MOVIES[0]} gives no answer"):
        ava_movies.plan(tmp_path, MOVIES)


def test_sizes_that_the_server_does_not_say(server, tmp_path):
    for movie in MOVIES:
        server.files[f"{TRAINVAL}/{movie}"].headers["Content-Length"] = ""
    plan = ava_movies.plan(tmp_path, MOVIES)
    assert "to download: 2, unknown size; free on the disk: " in plan.text()


def sizes(folder):
    return {path.name: path.stat().st_size for path in folder.glob("*.partial*")}


def grown(folder, before):
    """Whether both movies have more bytes than before."""
    now = sizes(folder)
    more = [name for name in now if now[name] > before.get(name, 0)]
    return len(more) == len(MOVIES)


def test_interrupted_and_killed_commands_continue(server, tmp_path):
    root = tmp_path / "ava"
    arguments = ["scripts/prepare_ava.py", "download", "--videos", "--workers=2"]
    arguments += ["--config=configs/slowfast.py", f"--config.data.root={root}"]
    for movie in MOVIES:
        server.files[f"{TRAINVAL}/{movie}"].pause = 0.5
    for signal_number, status in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, stderr=subprocess.DEVNULL
        )
        before = sizes(root / "videos")
        while process.poll() is None and not grown(root / "videos", before):
            time.sleep(0.01)
        process.send_signal(signal_number)
        assert process.wait(5) == status
        names = there(root / "videos")
        assert names and all(".partial" in name for name in names)
    for movie in MOVIES:
        server.files[f"{TRAINVAL}/{movie}"].pause = 0
    assert prepare("download", "--videos", root=root).returncode == 0
    assert there(root / "videos") == sorted(MOVIES)
    for movie in MOVIES:
        served = server.files[f"{TRAINVAL}/{movie}"]
        assert (root / "videos" / movie).read_bytes() == served.content
        assert served.told[-1].startswith("bytes=")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.mp4\n$(reboot).mp4\n", r"names\.txt, line 2: '\$\(reboot\)\.mp4'"),
        ("a b.mp4\n", r"line 1: 'a b\.mp4'"),
        ("../a.mp4\n", r"line 1: '\.\./a\.mp4'"),
        ("\n", r"empty"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path, content, message):
    path = tmp_path / "names.txt"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        ava_movies.read_names(path)
