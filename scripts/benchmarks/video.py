"""Speed of each stage from a video to its actions, and of all at once; memory."""

import concurrent.futures
import itertools
import multiprocessing
import os
import pathlib
import resource
import tempfile
import time

import jax
import numpy as np

from ava_jax import command_line, people
from ava_jax import config as ava_config
from ava_jax.annotations.label_map import class_names
from ava_jax.config import ranges
from ava_jax.inference.clip_sampler import sample_clips
from ava_jax.inference.clip_scorer import ClipScorer
from ava_jax.models.detector import variable_shapes
from ava_jax.models.preprocessing import Normalization
from ava_jax.predict import Detector
from ava_jax.video.reader import VideoReader
from ava_jax.video.writer import VideoWriter

NAME = "video"
HELP = "decoding, person detection, action scores and encoding of a video"
# Of the video that is made if none is given.
_WIDTH, _HEIGHT, _FPS = 320, 180, 30
_ENCODED = 150  # frames of which encoding is timed


def add_arguments(parser):
    """Options of the subcommand."""
    add = parser.add_argument
    add(
        "--config",
        default="configs/slowfast.py",
        metavar="FILE[:VARIANT]",
        help="configuration: configs/FILE.py or configs/FILE.py:VARIANT",
    )
    add("--video", metavar="FILE", help="video (default: one of noise is made)")
    add(
        "--seconds",
        type=command_line.number(ranges.above(0)),
        default=20,
        metavar="SECONDS",
        help="duration of the video of noise",
    )
    add(
        "--every",
        type=command_line.number(ranges.above(0)),
        default=1.0,
        metavar="SECONDS",
        help="time between two key frames",
    )
    add(
        "--batch",
        type=command_line.whole(1),
        default=1,
        metavar="N",
        help="clips scored at once",
    )
    add(
        "--people",
        default="hog",
        metavar="NAME",
        help="person detector: hog, onnx:FILE, or a file of boxes",
    )
    add(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="precision of the computation",
    )
    add(
        "--memory",
        type=command_line.number(ranges.above(0)),
        nargs="*",
        default=[],
        metavar="SECONDS",
        help="also measure the peak memory for videos of noise of these durations, "
        "such as 10 600",
    )


def run(args) -> dict:
    """Times each stage alone, then all; see `show` for what is returned."""
    config = ava_config.load(args.config)
    config.model.dtype = args.dtype
    with tempfile.TemporaryDirectory() as folder:
        path = args.video or _make_video(folder, args.seconds)
        stages, count = _time_stages(config, path, args)
        memory = {s: _peak_memory(args, _make_video(folder, s)) for s in args.memory}
    alone = [row["seconds"] for name, row in stages.items() if name != "whole"]
    return {
        "config": config.name or args.config,
        "dtype": args.dtype,
        "batch": args.batch,
        "people": args.people,
        "every": args.every,
        "device": jax.devices()[0].device_kind,
        "cpus": len(os.sched_getaffinity(0)),
        "key_frames": count,
        "stages": stages,
        "whole_to_slowest": max(alone) / stages["whole"]["seconds"],
        "peak_memory_mib": memory,
    }


def show(results: dict) -> None:
    """Prints what `run` returned."""
    print(
        "{config}, {dtype}, batch {batch}, {people}, a key frame every {every:g} s\n"
        "{device}, {cpus} CPU cores, {key_frames} key frames\n".format(**results)
    )
    print("stage          s    CPU s  x real time   a second")
    for name, row in results["stages"].items():
        print(
            f"{name:8} {row['seconds']:7.2f} {row['cpu_seconds']:8.2f}"
            f" {row['times_real_time']:12.2f} {row['rate']:10.2f} {row['unit']}"
        )
    share = results["whole_to_slowest"]
    print(f"\nThe whole has {share:.0%} of its slowest stage's speed.")
    for seconds, mib in results["peak_memory_mib"].items():
        print(f"Video of {seconds:g} s: {mib:.0f} MiB at most.")


