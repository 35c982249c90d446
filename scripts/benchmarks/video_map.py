"""Video-mAP of made-up detections, against the original's way of computing it."""

import time

import numpy as np
from benchmarks import plain_video_map

from ava_jax import command_line
from ava_jax.metrics import video_map
from ava_jax.metrics.tubes import FrameBoxes, Tubes, ranges

NAME = "video-map"
HELP = "frame-mAP and video-mAP of linked tubes"

CLASSES = 66
CLASSES_OF_VIDEO = 16  # a video is of one sport
FRAMES, PEOPLE, BOXES = 500, 8, 10
SHORTEST, LONGEST = 10, 80  # frames in which a person does the same
WIDTH, HEIGHT = 1280, 720


def add_arguments(parser):
    """Options of the subcommand."""
    add = parser.add_argument
    add(
        "--boxes",
        type=command_line.whole(1),
        default=500_000,
        metavar="N",
        help="detected boxes",
    )
    add(
        "--repeats",
        type=command_line.whole(1),
        default=3,
        metavar="N",
        help="runs of this project's",
    )
    add(
        "--compare",
        action="store_true",
        help="also run the plain restatement of the original (minutes)",
    )


def run(args) -> dict:
    """Evaluates the same detections by this project and by the plain restatement.

    Returns:
      {"boxes", "videos", "tubes", "seconds", "metrics"}, seconds the median of the
      runs; with `--compare` also "plain_seconds", "times_faster", and "difference", the
      largest of the two's metrics.
    """
    truth, detections, num_frames = make_tracks(args.boxes)
    # The scores of the original, which both can compute.
    options = {"link_scores": "last"}
    seconds = []
    for _ in range(args.repeats):
        start = time.perf_counter()
        found = video_map.evaluate(
            truth, detections, range(CLASSES), num_frames, **options
        )
        seconds.append(time.perf_counter() - start)
    metrics = {"frame": found.frame_mean, **found.video_means}
    result = {
        "boxes": len(detections.label),
        "videos": len(num_frames),
        "tubes": len(found.tubes),
        "seconds": float(np.median(seconds)),
        "metrics": metrics,
    }
    if args.compare:
        rows = as_rows(detections)
        start = time.perf_counter()
        plain = plain_video_map.evaluate(
            by_video(truth), rows, range(CLASSES), num_frames, CLASSES
        )
        result["plain_seconds"] = time.perf_counter() - start
        result["times_faster"] = result["plain_seconds"] / result["seconds"]
        result["difference"] = max(abs(plain[name] - metrics[name]) for name in metrics)
    return result


def show(results: dict) -> None:
    """Prints what `run` returned."""
    print(
        f"{results['boxes']:,} boxes, {results['videos']} videos, {results['tubes']:,} "
        f"tubes: {results['seconds']:.2f} s"
    )
    if "plain_seconds" in results:
        print(
            f"plain: {results['plain_seconds']:.1f} s, {results['times_faster']:.0f} "
            f"times as long; the metrics differ by {results['difference']:.1e} at most"
        )


def make_tracks(boxes: int, seed: int = 0, *, people: int = PEOPLE):
    """Made-up people who move, do something for a while, and are mostly detected.

    Args:
      boxes: how many are detected, about.
      seed: of the random numbers.
      people: in each video; some have two boxes a frame, of 10 in all.

    Returns:
      Ground-truth tubes, detections in the order of videos and frames, and the number
      of frames of each video.
    """
    rng = np.random.default_rng(seed)
    videos = max(1, round(boxes / BOXES / FRAMES))
    parts, tracks = [], []
    for video in range(videos):
        detected, annotated = _make_video(rng, video, people)
        parts.append(detected)
        tracks.append(annotated)
    video, frame, label, score, box = map(np.concatenate, zip(*parts, strict=True))
    truth = Tubes.from_tracks(*map(np.concatenate, zip(*tracks, strict=True)))
    detections = FrameBoxes(video, frame, label, box, score)
    return truth, detections, np.full(videos, FRAMES)


def _make_video(rng, video, people):
    frames = np.arange(FRAMES)
    classes = rng.choice(CLASSES, CLASSES_OF_VIDEO, replace=False)
    size = rng.uniform(60, 200, (people, 2))
    begin, path = rng.uniform(0, 0.7, (2, people, 2)) * [WIDTH, HEIGHT]
    low = begin + (path - begin) * (frames[:, None, None] / FRAMES)
    # Axes: frame, person.
    box = np.concatenate([low, low + size], axis=-1)
    spans = rng.integers(SHORTEST, LONGEST, (people, FRAMES // SHORTEST))
    span = np.stack([np.repeat(np.arange(len(s)), s)[:FRAMES] for s in spans], axis=1)
    of_span = rng.choice(classes, spans.shape)
    label = of_span[np.arange(people), span]
    # The first people have two boxes.
    who = np.arange(BOXES) % people
    near = box[:, who] + rng.normal(0, 2, (FRAMES, BOXES, 4))
    mistaken = rng.random((FRAMES, BOXES)) < 0.1
    guess = np.where(mistaken, rng.choice(classes, mistaken.shape), label[:, who])
    score = rng.uniform(0.3, 1, mistaken.shape)
    count = FRAMES * BOXES
    detected = (
        np.full(count, video),
        np.repeat(frames + 1, BOXES),
        guess.ravel(),
        score.astype(np.float32).astype(np.float64).ravel(),
        near.reshape(-1, 4).astype(np.float32).astype(np.float64),
    )
    shown = (rng.random(spans.shape) < 0.5)[np.arange(people), span]
    frame, person = np.nonzero(shown)
    annotated = (
        np.full(len(frame), video),
        label[shown],
        person * FRAMES + span[shown],
        frame + 1,
        box[shown],
    )
    return detected, annotated


def as_rows(detections: FrameBoxes) -> np.ndarray:
    """(N, 8) rows for `plain_video_map`."""
    columns = (detections.video, detections.frame, detections.label, detections.score)
    return np.column_stack([*columns, detections.box])


def by_video(tubes: Tubes) -> dict[tuple[int, int], list[np.ndarray]]:
    """Ground truth for `plain_video_map`."""
    rows = np.column_stack([ranges(tubes.first_frame, tubes.lengths), tubes.box])
    result = {}
    for i, key in enumerate(
        zip(tubes.video.tolist(), tubes.label.tolist(), strict=True)
    ):
        result.setdefault(key, []).append(rows[tubes.starts[i] : tubes.starts[i + 1]])
    return result
