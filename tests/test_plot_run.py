"""Comparing runs: the script, and the picture."""

import json
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from ava_jax.errors import UserError
from ava_jax.report import charts, figures, style
from ava_jax.workdir import read_history

ROOT = pathlib.Path(__file__).parent.parent
PNG = b"\x89PNG"


def history(scale, mean_ap=0.5):
    """20 logged losses and, unless None, one evaluation."""
    records = [{"step": i, "loss": scale / i, "lr": 0.1} for i in range(1, 21)]
    return records + ([] if mean_ap is None else [{"step": 20, "mAP": mean_ap}])


def write_run(folder, records, end=""):
    folder.mkdir()
    lines = [json.dumps(record) + "\n" for record in records]
    (folder / "history.jsonl").write_text("".join(lines) + end)
    return str(folder)


def plot(*arguments):
    return subprocess.run(
        [sys.executable, "scripts/plot_run.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_runs_are_drawn_into_one_picture(tmp_path):
    # One is being written at this moment.
    runs = [
        write_run(tmp_path / "a", history(1.0)),
        write_run(tmp_path / "b", history(2.0), end='{"step": 21, "lo'),
    ]
    out = tmp_path / "runs.png"
    result = plot(*runs, "--out", str(out))
    assert result.returncode == 0, result.stderr
    assert out.read_bytes().startswith(PNG)
    heading, *rows, written = result.stdout.splitlines()
    assert heading.split()[:2] == ["run", "step"]
    assert [row.split()[:3] for row in rows] == [[r, "20", "0.5000"] for r in runs]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "runs.png"]


def test_every_run_has_a_look_of_its_own():
    picture = charts.compare_runs({str(i): history(i + 1) for i in range(3)})
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    found = set(map(tuple, pixels[..., ::-1].reshape(-1, 3).tolist()))
    assert set(figures.CURVES[:3]) <= found
    assert style.PURPLE not in found
    # Two panels, loss and mAP, beside each other.
    assert pixels.shape[1] > 1.5 * pixels.shape[0]


def test_a_run_keeps_its_colour_where_another_has_no_curve():
    runs = {"first": history(1.0, mean_ap=None), "second": history(2.0)}
    picture = charts.compare_runs(runs)
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    right = pixels[:, pixels.shape[1] // 2 :].reshape(-1, 3)
    second = figures.CURVES[1]
    first = figures.CURVES[0]
    in_plot = [(right == color).all(-1).sum() for color in (first, second)]
    # The marker of the second beside its line in the legend; of the first only that.
    assert in_plot[1] > in_plot[0] > 0


MISTAKES = {
    "no run": (
        lambda tmp: str(tmp / "none"),
        "none/history.jsonl. Give the working directory",
    ),
    "no JSON": (lambda tmp: write_run(tmp / "x", [], "loss\n"), "x/history.jsonl"),
    "nothing": (lambda tmp: write_run(tmp / "x", [{"step": 1}]), "no loss and no mAP"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name, tmp_path):
    make, message = MISTAKES[name]
    result = plot(make(tmp_path), "--out", str(tmp_path / "out.png"))
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out.png").exists()


def test_an_unwritable_picture(tmp_path):
    run = write_run(tmp_path / "a", history(1.0))
    result = plot(run, "--out", str(tmp_path / "none/out.png"))
    assert result.returncode == 1
    assert "none/out.png cannot be written" in result.stderr


def test_a_history_is_read_up_to_its_last_whole_line(tmp_path):
    folder = write_run(tmp_path / "a", history(1.0), end='{"step": 21, "lo')
    assert read_history(folder) == history(1.0)
    with pytest.raises(UserError, match="There is no .*history.jsonl"):
        read_history(tmp_path)
