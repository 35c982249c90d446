"""Checks of frame folders: what is missing, misnamed, damaged."""

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
from typing import NamedTuple

import numpy as np
from PIL import Image

from ava_jax.annotations.findings import PLACES, Finding, listed
from ava_jax.data.frames.folders import (
    READ_FORMATS,
    FrameFolders,
    FrameName,
    detect_frame_name,
)
from ava_jax.errors import UserError, join_first

# What `config.data.on_bad_frame` is about.
MISSING_FRAMES, DAMAGED_FRAMES = "missing frames", "damaged frames"
# How many folders are listed together: on network storage it is all waiting.
_PARALLEL = 16
_ORIENTATION, _UPRIGHT = 0x0112, 1  # EXIF

# Wraps an iterable of a known length and shows how far it is.
Progress = Callable[[Iterable, int], Iterable]


@dataclasses.dataclass(frozen=True, eq=False)
class _Movie:
    """The frames of one folder: first and last index, and those absent between."""

    name: str
    first: int
    last: int
    absent: np.ndarray


def look_at_folders(
    root: pathlib.Path, videos: Sequence[str], frame_name: str
) -> tuple[FrameFolders | None, list[Finding]]:
    """Lists the frames of every movie.

    Args:
      root: the folder that holds one folder a movie.
      videos: names of the movies.
      frame_name: `config.data.frame_name`.

    Returns:
      The movies that have frames, with sizes 0 (None: there are none), and what is
      wrong.
    """
    present = [video for video in videos if (root / video).is_dir()]
    findings = _without_frames(root, [v for v in videos if v not in set(present)])
    if not present:
        return None, findings
    try:
        if frame_name == "auto":
            frame_name = detect_frame_name(root, present[0])
        name = FrameName.parse(frame_name)
    except UserError as error:
        return None, [*findings, _misnamed(str(root / present[0]), 1, str(error))]
    with futures.ThreadPoolExecutor(_PARALLEL) as pool:
        looks = list(pool.map(lambda v: _look(root / v, v, name), present))
    movies = [movie for movie in looks if movie]
    findings += _other_names(root, present, looks, frame_name)
    findings += _gaps(root, movies, name)
    findings += _beginnings(root, movies, name)
    return _store(root, movies, name) if movies else None, findings


def _look(folder: pathlib.Path, video: str, name: FrameName) -> _Movie | None:
    head, tail = name.head(video), name.suffix
    texts = (
        file[len(head) : len(file) - len(tail)]
        for file in os.listdir(folder)
        if file.startswith(head) and file.endswith(tail)
    )
    # As `FrameName.file` writes them: longer than `digits` only if they must be.
    indices = sorted(
        int(text)
        for text in texts
        if text.isdecimal()
        and (len(text) == name.digits or len(text) > name.digits and text[0] != "0")
    )
    if not indices:
        return None
    first, last = indices[0], indices[-1]
    absent = np.setdiff1d(np.arange(first, last + 1), indices, assume_unique=True)
    return _Movie(video, first, last, absent)


def _store(root, movies: list[_Movie], name: FrameName) -> FrameFolders:
    return FrameFolders(
        videos=tuple(movie.name for movie in movies),
        first=np.array([movie.first for movie in movies], np.int64),
        last=np.array([movie.last for movie in movies], np.int64),
        size=np.zeros((len(movies), 2), np.int32),
        missing=np.array([len(movie.absent) for movie in movies], np.int64),
        root=root,
        name=name,
    )


def _without_frames(root: pathlib.Path, videos: Sequence[str]) -> list[Finding]:
    return listed(
        "movies without frames",
        [str(root / video) for video in videos],
        "Annotated movies have no folder, or it holds no JPEG files.",
        "Extract their frames: ava-jax prepare extract --help. Is "
        "the folder named otherwise? It must be called as in the annotations.",
    )


def _other_names(root, present, looks, frame_name) -> list[Finding]:
    """Folders in which no frame is named as the template says."""
    named, empty = {}, []
    for video in (v for v, look in zip(present, looks, strict=True) if not look):
        try:
            named[video] = detect_frame_name(root, video)
        except UserError:
            empty.append(video)
    findings = _without_frames(root, empty)
    if named:
        video, template = next(iter(named.items()))
        message = f"The first are named like {template}, expected {frame_name}. "
        message += f"--config.data.frame_name='{template}' reads them."
        findings.append(_misnamed(str(root / video), len(named), message))
    return findings


def _misnamed(place: str, count: int, message: str) -> Finding:
    return Finding(
        "movies whose frames are named otherwise",
        count,
        (place,),
        message,
        "Set config.data.frame_name to how the frames are named.",
    )


def _gaps(root, movies: Sequence[_Movie], name: FrameName) -> list[Finding]:
    count = sum(len(movie.absent) for movie in movies)
    if not count:
        return []
    files = (
        str(root / movie.name / name.file(movie.name, int(index)))
        for movie in movies
        for index in movie.absent
    )
    gappy = sum(len(movie.absent) > 0 for movie in movies)
    return [
        Finding(
            MISSING_FRAMES,
            count,
            tuple(itertools.islice(files, PLACES)),
            f"{gappy} movies have gaps between their first and last frame.",
            "Extract these movies again, or train on the nearest frames: "
            "--config.data.on_bad_frame=nearest",
        )
    ]


