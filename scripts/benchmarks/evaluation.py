"""The evaluation at the size of AVA's validation set, by stage, on one core."""

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from ava_jax import annotations, command_line, scoring
from ava_jax.annotations import detection_checks
from ava_jax.config import ranges

NAME = "eval"
HELP = "scoring of detections at the size of AVA's validation set"
FORMATS = ("csv", "csv.gz", "parquet", "npz")

KEYFRAMES, BOXES, LABELS, ACTIONS = 52_391, 79_166, 217_000, 60


def add_arguments(parser):
    """Options of the subcommand."""
    add = parser.add_argument
    add(
        "--scale",
        type=command_line.number(ranges.above(0)),
        default=1.0,
        metavar="FACTOR",
        help="size of the data relative to AVA's validation set",
    )
    add(
        "--formats",
        nargs="+",
        choices=FORMATS,
        default=["csv"],
        help="file formats to read",
    )


def run(args) -> dict:
    """Writes and scores random files; each in a process of its own, on one core.

    Returns:
      {"labels", "detections", "formats": {name: {"megabytes", "stages": [{"stage",
      "seconds", "cpu_seconds", "peak_gigabytes"}]}}}: the last stage but one is the
      metric, the last the whole way from the files to the mAP; `peak_gigabytes` is
      the most that its process has held until then.
    """
    formats = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in args.formats:
            written = _in_process("write", kind, folder, args.scale)
            scored = _in_process("score", kind, folder, args.scale)
            size = pathlib.Path(folder, f"detections.{kind}").stat().st_size
            stages = written["stages"] + scored["stages"]
            formats[kind] = {"megabytes": size / 1e6, "stages": stages}
    return {**scored["counts"], "formats": formats}


def show(results: dict) -> None:
    """Prints what `run` returned."""
    print(f"{results['labels']:,} labels, {results['detections']:,} detections")
    for kind, result in results["formats"].items():
        print(f"\n{kind}, {result['megabytes']:.0f} MB    seconds  of CPU  GB at most")
        for row in result["stages"]:
            print(
                f"{row['stage']:<20}{row['seconds']:>8.2f}{row['cpu_seconds']:>8.2f}"
                f"{row['peak_gigabytes']:>12.2f}"
            )


def make_tables(scale: float = 1.0, seed: int = 0):
    """Random ground truth and detections of AVA's size times `scale`.

    Detections are every action of every box, as models write them.

    Args:
      scale: of the numbers of key frames, boxes and labels.
      seed: of the random numbers.

    Returns:
      Ground truth and detections, each grouped by key frame.
    """
    rng = np.random.default_rng(seed)
    keyframes, boxes, labels = (int(n * scale) for n in (KEYFRAMES, BOXES, LABELS))
    videos = [f"video_{i:05}" for i in range(1 + keyframes // 897)]
    frame = np.sort(rng.integers(0, keyframes, boxes))
    low = rng.random((boxes, 2)) * 0.6
    box = np.hstack([low, low + 0.1 + 0.3 * rng.random((boxes, 2))])
    of = np.sort(rng.integers(0, boxes, labels))

    def table(rows, box, **columns):
        second = 902 + frame[rows] % 897
        return annotations.BoxTable.from_columns(
            videos, frame[rows] // 897, second, box, **columns
        )

    action = rng.integers(1, ACTIONS + 1, labels)
    truth = table(of, box[of], label=action, score=np.ones(labels))
    of = np.repeat(np.arange(boxes), ACTIONS)
    near = np.clip(box + rng.normal(0, 0.02, box.shape), 0, 1)
    action = np.tile(np.arange(1, ACTIONS + 1), boxes)
    score = rng.random(len(of)).astype(np.float32) ** 4
    return truth, table(of, near[of], label=action, score=score)


def _in_process(job: str, kind: str, folder: str, scale: float) -> dict:
    """Has one of `_JOBS` done by a process that holds nothing else."""
    command = [sys.executable, __file__, job, kind, folder, str(scale)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def _paths(folder: str, kind: str) -> list[pathlib.Path]:
    names = ("ground_truth", "detections")
    return [pathlib.Path(folder, f"{name}.{kind}") for name in names]


def _write(folder: str, kind: str, scale: float) -> dict:
    stages = []
    paths = _paths(folder, kind)
    for path, table in zip(paths, make_tables(scale), strict=True):
        _timed(stages, f"write {path.stem}", annotations.write_detections, path, table)
    return {"stages": stages}


def _score(folder: str, kind: str, scale: float) -> dict:
    del scale
    names = {i: f"action {i}" for i in range(1, ACTIONS + 1)}
    stages = []

    def read(path):
        return annotations.read_boxes(path, kind="detections")

    def evaluate():
        tables = [
            _timed(stages, f"read {path.stem}", read, path)
            for path in _paths(folder, kind)
        ]
        check = detection_checks.check_detections
        _timed(stages, "check", check, *tables, names)
        return _timed(stages, "all protocols", scoring.score_tables, *tables, names)

    counts = _timed(stages, "files to mAP", evaluate)["counts"]
    return {
        "stages": stages,
        "counts": {
            "labels": counts["ground_truth_labels"],
            "detections": counts["detections"],
        },
    }


_JOBS = {"write": _write, "score": _score}


def _timed(stages: list[dict], stage: str, function, *arguments):
    """The function's result; adds what it took to `stages`."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments)
    stages.append(
        {
            "stage": stage,
            "seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - cpu,
            # Linux counts in kilobytes.
            "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        }
    )
    return result


def _work() -> None:
    """Does the job of `_in_process`."""
    job, kind, folder, scale = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(json.dumps(_JOBS[job](folder, kind, float(scale))))


if __name__ == "__main__":
    _work()
