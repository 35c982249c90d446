"""Times the evaluation at the size of AVA's validation set, by stage.

Makes ground truth of 217,000 labels on 52,391 key-frames and 4.75 million
detections (every action of every box, as models write them), then scores them
as `evaluate_csv.py` does. One core is measured with `taskset -c 0`.

    python scripts/benchmark_eval.py [--scale 1.0] [--format csv|csv.gz|parquet]
"""

import argparse
import functools
import pathlib
import resource
import tempfile
import time

import numpy as np

from ava_jax import scoring
from ava_jax.data import annotations, detection_checks

KEYFRAMES, BOXES, LABELS, ACTIONS = 52_391, 79_166, 217_000, 60


def make_tables(scale: float = 1.0, seed: int = 0):
    """Random ground truth and detections of AVA's size times `scale`.

    Args:
      scale: of the numbers of key-frames, boxes and labels.
      seed: of the random numbers.

    Returns:
      Ground truth and detections, each grouped by key-frame.
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


def timed(stage: str, function, *arguments):
    """The function's result; prints what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{stage:<18}{wall:>7.2f} s{cpu:>7.2f} s of CPU{peak:>7.2f} GB at most")
    return result


def evaluate(paths, names) -> dict:
    """CSV to mAP, by stage."""
    read = functools.partial(annotations.read_boxes, kind="detections")
    tables = [timed(f"read {path.name}", read, path) for path in paths]
    timed("check", detection_checks.check_detections, *tables, names)
    return timed("both protocols", scoring.score_tables, *tables, names)


def main() -> None:
    """Makes the files, then times reading, checking and scoring them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--format", choices=("csv", "csv.gz", "parquet"), default="csv")
    flags = parser.parse_args()
    names = {i: f"action {i}" for i in range(1, ACTIONS + 1)}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        paths = [folder / f"{name}.{flags.format}" for name in ("truth", "found")]
        for path, table in zip(paths, make_tables(flags.scale), strict=True):
            timed(f"write {path.name}", annotations.write_detections, path, table)
        print(f"{paths[1].name}: {paths[1].stat().st_size / 1e6:.0f} MB")
        summary = timed("evaluate", evaluate, paths, names)
    counts = summary["counts"]
    print(
        f"{counts['ground_truth_labels']:,} labels, {counts['detections']:,} detections"
    )


if __name__ == "__main__":
    main()
