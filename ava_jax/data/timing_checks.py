"""Rules about the frames' number and rate: what was extracted, and what is annotated.

Training and evaluation raise what is certain and log the rest (`dataset.load_split`),
the doctor lists all (`checks`).
"""

import pathlib
from collections.abc import Iterable, Mapping

import numpy as np

from ava_jax.annotations.findings import Finding, listed
from ava_jax.data import clips
from ava_jax.data.frames.store import FrameStore
from ava_jax.data.grouping import KeyFrames
from ava_jax.data.split_checks import TOO_EARLY, check_timestamps
from ava_jax.video.manifest import MANIFEST, extracted_fps

# What videos are extracted at.
_RATES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 12.5, 15, 16, 20, 23.976, 24, 25, 29.97, 30)
_RATES += (48, 50, 59.94, 60, 100, 120)
# Seconds that a movie may well continue after its last key frame.
_TAIL = 5.0


def check_timing(
    splits: Mapping[str, KeyFrames],
    store: FrameStore,
    fps: int,
    timestamp_start: float,
) -> list[Finding]:
    """Key frames outside their movies, short movies, a wrong frame rate.

    Args:
      splits: key frames by the name of the split.
      store: the frames.
      fps: `config.data.fps`.
      timestamp_start: `config.data.timestamp_start`.
    """
    clock = fps, timestamp_start
    seconds = _seconds(splits.values(), store)
    outside = [
        finding
        for name, key_frames in splits.items()
        for finding in check_timestamps(key_frames, store, *clock, name)
    ]
    if rate := _wrong_rate(seconds, store, *clock):
        return [finding for finding in outside if finding.name == TOO_EARLY] + rate
    return outside + _short(seconds, store, *clock)


def check_recipe(root: pathlib.Path, fps: float) -> list[Finding]:
    """Whether `ava-jax prepare extract` wrote down another frame rate.

    Args:
      root: the folder of the frame folders.
      fps: `config.data.fps`.
    """
    extracted = extracted_fps(root)
    if extracted is None or extracted == fps:
        return []
    return listed(
        "frames extracted at another rate",
        [str(root / MANIFEST)],
        f"They were extracted at {extracted:g} frames a second; config.data.fps is "
        f"{fps:g}.",
        f"--config.data.fps={extracted:g}, or extract them again.",
    )


def check_rate(
    key_frames: KeyFrames, store: FrameStore, fps: int, timestamp_start: float
) -> list[Finding]:
    """Whether the number of frames shows that they are not at `config.data.fps`.

    Args:
      key_frames: of one split.
      store: its frames.
      fps: `config.data.fps`.
      timestamp_start: `config.data.timestamp_start`.
    """
    return _wrong_rate(_seconds([key_frames], store), store, fps, timestamp_start)


def _seconds(splits: Iterable[KeyFrames], store) -> dict[int, np.ndarray]:
    """The distinct annotated seconds of every movie, by its number."""
    number = {name: i for i, name in enumerate(store.videos)}
    parts: dict[int, list[np.ndarray]] = {}
    for key_frames in splits:
        # Key frames are in the order of their movies.
        ends = np.searchsorted(key_frames.video, np.arange(1, len(key_frames.videos)))
        seconds = np.split(key_frames.second, ends)
        for name, times in zip(key_frames.videos, seconds, strict=True):
            if name in number:
                parts.setdefault(number[name], []).append(times)
    return {n: np.unique(np.concatenate(parts[n])) for n in sorted(parts)}


def _frames(seconds: np.ndarray, fps: float, start: float) -> np.ndarray:
    """Frames from the movie's first one to those of the seconds."""
    return clips.centre_frames(seconds, fps, start, origin=0)


def _short(seconds, store, fps, start) -> list[Finding]:
    """Movies that end before several of their key frames: no slip in one row."""
    count = store.last - store.origin
    behind = {
        number: (_frames(times, fps, start) > count[number]).sum()
        for number, times in seconds.items()
    }
    return listed(
        "short movies",
        [
            f"{store.videos[n]}: {(count[n] + 1) / fps:g} s of frames, annotated up to "
            f"{seconds[n][-1] - start:g} s"
            for n, frames in behind.items()
            if frames > 1
        ],
        f"Of {len(seconds)} movies, these end before several of their key frames.",
        "Extract them again; if the videos are short themselves, fetch them again.",
    )


def _wrong_rate(seconds, store, fps, start) -> list[Finding]:
    """The finding that the frames are not at `fps`, if their number shows it."""
    # Frames after the first one, and seconds they must cover.
    numbers = [n for n, times in seconds.items() if times[-1] > start]
    if not numbers:
        return []
    count = (store.last - store.origin)[numbers].astype(float)
    cover = np.array([seconds[n][-1] - start for n in numbers])
    fitting = _fitting_rates(count, cover)
    too_few = count < np.floor(cover * fps)
    too_many = count / fps - cover > np.maximum(_TAIL, 0.1 * cover)
    if fitting and too_few.mean() >= 0.5:
        wrong = too_few
    elif fitting and too_many.all():
        wrong = too_many
    else:
        return []
    places = [
        f"{store.videos[numbers[i]]}: {int(count[i]) + 1:,} frames, annotated up to "
        f"{cover[i]:g} s after its beginning"
        for i in np.flatnonzero(wrong)
    ]
    needed = (count / cover)[wrong][0]
    rates = " or ".join(f"{rate:g}" for rate in fitting)
    found = (
        f"the first movie has frames for {needed:.4g} a second at most"
        if wrong is too_few
        else "the movies would continue for long after their last key frames"
    )
    return listed(
        "wrong frame rate",
        places,
        f"config.data.fps is {fps}, but {found}. The frames of all movies fit {rates} "
        "a second.",
        "Set --config.data.fps to the rate of the frames, or extract them again at "
        f"{fps}. The seconds are counted from config.data.timestamp_start={start}: is "
        "that right?",
        # One movie may be annotated in part, and fit another rate by chance.
        is_problem=len(numbers) > 1 or wrong is too_few,
    )


def _fitting_rates(count: np.ndarray, cover: np.ndarray) -> list[float]:
    """The usual rates at which all movies end soon after their last key frame.

    Args:
      count: frames of each movie after its first one.
      cover: seconds from there to its last key frame.
    """
    return [
        rate
        for rate in _RATES
        if (count >= np.floor(cover * rate)).all()
        and (count / rate - cover <= _TAIL).all()
    ]
