"""What goes wrong: videos, disks, processes."""

import errno
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import bucket  # noqa: F401 (Beam finds it)
import pytest
from predictions import lines_of, predict

from ava_jax.batch import inputs, settings, worker
from ava_jax.batch.results import PieceResult
from ava_jax.batch.settings import Options, Settings
from ava_jax.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]


def files_in(folder):
    """Path -> what changes when it is written again."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


@pytest.fixture
def options(checkpoint, people, tmp_path):
    fields = {"checkpoint": checkpoint, "people": people, "out": tmp_path / "out"}
    return {name: str(value) for name, value in fields.items()} | {"piece": 1.0}


@pytest.fixture
def scored(monkeypatch):
    """The pieces that were scored."""
    calls = []
    score = worker.Worker.score

    def spy(self, video, piece):
        calls.append((video.name, piece and piece.number))
        return score(self, video, piece)

    monkeypatch.setattr(worker.Worker, "score", spy)
    return calls


def test_what_is_no_video_costs_itself(options, videos, tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    whole = (videos / "plain.mov").read_bytes()
    (tmp_path / "long.mov").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    given = [tmp_path / f"{name}.mp4" for name in ("empty", "missing", "noise")]
    given += [tmp_path / "long.mov", videos / "plain.mov"]
    failures = predict(given, **options)
    names = [pathlib.Path(video).name for video, _, _ in failures]
    assert names == ["empty.mp4", "missing.mp4", "noise.mp4", "long.mov"]
    reasons = [error for _, _, error in failures]
    assert "cannot be opened" in reasons[0] and "no such file" in reasons[1]
    assert "ends at" in reasons[3]
    table = (tmp_path / "out/failures.csv").read_text()
    assert table.startswith("video,piece,error\n") and table.count("\n") == 5
    seconds = {"long": [], "plain": []}
    for line in lines_of(tmp_path / "out"):
        seconds[line["video"]].append(line["time"])
    # What is whole of the one that is cut, as in one pass.
    assert seconds["plain"] == [0, 1, 2, 3] and seconds["long"] == [0, 1]


def test_people_that_are_not_usable_cost_the_piece_and_the_video(
    options, videos, tmp_path, people
):
    rows = people.read_text() + "long,0003,0.1,0.1,0.2,0.2,,0.9\nlong,1,2,3,4,5,,1\n"
    (tmp_path / "wrong.csv").write_text(rows)
    options["people"] = str(tmp_path / "wrong.csv")
    failures = predict([videos / "long.mp4"], **options)
    assert {(pathlib.Path(v).name, "wrong.csv" in e) for v, _, e in failures} == {
        ("long.mp4", True)
    }
    assert failures[0][1] == "0-1 s"
    assert lines_of(tmp_path / "out") == []


def test_what_is_finished_is_not_done_again(options, videos, tmp_path, scored):
    predict([videos / "long.mp4"], **options)
    assert len(scored) == len(set(scored)) == 8
    before = files_in(tmp_path / "out/work")
    predict([videos / "plain.mov", videos / "long.mp4"], **options, batch=2)
    assert scored[8:] and {name for name, _ in scored[8:]} == {"plain"}
    assert before.items() <= files_in(tmp_path / "out/work").items()
    assert {line["video"] for line in lines_of(tmp_path / "out")} == {"plain", "long"}


@pytest.mark.parametrize("changed", ["video", "every", "checkpoint", "people"])
def test_what_has_changed_is_done_again(
    options, videos, tmp_path, scored, changed, checkpoint, people
):
    video = shutil.copy(videos / "plain.mov", tmp_path)
    predict([video], **options)
    count = len(scored)
    if changed == "video":
        os.utime(video, (1, 1))
    elif changed == "every":
        options["every"] = 0.5
    elif changed == "checkpoint":
        shutil.copytree(checkpoint, tmp_path / "model")
        (tmp_path / "model/labels.json").unlink()
        names = {i + 1: f"own {i}" for i in range(7)}
        (tmp_path / "model/labels.json").write_text(json.dumps(names))
        options["checkpoint"] = str(tmp_path / "model")
    elif changed == "people":
        options["people"] = str(tmp_path / "people.csv")
        pathlib.Path(options["people"]).write_text(people.read_text() + "\n")
    predict([video], **options)
    assert len(scored) >= 2 * count


def test_a_damaged_file_of_results_is_made_again(options, videos, tmp_path, scored):
    predict([videos / "plain.mov"], **options)
    expected = lines_of(tmp_path / "out")
    path = next((tmp_path / "out/work/pieces").rglob("*.npz"))
    path.write_bytes(path.read_bytes()[:100])
    predict([videos / "plain.mov"], **options)
    assert len(scored) == 5 and lines_of(tmp_path / "out") == expected


def test_a_full_disk_is_named_and_loses_nothing(
    options, videos, tmp_path, scored, monkeypatch
):
    write = PieceResult.write

    def fill_up(self, path):
        if len(scored) > 3:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(PieceResult, "write", fill_up)
        with pytest.raises(UserError, match=r"out/work/pieces/.*No space left") as end:
            predict([videos / "long.mp4"], **options)
    assert str(end.value).endswith("or give another place.")
    kept = files_in(tmp_path / "out/work/pieces")
    assert len(kept) == 3  # and nothing half-written
    predict([videos / "long.mp4"], **options)
    assert kept.items() <= files_in(tmp_path / "out").items()
    assert len(scored) == 4 + 5


def test_a_folder_that_cannot_be_made_is_named(options, videos, tmp_path):
    (tmp_path / "file").write_text("")
    options["out"] = str(tmp_path / "file/out")
    with pytest.raises(UserError, match=r"file/out.* cannot be"):
        predict([videos / "plain.mov"], **options)


# A worker that takes its time.
_SLOW = """
import runpy, sys, time
from ava_jax.batch import worker
score = worker.Worker.score
def slow(self, video, piece):
    time.sleep(0.3)
    return score(self, video, piece)
