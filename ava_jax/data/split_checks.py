"""Rules about a split: its files, key frames, people, proposals and frames.

Training raises what they find (`dataset.load_split`), the doctor lists it (`checks`).
"""

import os
import pathlib
from collections.abc import Callable, Sequence

import ml_collections
import numpy as np

from ava_jax.annotations import BoxTable, tools
from ava_jax.annotations.box_checks import check_corners, check_units
from ava_jax.annotations.findings import PLACES, Finding, Suspect, listed
from ava_jax.data import clips
from ava_jax.data.frames.store import FrameStore
from ava_jax.data.grouping import KeyFrames, Proposals, key_text

TOO_EARLY = "timestamps before their movie"


def check_files(
    data: ml_collections.ConfigDict, splits: Sequence[str]
) -> list[Finding]:
    """Files and folders that `config.data` names and that do not exist."""
    paths = {"labels": data.labels, "frames": data.frames}
    for split in splits:
        paths |= {f"{split}.{field}": path for field, path in data[split].items()}
    root = pathlib.Path(data.root)
    missing = [field for field, path in paths.items() if not (root / path).exists()]
    if not missing:
        return []
    layout = {
        "packed": f"frames packed below {data.frames}/",
        "video": f"videos as {data.frames}/<video>.mp4",
    }.get(data.frame_store, f"frames as {data.frames}/<video>/img_00001.jpg")
    return [
        Finding(
            "missing files",
            len(missing),
            tuple(f"{root / paths[field]} (config.data.{field})" for field in missing),
            f"config.data.root is {root}; the other paths are relative to it. Expected "
            f"are {layout}, counted from {data.timestamp_start} s at {data.fps} frames "
            "a second, and the annotation files named in config.data.",
            "Put them there, or set --config.data.root=DIR to where they are, or the "
            "fields that name them. To see everything work without AVA: python -m "
            "ava_jax.main --config configs/mini.py --workdir runs/mini",
        )
    ]


def check_format(path: str | os.PathLike, split: str) -> list[Finding]:
    """Whether a file of annotations is one of an annotation tool, to be imported."""
    tool = tools.recognise(path)
    return listed(
        f"annotations in the format of {tool}",
        [str(path)] if tool else [],
        "Expected AVA's CSV: video,timestamp,x1,y1,x2,y2,action,person.",
        f"Import it: ava-jax prepare import {path} --config "
        "configs/own.py --config.data.root=DIR",
        split=split,
    )


def check_people(key_frames: KeyFrames, rows: int, split: str) -> list[Finding]:
    """Whether some of the annotation file's `rows` can be learned or scored."""
    return listed(
        "no annotations",
        [] if len(key_frames.truth_boxes) else [key_frames.path],
        f"It has {rows} rows, but outside the excluded timestamps none with an action "
        "that has a class.",
        "Is it the right file? config.data.class_ids names the actions to learn.",
        split=split,
    )


def check_proposals(
    key_frames: KeyFrames,
    proposals: Proposals,
    path: str,
    no_proposals: str,
    split: str,
) -> list[Finding]:
    """Annotated key frames without a proposal; `config.data.no_proposals` may allow it.

    Args:
      key_frames: joined with the proposals as they are.
      proposals: all, from the file `path`.
      path: for messages.
      no_proposals: 'error', 'skip' or 'full_frame'.
      split: 'train' or 'val'.
    """
    missing = np.flatnonzero(np.isneginf(key_frames.best_score)).tolist()
    if not missing:
        return []
    # "skip" would leave nothing to train on.
    all_missing = len(missing) == len(key_frames)
    shown = missing[:PLACES]
    return listed(
        "key frames without proposals",
        [
            f"{key_frames.place(k)}: no key '{key_text(key_frames.key(k))}'"
            for k in shown
        ],
        f"Of {len(key_frames):,} annotated key frames, {path} has no box for these. "
        f"{_why_missing(key_frames.key(missing[0]), proposals)} "
        f"config.data.no_proposals is {no_proposals!r}.",
        "Write the keys as in the annotations, '<video>,<second>' with four digits, or "
        "make proposals: ava-jax prepare proposals --help. "
        "--config.data.no_proposals=skip leaves such key frames out, full_frame gives "
        "them one box of the whole frame (as MMAction2 does).",
        count=len(missing),
        split=split,
        is_problem=no_proposals == "error" or (no_proposals == "skip" and all_missing),
        suspects=suspects_of(key_frames, shown),
    )


