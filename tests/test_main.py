"""The command line: what it does, what it refuses, how it stops and resumes."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import host_processes
import numpy as np
import pytest

from ava_jax import lock

ROOT = pathlib.Path(__file__).parent.parent
# A miniature that trains in seconds.
TINY = (
    "--config=configs/mini.py",
    "--config.data.mini.train_movies=2",
    "--config.data.mini.val_movies=1",
    "--config.data.mini.seconds=6",
    "--config.data.mini.height=72",
    "--config.data.mini.width=96",
    "--config.data.clip_len=4",
    "--config.data.crop=64",
    "--config.data.train_short_side=(64,72)",
    "--config.data.test_short_side=64",
    "--config.model.backbone=slowonly",
    "--config.model.width=8",
    "--config.train.batch=4",
    "--config.train.epochs=5",
    "--config.train.log_every=1",
    "--config.train.save_every_epochs=1",
    "--config.eval.every_epochs=2",
    "--config.eval.stride_seconds=2",
    "--config.eval.batch=4",
)


def run(*arguments, **options):
    """A fresh interpreter, which takes seconds to import everything."""
    options |= {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 600}
    command = [sys.executable, "-m", "ava_jax.main", *arguments]
    return subprocess.run(command, **options)


def run_forked(folder, *arguments):
    """The same in a process that has imported it already."""
    return host_processes.command(folder, *arguments).wait()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that nothing disturbed."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    result = run(*TINY, f"--workdir={workdir}")
    assert result.returncode == 0, result.stderr
    return workdir, result


def arrays(workdir):
    """Every array of the newest checkpoint, read without a model."""
    import orbax.checkpoint as ocp

    folder = workdir / "checkpoints"
    newest = max(folder.iterdir(), key=lambda path: int(path.name))
    with ocp.StandardCheckpointer() as checkpointer:
        return newest.name, {
            item: checkpointer.restore(newest / item)
            for item in ("variables", "optimizer")
        }


def assert_same_arrays(a, b):
    import jax

    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.slow
def test_everything_is_written(finished):
    workdir, _ = finished
    written = {path.name for path in workdir.iterdir()}
    assert {
        "config.json",
        "labels.json",
        "checkpoints",
        "events",
        "detections_val.csv",
        "metrics.json",
        "report",
    } <= written
    assert not [path for path in workdir.rglob("*.partial*")]
    assert any((workdir / "events").iterdir())
    labels = json.loads((workdir / "labels.json").read_text())
    assert labels["actions"]["12"] == "stand" and labels["dataset"]
    metrics = json.loads((workdir / "metrics.json").read_text())
    assert 0 <= metrics["mAP"] <= 1
    assert set(metrics["per_class"]) == {"7", "8", "11", "12", "14", "17", "69"}
    assert set(metrics["protocols"]) == {"pyslowfast", "activitynet", "mmaction2"}
    report = {path.name for path in (workdir / "report").iterdir()}
    assert report == {
        "index.html",
        "contact_sheet.png",
        "per_class_ap.png",
        "precision_recall.png",
        "confusion.png",
        "training_curves.png",
    }
    page = (workdir / "report/index.html").read_text(encoding="utf-8")
    assert '<figure data-kind="false"><img' in page  # a mistake with its frame


@pytest.mark.slow
def test_estimates_and_the_final_map_are_told_apart(finished):
    workdir, result = finished
    lines = (workdir / "history.jsonl").read_text().splitlines()
    history = [json.loads(line) for line in lines]
    estimated = [line["step"] for line in history if "mAP/estimate" in line]
    final = [line for line in history if "mAP" in line]
    metrics = json.loads((workdir / "metrics.json").read_text())
    assert len(estimated) == 2 and max(estimated) < history[-1]["step"]
    assert [line["mAP"] for line in final] == [metrics["mAP"]]
    assert "stride_seconds" not in metrics
    assert len(re.findall(r"\(estimated from every 2 s: ", result.stderr)) == 2
    # All checkpoints are compared by the same key frames.
    checkpoints = (workdir / "checkpoints").glob("*/metrics/metrics")
    kept = {int(path.parts[-3]): json.loads(path.read_text()) for path in checkpoints}
    assert kept[history[-1]["step"]]["mAP"] != metrics["mAP"]


@pytest.mark.slow
def test_progress_says_what_a_user_needs(finished):
    _, result = finished
    line = (
        r"step \d+/\d+, loss [\d.]+, lr [\d.e-]+, [\d.]+ clips/s, \d+ % waiting for "
        r"data, \d+:\d\d left"
    )
    assert re.search(line, result.stderr)
    # By action, then by kind of action.
    score = r"[\w/() ]+ \d\.\d{3}"
    assert re.search(
        rf"step \d+: mAP 0\.\d+ by pyslowfast \({score}(, {score})*\); pose ",
        result.stderr,
    )


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_second_run_in_the_same_workdir_stops(tmp_path, mode):
    workdir = tmp_path / "run"
    workdir.mkdir()
    with lock.only_run(workdir):
        before = sorted(path.name for path in workdir.iterdir())
        result = run_forked(tmp_path, *TINY, f"--mode={mode}", f"--workdir={workdir}")
    assert result.returncode == 1
    assert f"in use by process {os.getpid()} on" in result.stderr
    assert before == [".run.json", ".run.lock"]
    assert not (workdir / "config.json").exists()


@pytest.mark.slow
def test_the_same_command_again_says_that_it_is_complete(finished, tmp_path):
    workdir, _ = finished
    before = (workdir / "metrics.json").stat().st_mtime_ns
    result = run_forked(tmp_path, *TINY, f"--workdir={workdir}")
    assert result.returncode == 0, result.stderr
    assert "is complete" in result.stderr
    assert str(workdir / "report/index.html") in result.stderr
    assert (workdir / "metrics.json").stat().st_mtime_ns == before


@pytest.mark.slow
def test_evaluation_alone_gives_the_same_metrics(finished, tmp_path):
    workdir, _ = finished
    trained = json.loads((workdir / "metrics.json").read_text())
    other = tmp_path / "eval"
    result = run_forked(
        tmp_path / "output",
        *TINY,
        "--mode=eval",
        f"--workdir={other}",
        f"--config.init_from={workdir}",
        f"--config.data.root={workdir / 'data'}",
    )
    assert result.returncode == 0, result.stderr
    evaluated = json.loads((other / "metrics.json").read_text())
    assert evaluated == trained
    detections = "detections_val.csv"
    assert (other / detections).read_bytes() == (workdir / detections).read_bytes()


@pytest.mark.slow
def test_another_configuration_in_the_same_workdir_is_refused(finished, tmp_path):
    workdir, _ = finished
    flag = "--config.optim.lr=0.01"
    result = run_forked(tmp_path, *TINY, f"--workdir={workdir}", flag)
    assert result.returncode == 1
    assert "optim.lr" in result.stderr
    assert "--accept-config-changes" in result.stderr
    assert "Traceback" not in result.stderr


def start_and_stop(folder, workdir, number, after_line):
    """Sends a signal as soon as a line of the log matches."""
    started = host_processes.command(folder, *TINY, f"--workdir={workdir}")
    while not re.search(after_line, started.stderr_path.read_text()):
        assert started.process.is_alive(), started.stderr_path.read_text()
        time.sleep(0.02)
    os.kill(started.process.pid, number)
    stopped = started.wait()
    return stopped.returncode, stopped.stderr


@pytest.mark.slow
def test_killed_training_resumes_to_the_same_parameters(finished, tmp_path):
    workdir, _ = finished
    killed = tmp_path / "killed"
    code, _ = start_and_stop(tmp_path / "first", killed, signal.SIGKILL, r"step 5/")
    assert code == -signal.SIGKILL
    assert not (killed / "metrics.json").exists()
    resumed = run_forked(tmp_path / "second", *TINY, f"--workdir={killed}")
    assert resumed.returncode == 0, resumed.stderr
    assert "Resuming" in resumed.stderr
    (step, expected), (resumed_step, found) = arrays(workdir), arrays(killed)
    assert step == resumed_step
    assert_same_arrays(expected, found)
    for name in ("metrics.json", "detections_val.csv"):
        assert (workdir / name).read_bytes() == (killed / name).read_bytes()
    steps = [
        json.loads(line)["step"]
        for line in (killed / "history.jsonl").read_text().splitlines()
    ]
    assert steps == sorted(steps)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_saves_and_says_how_to_go_on(finished, tmp_path, number):
    workdir, _ = finished
    stopped = tmp_path / "stopped"
    code, log = start_and_stop(tmp_path / "first", stopped, number, r"step 3/")
    assert code == 130
    assert "Traceback" not in log
    assert "The same command resumes here" in log
    resumed = run_forked(tmp_path / "second", *TINY, f"--workdir={stopped}")
    assert resumed.returncode == 0, resumed.stderr
    assert re.search(r"Resuming .* after step [34]\.", resumed.stderr)
    assert_same_arrays(arrays(workdir), arrays(stopped))


MISTAKES = {
    "variant": (
        1,
        ["--config=configs/slowfast.py:slowfast_r50"],
        r"no variant 'slowfast_r50'.*\n  slowfast_kinetics_pretrained_r50_4x16x1_20e",
    ),
    "field": (
        2,
        ["--config=configs/mini.py", "--config.optim.lrr=1"],
        r"no field 'optim.lrr'. Did you mean --config.optim.lr\?",
    ),
    "value": (
        2,
        ["--config=configs/mini.py", "--config.optim.lr=high"],
        r"config.optim.lr is 'high'; expected: a number above 0",
    ),
    "flag": (
        2,
        ["--config=configs/mini.py", "--wrkdir=x"],
        r"no flag --wrkdir. Did you mean --workdir\?",
    ),
    "name": (
        1,
        ["--config=ava/slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb.py"],
        r"It is configs/slowonly\.py:slowonly_kinetics_pretrained_r50_4x16x1_20e_ava",
    ),
    "file": (1, ["--config=configs/max.py"], r"no configuration configs/max.py"),
    "no config": (
        2,
        ["--workdir=x"],
        r"--config FILE\[:VARIANT\].* required: --config",
    ),
    "no workdir": (2, ["--config=configs/mini.py"], r"--workdir runs/NAME"),
    "workdir": (
        1,
        ["--config=configs/mini.py", "--workdir=/dev/null/run"],
        r"/dev/null/run cannot be written",
    ),
    "no AVA": (
        1,
        [
            *("--config=configs/slowfast.py", "--config.init_from=scratch"),
            *("--workdir={tmp}", "--config.data.root={tmp}"),
        ],
        # The log of training has the time.
        r"^\d\d:\d\d:\d\d Initial weights: random.*"
        r"missing files: 5\n  \S*/annotations/ava_action_list.*"
        r"rawframes/<video>/img_00001.jpg.*configs/mini.py",
    ),
    "no weights": (
        1,
        ["--config=configs/slowfast.py", "--workdir={tmp}"],
        r"https://download.openmmlab.com\S*bcde7ed7.pth.*put it at \S*bcde7ed7.pth\. .*"
        r"--config.init_from=scratch",
    ),
    "no video": (
        1,
        ["--config=configs/mini.py:vtest", "--workdir={tmp}"],
        r"opencv-doc.*--config.data.video=PATH",
    ),
    "dry run": (
        2,
        ["--config=configs/mini.py", "--config.dry_run=True", "--mode=eval"],
        r"A dry run tries a training",
    ),
    "batch": (
        2,
        ["--config=configs/mini.py", "--config.dry_run=True", "--config.train.batch=0"],
        r"config.train.batch is 0",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_a_paragraph(name, tmp_path):
    status, arguments, message = MISTAKES[name]
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    result = run_forked(tmp_path / "output", *arguments)
    assert result.returncode == status
    assert re.search(message, result.stderr, re.DOTALL), result.stderr
    assert "Traceback" not in result.stderr


def test_dry_run_needs_no_data(tmp_path):
    environment = os.environ | {
        "XDG_CACHE_HOME": str(tmp_path),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    for name in ("JAX_COMPILATION_CACHE_DIR", "AVA_JAX_CACHE"):
        environment.pop(name)
    result = run(
        "--config=configs/slowonly.py",
        "--config.dry_run=True",
        "--config.train.batch=1",
        "--config.data.crop=32",
        "--config.model.depth=10",
        "--config.model.width=8",
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    # Compiled programs are kept for the next start.
    assert list((tmp_path / "ava_jax/xla").glob("jit_train_step-*"))
    for line in ("parameters", "GFLOP a clip", "compilation", "memory", "clips/s"):
        assert line in result.stdout
    start = (
        r"initial weights +slowonly_r50\S*a69556c6 \(Kinetics-400\), to be downloaded"
    )
    assert re.search(start, result.stdout)


def test_help_waits_for_no_heavy_import():
    assert "--workdir" in run("--help").stdout
    code = (
        "import sys, ava_jax.main; "
        "print({'jax', 'tensorflow', 'numpy', 'cv2'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert result.stdout.strip() == "set()", result.stderr


@pytest.mark.parametrize("package", ["tensorflow", "clu"])
def test_without_the_packages_of_training(package, tmp_path):
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from ava_jax import main; main.run()"
    )
    command = [sys.executable, "-c", code, "--config=configs/mini.py"]
    done = subprocess.run(
        [*command, f"--workdir={tmp_path}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"Error: {package} is not installed." in done.stderr
    assert 'pip install "ava_jax[train]"' in done.stderr
    assert "Traceback" not in done.stderr
