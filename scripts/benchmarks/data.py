"""Speed of the data pipeline: clips a second from each store of frames."""

import dataclasses
import itertools
import os
import pathlib
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from benchmarks import made_movies

from ava_jax import command_line
from ava_jax.config import ranges

NAME = "data"
HELP = "reading of clips by frame store, for training and evaluation"


def add_arguments(parser):
    """Options of the subcommand."""
    add = parser.add_argument
    add(
        "--config",
        default="configs/slowfast.py",
        metavar="FILE[:VARIANT]",
        help="configuration: configs/FILE.py or configs/FILE.py:VARIANT",
    )
    add(
        "--size",
        default="340x256",
        metavar="WIDTHxHEIGHT",
        help="size of the frames in pixels",
    )
    add(
        "--stores",
        nargs="+",
        choices=made_movies.STORES,
        default=made_movies.STORES,
        help="frame stores to read from",
    )
    add(
        "--movies",
        type=command_line.whole(1),
        default=2,
        metavar="N",
        help="number of movies",
    )
    add(
        "--seconds",
        type=command_line.whole(1),
        default=150,
        metavar="SECONDS",
        help="duration of each movie",
    )
    add(
        "--clips",
        type=command_line.whole(1),
        default=200,
        metavar="N",
        help="clips per measurement",
    )
    add(
        "--repeats",
        type=command_line.whole(1),
        default=3,
        metavar="N",
        help="measurements, of which the median is reported",
    )
    add(
        "--latency",
        type=command_line.number(ranges.at_least(0)),
        default=5,
        metavar="MS",
        help="latency of simulated remote storage in milliseconds",
    )
    add(
        "--memory-clips",
        type=command_line.whole(0),
        default=0,
        metavar="N",
        help="also measure the memory while reading N clips; 0: do not",
    )