def _beginnings(root, movies: Sequence[_Movie], name: FrameName) -> list[Finding]:
    """Movies whose first frame is not frame 1."""
    first = {
        movie.name: str(root / movie.name / name.file(movie.name, movie.first))
        for movie in movies
    }
    zero = [first[movie.name] for movie in movies if movie.first == 0]
    late = [first[movie.name] for movie in movies if movie.first > 1]
    mixed = len(zero) < len(movies)
    return [
        *listed(
            "movies that count frames from 0",
            zero,
            "Others count from 1: one of the two is off by one frame."
            if mixed
            else "Frame 0 is taken for the first one, at config.data.timestamp_start. "
            "MMAction2 counts from 1 and would be one frame off.",
            "Extract them all in one way, such as img_{:05}.jpg from 1.",
            is_problem=mixed,
        ),
        *listed(
            "movies that lack their beginning",
            late,
            "The first is the lowest frame there is; frame 1, the one at "
            "config.data.timestamp_start, and those after it are missing.",
            "Extract these movies again. If frames begin later on purpose, number them "
            "from 1 and set --config.data.timestamp_start to the first one's second.",
        ),
    ]


def check_ends(store: FrameFolders) -> list[Finding]:
    """Opens the first and the last frame of every movie."""
    ends = zip(store.first.tolist(), store.last.tolist(), strict=True)
    return _check_pictures(store, [sorted({*pair}) for pair in ends])


def check_every_frame(store: FrameFolders, progress: Progress) -> list[Finding]:
    """Opens every frame, on all cores.

    Args:
      store: the folders.
      progress: wraps an iterable of a known length and shows how far it is.
    """
    ends = zip(store.first.tolist(), store.last.tolist(), strict=True)
    frames = [range(first, last + 1) for first, last in ends]
    return _check_pictures(store, frames, progress)


def _check_pictures(
    store, frames: Sequence[Sequence[int]], progress=lambda items, total: items
) -> list[Finding]:
    """Opens some frames of each movie."""
    damaged, movies, other_size, other_format, rotated = [], set(), [], [], []
    sizes: dict[int, tuple[int, int]] = {}
    total = sum(map(len, frames))
    for movie, path, result in progress(_results(store, frames), total):
        if result is None:
            continue
        if isinstance(result, str):
            damaged.append(f"{path}: {result}")
            movies.add(store.videos[movie])
            continue
        if result.format not in READ_FORMATS:
            other_format.append(f"{path}: {result.format}")
        if result.is_rotated:
            rotated.append(str(path))
        if sizes.setdefault(movie, result.size) != result.size:
            here, there = (f"{w}x{h}" for w, h in (result.size, sizes[movie]))
            other_size.append(f"{path}: {here}, others {there}")
    return [
        *listed(
            DAMAGED_FRAMES,
            damaged,
            f"They are of {len(movies)} movies: {join_first(sorted(movies))}.",
            "Extract these movies again, or train on the nearest good frames: "
            "--config.data.on_bad_frame=nearest",
        ),
        *listed(
            "frames in another format",
            other_format,
            "Training reads JPEG (also PNG and GIF), whatever the files are called.",
            "Convert them to JPEG, or extract these movies again.",
        ),
        *listed(
            "frames with an EXIF orientation",
            rotated,
            "Training reads them as they are stored. Programs for annotation, and "
            "MMAction2, rotate them first: boxes then refer to the rotated picture.",
            "Store the pictures upright and without an orientation, for example with "
            "`mogrify -auto-orient`.",
        ),
        *listed(
            "frames of another size than their movie",
            other_size,
            "The frames of a clip must have one size.",
            "Extract these movies again.",
        ),
    ]


class _Picture(NamedTuple):
    """A frame that can be decoded.

    Attributes:
      size: width and height as stored.
      format: Pillow's name of it.
      is_rotated: whether its EXIF orientation rotates or mirrors it.
    """

    size: tuple[int, int]
    format: str
    is_rotated: bool


def _results(store, frames):
    """(movie, path, result of `_open`) of the frames, in order."""
    with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for movie, indices in enumerate(frames):
            paths = [store.path(movie, index) for index in indices]
            for path, result in zip(paths, pool.map(_open, paths), strict=True):
                yield movie, path, result


def _open(path: pathlib.Path) -> _Picture | str | None:
    """The picture; what is wrong with the file; None: there is none."""
    try:
        with Image.open(path) as image:
            size = image.size
            is_rotated = image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT
            # All of the file is read and decoded, at an eighth of the size.
            image.draft("RGB", (size[0] // 8, size[1] // 8))
            image.load()
            return _Picture(size, image.format, is_rotated)
    except FileNotFoundError:
        return None  # a gap, for which there is a finding
    except OSError as error:
        return "empty file" if not path.stat().st_size else _reason(error)


def _reason(error: OSError) -> str:
    text = str(error)
    return "not a picture" if "cannot identify" in text else text