def _make_video(folder, seconds):
    """Writes an H.264 video of moving noise."""
    path = pathlib.Path(folder, f"noise_{seconds:g}.mp4")
    noise = np.random.default_rng(0).integers(0, 256, (_HEIGHT, _WIDTH, 3), np.uint8)
    noise = noise[::8, ::8].repeat(8, axis=0).repeat(8, axis=1)
    with VideoWriter(path, (_WIDTH, _HEIGHT), _FPS) as writer:
        for i in range(round(seconds * _FPS)):
            writer.write(np.roll(noise, 2 * i, axis=1), i / _FPS)
    return path


def _time_stages(config, path, args):
    """Seconds and rates of the stages, and the number of key frames."""
    variables = _random_variables(config)
    names = {
        int(i): name
        for i, name in class_names(
            config.data.class_ids, config.model.num_classes
        ).items()
    }
    detector = Detector(config, variables, names)
    with VideoReader(path) as video:
        fps = video.fps
        clips, decode = _timed(
            lambda: list(sample_clips(video, detector.sampling(args.every)))
        )
    find = people.open_detector(args.people)
    _, search = _timed(lambda: [find(clip.frame) for clip in clips])
    scorer = ClipScorer(
        config.model,
        variables,
        normalize=Normalization.from_config(config.data),
        max_boxes=config.data.max_boxes,
    )
    boxes = np.array([[0, 0, *clips[0].frame.shape[1::-1]]], np.float32)
    _score(scorer, clips[:1], boxes, args.batch)  # compiles
    _, score = _timed(lambda: _score(scorer, clips, boxes, args.batch))
    _, encode = _timed(lambda: _encode([clip.frame for clip in clips], fps))
    length = clips[-1].time + args.every
    encode = {name: value * length * fps / _ENCODED for name, value in encode.items()}

    def everything():
        # One box a key frame, so that every clip is scored whoever is found.
        options = {"every": args.every, "batch": args.batch}
        results = detector.predict_video(path, lambda f: (find(f), boxes)[1], **options)
        return len(list(results))

    next(detector.predict_video(path, boxes, batch=args.batch))  # compiles
    _, whole = _timed(everything)
    counts = {
        "decode": (decode, length * fps, "frames"),
        "people": (search, len(clips), "key frames"),
        "actions": (score, len(clips), "key frames"),
        "encode": (encode, length * fps, "frames"),
        "whole": (whole, len(clips), "key frames, without encoding"),
    }
    return {
        name: timing
        | {
            "times_real_time": length / timing["seconds"],
            "rate": count / timing["seconds"],
            "unit": unit,
        }
        for name, (timing, count, unit) in counts.items()
    }, len(clips)


def _random_variables(config):
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: (
            0.02 * rng.standard_normal(leaf.shape, np.float32) + (leaf.ndim == 1)
        ),
        variable_shapes(config.model),
    )


def _score(scorer, clips, boxes, batch):
    size = clips[0].frame.shape[:2]
    rows = [row for clip in clips for row in scorer.rows(clip.clip, boxes, size)]
    for i in range(0, len(rows), batch):
        scorer.start(rows[i : i + batch], batch)
    return scorer.results(rows)


def _encode(frames, fps):
    """Writes a fixed number of frames."""
    height, width = frames[0].shape[:2]
    with (
        tempfile.TemporaryDirectory() as folder,
        VideoWriter(pathlib.Path(folder, "a.mp4"), (width, height), fps) as writer,
    ):
        for i, frame in enumerate(itertools.islice(itertools.cycle(frames), _ENCODED)):
            writer.write(frame, i / fps)


def _timed(call):
    wall, cpu = time.perf_counter(), time.process_time()
    value = call()
    return value, {
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
    }


def _peak_memory(args, path):
    """MiB that a process of its own needs at most for a video."""
    # Not forked: the parent's memory would count.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        return pool.submit(_use_memory, args.config, str(path), args.every).result()


def _use_memory(config, path, every):
    config = ava_config.load(config)
    names = {
        int(i): name
        for i, name in class_names(
            config.data.class_ids, config.model.num_classes
        ).items()
    }
    detector = Detector(config, _random_variables(config), names)
    with VideoReader(path) as video:
        boxes = np.array([[0, 0, video.width, video.height]], np.float32)
    for _ in detector.predict_video(path, boxes, every=every):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