def run(args) -> dict:
    """Writes a data set, reads it from every store; see `show` for the results."""
    with tempfile.TemporaryDirectory() as folder:
        configs = made_movies.write(args, pathlib.Path(folder))
        loops = {"decode and resize": _pure_loop(configs["folder"])}
        for store in args.stores:
            loops[f"{store}, training"] = _training(configs[store])
            loops[f"{store}, evaluation"] = _evaluation(configs[store])
        loops["folder, evaluation, nothing shared"] = _unshared(configs["folder"])
        seconds = _times(loops, args.clips, args.repeats)
        clip_len = configs["folder"].data.clip_len
        return {
            "size": args.size,
            "clip_len": clip_len,
            "cpus": len(os.sched_getaffinity(0)),
            "frame_bytes": made_movies.frame_bytes(configs["folder"]),
            "loops": {name: _rates(s, clip_len) for name, s in seconds.items()},
            "latency_ms": args.latency,
            "remote": {
                store: _remote(configs[store], args.latency / 1000, args.clips // 4)
                for store in ("folder", "packed")
                if store in args.stores
            },
            "memory": _memory(configs["folder"], args.memory_clips),
        }


def show(results: dict) -> None:
    """Prints what `run` returned."""
    print(
        "Clips of {clip_len} frames, {size}, {frame_bytes:,.0f} bytes a frame, "
        "{cpus} CPU cores\n".format(**results)
    )
    loops = results["loops"]
    pure = loops["decode and resize"]["clips_per_second"]
    print(f"{'':36} clips/s  frames/s  of pure loop  CPU ms/clip")
    for name, row in loops.items():
        rate = row["clips_per_second"]
        frames = row["frames_per_second"]
        cpu = row["cpu_ms_per_clip"]
        print(f"{name:36} {rate:7.1f} {frames:9.0f} {rate / pure:13.0%} {cpu:12.1f}")
    if results["remote"]:
        print(f"\nStorage that takes {results['latency_ms']:g} ms to answer")
        print(f"{'':8} reads a clip  KiB a clip  clips/s")
    for store, row in results["remote"].items():
        kib = row["bytes_per_clip"] / 1024
        print(
            f"{store:8} {row['reads_per_clip']:12.1f} {kib:11.0f}"
            f" {row['clips_per_second']:8.1f}"
        )
    for clips, mib in results["memory"]:
        print(f"after {clips:6} clips: peak memory {mib:.0f} MiB")


def _rates(seconds: tuple[float, float], clip_len: int) -> dict[str, float]:
    wall, cpu = seconds
    return {
        "clips_per_second": 1 / wall,
        "frames_per_second": clip_len / wall,
        "cpu_ms_per_clip": 1000 * cpu,
    }


def _times(
    loops: dict[str, Callable[[], Iterator[int]]], clips: int, repeats: int
) -> dict[str, tuple[float, float]]:
    """Median seconds a clip of each loop, in turns, so that noise hits all alike."""
    seconds = {name: [] for name in loops}
    for _ in range(repeats):
        for name, loop in loops.items():
            seconds[name].append(_seconds_per_clip(loop(), clips))
    return {name: tuple(np.median(rows, axis=0)) for name, rows in seconds.items()}


def _seconds_per_clip(batches: Iterator[int], clips: int) -> tuple[float, float]:
    """Seconds by the clock, and of all CPU cores together."""
    for _ in range(4):  # while buffers fill and TensorFlow settles
        next(batches)
    start, read = np.array([time.perf_counter(), time.process_time()]), 0
    for count in batches:
        read += count
        if read >= clips:
            break
    spent = [time.perf_counter(), time.process_time()] - start
    return tuple(spent / read)


def _pure_loop(config) -> Callable[[], Iterator[int]]:
    """The least that must be done: JPEG files in memory, decoded and resized."""
    import tensorflow as tf

    from ava_jax.data import transforms
    from ava_jax.data.frames.store import decode_jpegs

    root = pathlib.Path(config.data.root, config.data.frames)
    paths = sorted(root.glob("*/*.jpg"))[: 16 * config.data.clip_len]
    contents = tf.constant([path.read_bytes() for path in paths])
    contents = tf.reshape(contents, [-1, config.data.clip_len])
    height, width = cv2.imread(str(paths[0])).shape[:2]
    size = transforms.size_for_short_side(
        height, width, sum(config.data.train_short_side) // 2
    )

    def clip(files):
        return transforms.resize(decode_jpegs(files), *size)

    def loop():
        clips = tf.data.Dataset.from_tensor_slices(contents).repeat()
        batches = clips.map(clip, tf.data.AUTOTUNE).batch(config.train.batch)
        for _ in batches.prefetch(2):
            yield config.train.batch

    return loop


def _train_batches(split, config) -> Iterator[dict[str, np.ndarray]]:
    from ava_jax.data import pipeline

    return pipeline.train_batches(
        split,
        config.data,
        batch=config.train.batch,
        seed=config.seed,
        first_step=0,
        steps=10**6,
        rows=range(config.train.batch),
    )


def _training(config) -> Callable[[], Iterator[int]]:
    from ava_jax.data import dataset

    split = dataset.load_split(config.data, "train", config.model.num_classes)

    def loop():
        for batch in _train_batches(split, config):
            yield len(batch["clip"])

    return loop


def _evaluation(config) -> Callable[[], Iterator[int]]:
    from ava_jax.data import dataset, pipeline

    split = dataset.load_split(config.data, "val", config.model.num_classes)

    def loop():
        while True:
            batches = pipeline.eval_batches(
                split,
                config.data,
                batch=config.eval.batch,
                short_side=config.data.test_short_side,
                rows=range(config.eval.batch),
            )
            for batch in batches:
                yield len(batch["clip"])

    return loop


def _unshared(config) -> Callable[[], Iterator[int]]:
    """Evaluation in which every clip is read for itself."""
    import tensorflow as tf

    from ava_jax.data import dataset, examples, transforms

    split = dataset.load_split(config.data, "val", config.model.num_classes)
    made = examples.Examples(split, config.data)
    size = transforms.size_for_short_side(
        *split.frames.size[0].tolist(), config.data.test_short_side
    )

    def clip(k):
        return made.frames(k, made.indices(k), size)

    def loop():
        clips = tf.data.Dataset.range(len(split)).repeat()
        batches = clips.map(clip, tf.data.AUTOTUNE).batch(config.eval.batch)
        for batch in batches.prefetch(2).as_numpy_iterator():
            yield len(batch)

    return loop


# --------------------------------------------------------------- remote storage


def _remote(config, latency: float, clips: int) -> dict[str, float]:
    """Training from storage that takes its time for every read."""
    from ava_jax.data import dataset

    split = dataset.load_split(config.data, "train", config.model.num_classes)
    slow = _SlowFolders if config.data.frame_store == "folder" else _slow_packed
    log = _ReadLog(latency)
    split = dataclasses.replace(split, frames=slow(split.frames, log))
    batches = _train_batches(split, config)
    seconds, _ = _seconds_per_clip((len(batch["clip"]) for batch in batches), clips)
    return {
        "reads_per_clip": float(np.mean([reads for reads, _ in log.clips])),
        "bytes_per_clip": float(np.mean([size for _, size in log.clips])),
        "clips_per_second": 1 / seconds,
    }


class _ReadLog:
    """Reads and bytes of every clip, each of which is waited for."""

    def __init__(self, latency: float):
        self._latency = latency
        self.clips: list[tuple[int, int]] = []

    def note(self, sizes: list[int], together: bool) -> None:
        self.clips.append((len(sizes), sum(sizes)))
        time.sleep(self._latency * (1 if together else len(sizes)))


class _SlowFolders:
    """Frame folders whose files are opened one after the other, as they are."""

    def __init__(self, store, log: _ReadLog):
        self._store = store
        self._log = log

    def __getattr__(self, name):
        return getattr(self._store, name)

    def clip(self, video, indices):
        import tensorflow as tf

        def wait(video, indices):
            paths = (self._store.path(int(video), int(i)) for i in indices)
            self._log.note([path.stat().st_size for path in paths], together=False)
            return indices

        waited = tf.numpy_function(wait, [video, indices], tf.int64)
        return self._store.clip(video, tf.ensure_shape(waited, indices.shape))


def _slow_packed(store, log: _ReadLog):
    """Packed frames; ArrayRecord reads the records of a clip together."""

    class Source:
        def __getitems__(self, numbers):
            records = store.source.__getitems__(numbers)
            log.note([len(record) for record in records], together=True)
            return records

    return dataclasses.replace(store, source=Source())


def _memory(config, clips: int) -> list[tuple[int, float]]:
    """(clips, MiB): the peak so far, at ten points."""
    points, read = [], 0
    loop = _training(config)() if clips else itertools.repeat(0, 0)
    for count in loop:
        read += count
        if read >= clips * (len(points) + 1) / 10:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            points.append((read, peak / (2**20 if sys.platform == "darwin" else 2**10)))
        if read >= clips:
            break
    return points
