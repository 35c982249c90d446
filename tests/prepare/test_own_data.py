"""The walk of docs/own_data.md: videos and an export of CVAT become a trained model."""

import csv
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import video_files

from ava_jax.commands import COMMANDS

ROOT = pathlib.Path(__file__).parents[2]
# The miniature's walk and stand, among others, as a user would number them.
ACTIONS = {12: 1, 14: 2, 17: 3}
CONFIG = ("--config", "configs/own.py")
# What makes the model small enough for a test; the rest is the page's.
TINY = (
    "--config.init_from=scratch",
    "--config.data.fps=10",
    "--config.data.clip_len=4",
    "--config.data.crop=64",
    "--config.data.train_short_side=(64,72)",
    "--config.data.test_short_side=64",
    "--config.data.max_boxes=8",
    "--config.model.backbone=slowonly",
    "--config.model.depth=10",
    "--config.model.width=8",
    "--config.train.batch=4",
    "--config.train.epochs=1",
    "--config.eval.batch=4",
)


@pytest.fixture(scope="module")
def own(tiny_root, tmp_path_factory):
    """What a user has: videos, a label map, a table of boxes."""
    root = tmp_path_factory.mktemp("walk") / "own"
    (root / "annotations").mkdir(parents=True)
    (root / "videos").mkdir()
    for folder in (tiny_root / "rawframes").iterdir():
        images = [cv2.imread(str(file)) for file in sorted(folder.iterdir())]
        frames = np.array(images)[..., ::-1]
        path = root / "videos" / f"{folder.name}.mp4"
        # At 30 frames a second, each three times: what a camera would give.
        video_files.write_video(
            path, frames.repeat(3, axis=0), fps=30, codec="h264", pix_fmt="yuv420p"
        )
    (root / "annotations/actions.txt").write_text("1: stand\n2: walk\n3: carry\n")
    for split in ("train", "val"):
        write_tables(tiny_root / f"annotations/mini_{split}.csv", root, split)
    return root


def write_tables(source, root, split):
    """Rows whose seconds count from 0, and a person detector's boxes."""
    rows, boxes = [], set()
    for movie, second, *box, action, person in csv.reader(source.open()):
        place = (movie, str(int(second) - 100), *box)
        boxes.add((*place, "", "0.95"))
        if int(action) in ACTIONS:
            rows.append((*place, ACTIONS[int(action)], person))
    for name, table in ((split, rows), (f"{split}_proposals", sorted(boxes))):
        with open(root / f"annotations/{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows(table)


def run(root, *command):
    """A command of docs/data.md, for this data set."""
    result = subprocess.run(
        [sys.executable, *command, f"--config.data.root={root}"],
        cwd=ROOT,
        # Compiled in less time and not as fast, of which little is run.
        env={**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def imported(own):
    """The same data set, exported for CVAT and imported from there."""
    command = ("scripts/prepare_ava.py", "export", *CONFIG, "--format=cvat")
    exported = own.parent / "exported"
    run(own, *command, f"--out={exported}")
    root = own.parent / "imported"
    val = {row[0] for row in read_rows(own, "val")}
    flags = (f"--videos={own / 'videos'}", f"--val-videos={','.join(val)}")
    files = map(str, sorted(exported.iterdir()))
    told = run(root, "scripts/prepare_ava.py", "import", *files, *CONFIG, *flags)
    assert "actions.txt: 3 actions" in told
    for split in ("train", "val"):
        assert sorted(read_rows(root, split)) == sorted(read_rows(own, split))
        name = f"annotations/{split}_proposals.csv"
        shutil.copy(own / name, root / name)
    return root


def read_rows(root, split):
    """Rows of a table, numbers as numbers."""
    rows = csv.reader((root / f"annotations/{split}.csv").open())
    return [(video, *map(float, numbers)) for video, *numbers in rows]


@pytest.mark.slow
def test_own_videos_become_a_model(own, imported, tmp_path):
    videos, own, config = own / "videos", imported, CONFIG
    extract = ("scripts/prepare_ava.py", "extract", *config, *TINY)
    table = run(own, *extract, "--videos", str(videos), "--workers=1")
    assert re.search(r"3 movies, 180 frames, 0 failed", table)
    verdict = run(own, "scripts/check_ava.py", *config, *TINY)
    assert "imported: clean" in verdict
    assert "100.0% at IoU 0.9" in verdict
    workdir = tmp_path / "run"
    run(
        own,
        "-m",
        "ava_jax.main",
        *config,
        *TINY,
        "--workdir",
        str(workdir),
    )
    metrics = json.loads((workdir / "metrics.json").read_text())
    assert list(metrics["class_names"].values()) == ["stand", "walk", "carry"]
    assert 0 < metrics["mAP"] <= 1
    assert (workdir / "report/index.html").exists()


@pytest.mark.parametrize("page", ["data.md", "own_data.md"])
def test_the_pages_commands_are_those_of_the_programs(page):
    """Every flag and field that a page names exists."""
    from ava_jax import config

    page = (ROOT / "docs" / page).read_text()
    known = dict(config.flat(config.default().to_dict()))
    fields = set(re.findall(r"--config\.([\w.]+\w)=", page))
    assert fields and fields <= set(known)
    short = set(re.findall(r"`(data\.[a-z_.]+)`", page)) - {"data.yaml"}
    assert short <= set(known)
    verbs = set(re.findall(r"ava-jax ([\w-]+)", page))
    assert verbs and verbs <= set(COMMANDS)
    for verb in verbs - {"train", "eval"}:
        source = (ROOT / f"scripts/{COMMANDS[verb].script}.py").read_text()
        commands = re.findall(rf"ava-jax {verb}((?:[^\n`]|\\\n)*)", page)
        # Apache Beam's options follow its runner.
        own = " ".join(command.partition(" --runner")[0] for command in commands)
        for flag in set(re.findall(r" --([a-z-]+)", own)) - {"config"}:
            assert f'"--{flag}"' in source, (verb, flag)