def check_units_and_corners(
    table: BoxTable, split: str, noun: str = "boxes"
) -> list[Finding]:
    """Annotated or proposed boxes that are in pixels or inverted."""
    return [
        *check_units(table, noun, split=split),
        *check_corners(table, noun, split=split),
    ]


def _why_missing(key: tuple[str, float], proposals: Proposals) -> str:
    """What the keys of the proposals look like beside one that is missing."""
    video, second = key
    if not proposals:
        return "It has no boxes at all."
    # Other seconds of the movie mean that timestamps are written in another way, no
    # second at all that names are.
    seconds = sorted(t for name, t in proposals if name == video)
    if seconds:
        nearest = min(seconds, key=lambda t: abs(t - second))
        return (
            f"It has {len(seconds)} other seconds of {video}, from {seconds[0]:g} to "
            f"{seconds[-1]:g}; the nearest to {second:g} is {nearest:g}."
        )
    names = list(dict.fromkeys(name for name, _ in proposals))
    folded = video.casefold()
    alike = [n for n in names if folded in n.casefold() or n.casefold() in folded]
    return f"It does not know {video}; it knows {(alike or names)[0]}, for example."


def check_timestamps(
    key_frames: KeyFrames,
    store: FrameStore,
    fps: int,
    timestamp_start: float,
    split: str,
) -> list[Finding]:
    """Key frames before the first or after the last frame of their movie.

    Movies without frames are left out.
    """
    number = {name: i for i, name in enumerate(store.videos)}
    movie = np.array([number.get(name, -1) for name in key_frames.videos], np.int64)
    movie = movie[key_frames.video]
    centre = clips.centre_frames(
        key_frames.second, fps, timestamp_start, store.origin[movie]
    )
    first, last = store.first[movie], store.last[movie]

    # See `clips.clock`: a timestamp may be the number of a frame.
    counted = "in frames" if fps == 1 else f"in seconds, at config.data.fps={fps},"

    def finding(name, outside, remedy):
        rows = np.flatnonzero(outside & (movie >= 0)).tolist()
        if not rows:
            return []
        k = rows[0]
        video, second = key_frames.key(k)
        return listed(
            name,
            [key_frames.place(row) for row in rows[:PLACES]],
            f"The first is {second:g} of {video}: {counted} from "
            f"config.data.timestamp_start={timestamp_start} it is frame {centre[k]}, "
            f"and there are {first[k]} to {last[k]}.",
            remedy,
            count=len(rows),
            split=split,
            suspects=suspects_of(key_frames, rows[:PLACES]),
        )

    return [
        *finding(
            TOO_EARLY,
            centre < first,
            "Set config.data.timestamp_start to the second of the first frames: 0 if "
            "they begin with the video (--config.data.timestamp_start=0). For video "
            "files, check config.data.video_start too.",
        ),
        *finding(
            "timestamps after the end of their movie",
            centre > last,
            "Check config.data.fps, config.data.timestamp_start and, for video files, "
            "config.data.video_start; correct the timestamps, or extract the whole "
            "movie.",
        ),
    ]


def check_room(
    starts: np.ndarray, key: Callable[[int], tuple[str, float]], max_boxes: int
) -> list[Finding]:
    """Training key frames with more people than `config.data.max_boxes`.

    Args:
      starts: (K + 1,) where each key frame's people start.
      key: gives the (video, second) of a key frame.
      max_boxes: `config.data.max_boxes`.
    """
    people = np.diff(starts)
    crowded = [key(k) for k in np.flatnonzero(people > max_boxes)]
    most = people.max(initial=0)
    return listed(
        "crowded key frames",
        [f"{video}, second {second:g}" for video, second in crowded],
        f"Up to {most} people are annotated, and config.data.max_boxes is {max_boxes}.",
        f"--config.data.max_boxes={most}",
        split="train",
    )


def suspects_of(key_frames: KeyFrames, numbers: Sequence[int]) -> tuple[Suspect, ...]:
    """Some key frames to look at, with people and proposals."""
    suspects = []
    for k in numbers:
        boxes = key_frames.truth_boxes[slice(*key_frames.truth_starts[k : k + 2])]
        found = key_frames.proposal_boxes[slice(*key_frames.proposal_starts[k : k + 2])]
        # Without text, which would hide people where many are near each other.
        captions = ("",) * len(boxes)
        suspects.append(Suspect(*key_frames.key(k), boxes, captions, found))
    return tuple(suspects)