worker.Worker.score = slow
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def test_a_run_that_was_killed_continues(options, videos, tmp_path, scored):
    command = [sys.executable, "-c", _SLOW, str(ROOT / "scripts/predict_many.py")]
    command += [str(videos / "*"), "--piece=1"]
    flags = {"checkpoint": "checkpoint", "detector": "people", "out": "out"}
    command += [f"--{flag}={options[name]}" for flag, name in flags.items()]
    pieces = tmp_path / "out/work/pieces"
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as process:
        end = time.monotonic() + 120
        while len(list(pieces.rglob("*.npz"))) < 4 and time.monotonic() < end:
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    kept = files_in(pieces)
    kept = {path: state for path, state in kept.items() if path.suffix == ".npz"}
    assert len(kept) >= 4 and not list((tmp_path / "out").glob("actions*"))
    predict([videos / "*"], **options)
    assert kept.items() <= files_in(pieces).items()
    assert len(scored) + len(kept) == len(list(pieces.rglob("*.npz")))
    again = options | {"out": str(tmp_path / "again")}
    predict([videos / "*"], **again)
    for name in ("actions-00000-of-00001.parquet", "people-00000-of-00001.jsonl"):
        found = (tmp_path / "out" / name).read_bytes()
        assert found == (tmp_path / "again" / name).read_bytes()


def test_files_of_object_stores(options, videos, tmp_path, scored):
    options |= {"out": f"bucket://{tmp_path}/out", "format": "csv"}
    given = [f"bucket://{videos}/*.m*", f"bucket://{videos}/none.mp4"]
    failures = predict(given, **options)
    assert [video for video, _, _ in failures] == [given[1]]
    local = options | {"out": str(tmp_path / "local")}
    predict([videos / "*.m*"], **local)
    assert lines_of(tmp_path / "out") == lines_of(tmp_path / "local")
    name = "actions-00000-of-00001.csv"
    found = (tmp_path / "out" / name).read_text()
    assert found == (tmp_path / "local" / name).read_text()
    count = len(scored)
    predict(given, **options)
    assert len(scored) == count and not list((tmp_path / "out").rglob("*partial*"))


def test_shards(options, videos, tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    given = [tmp_path / "empty.mp4", *sorted(videos.iterdir())]
    predict(given, **options)
    expected = lines_of(tmp_path / "out")
    predict(given, **options, videos_per_file=1)
    names = sorted(path.name for path in (tmp_path / "out").glob("*-of-*"))
    assert names[:2] == [
        "actions-00000-of-00005.parquet",
        "actions-00001-of-00005.parquet",
    ]
    assert len(names) == 10  # those of the other division are gone
    assert lines_of(tmp_path / "out") == expected
    assert lines_of(tmp_path / "out", "00000-*") == []


def test_lists_and_names(tmp_path):
    for name in ("a/x.mp4", "b/x.mp4", "a/y [1].mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "all.txt").write_text(f"{tmp_path}/b/x.mp4\n\n{tmp_path}/none.mp4\n")
    given = [str(tmp_path / one) for one in ("a/y [1].mp4", "all.txt", "*/*.mp4")]
    found = inputs.find_videos(given)
    expected = ["y [1]", f"{tmp_path}/b/x.mp4", "none", f"{tmp_path}/a/x.mp4"]
    assert [video.name for video in found] == expected
    assert [video.is_there for video in found] == [True, True, False, True]
    assert [video.index for video in found] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{tmp}/*.mp4", "no file has such a name"),
        ("{tmp}/none.txt", "none.txt cannot be read as a list"),
        ("{tmp}/empty.txt", "no video in the list"),
        ("nowhere://a/*.mp4", "nowhere://.*cannot be looked up"),
    ],
)
def test_lists_that_are_none(tmp_path, given, message):
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(UserError, match=message):
        inputs.find_videos([given.format(tmp=tmp_path)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"checkpoint": "none"}, "no checkpoint none"),
        ({"people": "none"}, "no person detector 'none'"),
        ({"people": "none.csv"}, "no file of boxes none.csv"),
        ({"every": 0.01}, "every=0.01"),
    ],
)
def test_settings_are_checked_before_the_run(options, change, message):
    with pytest.raises(UserError, match=message):
        Settings.of(Options(**(options | change)))


def test_another_checkpoint_on_a_worker_is_refused(options, videos, monkeypatch):
    monkeypatch.setattr(worker, "fingerprint", lambda *_: "another")
    with pytest.raises(UserError, match="another checkpoint on this machine"):
        predict([videos / "plain.mov"], **options)


def test_an_unknown_runner_is_a_users_error(options, videos):
    with pytest.raises(UserError, match="NoRunner"):
        predict([videos / "plain.mov"], "--runner=NoRunner", **options)


def test_without_beam():
    code = "import sys; sys.modules['apache_beam'] = None; import ava_jax.batch"
    code = f"from ava_jax import command_line\ndef f(_): {code}\ncommand_line.run(f)"
    run = [sys.executable, "-c", code]
    ended = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and 'pip install "ava_jax[beam]"' in ended.stderr


def test_detectors_with_long_term_features_are_refused(options, monkeypatch):
    read = settings.load.read_detector

    def with_long_term_features(path):
        config, variables, names = read(path)
        config.model.shared_head = "fbo_max"
        return config, variables, names

    monkeypatch.setattr(settings.load, "read_detector", with_long_term_features)
    with pytest.raises(UserError, match="long-term features of a whole video"):
        Settings.of(Options(**options))
