"""Extracts the frames of many videos, and writes down how they were made."""

import concurrent.futures
import dataclasses
import functools
import importlib.metadata
import itertools
import json
import multiprocessing
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import cv2

from ava_jax import files
from ava_jax.errors import UserError
from ava_jax.prepare.extract_movie import Movie, Recipe, try_movie
from ava_jax.video.manifest import MANIFEST
from ava_jax.video.reader import SUFFIXES, import_av

_RULE = (
    "Frame i is the decoded frame whose time is nearest to start + (i - 1) / fps "
    "seconds behind the first one, the earlier one of two."
)


def find_videos(folder: str | os.PathLike) -> list[pathlib.Path]:
    """The video files of a folder, by name.

    Raises:
      UserError: there are none, or two of one name.
    """
    folder = pathlib.Path(folder)
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    videos = [path for path in entries if path.suffix.lower() in SUFFIXES]
    if not videos:
        raise UserError(
            f"{folder} holds no video ({', '.join(SUFFIXES)}). Say where they are: "
            "--videos DIR"
        )
    for one, other in itertools.pairwise(videos):
        if one.stem == other.stem:
            raise UserError(
                f"{one} and {other.name} would both be movie {one.stem}. Rename one."
            )
    return videos


def extract_movies(
    videos: Sequence[pathlib.Path],
    root: str | os.PathLike,
    recipe: Recipe,
    *,
    names_of_clips: bool = False,
    workers: int | None = None,
    progress: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> list[Movie]:
    """Extracts the frames of many videos into a folder for each.

    A movie's folder appears when it is whole, so that this can be stopped at any
    time and called again. `manifest.json` has the recipe, the versions of what
    decoded and encoded, and a `Movie` for each.

    Args:
      videos: the files; a movie is called as its file without the suffix.
      root: the folder of the folders.
      recipe: how.
      names_of_clips: `config.data.clip_names`.
      workers: processes; as many as cores by default.
      progress: wraps an iterable of known length in a progress bar.

    Returns:
      The result of every video, also of those that were extracted before.

    Raises:
      UserError: `root` has frames of another recipe, or cannot be written.
    """
    recipe.check()
    import_av()
    root = pathlib.Path(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        manifest = _Manifest(root, recipe)
        missing = [video for video in videos if not manifest.has(video)]
        work = functools.partial(
            try_movie, root=root, recipe=recipe, names_of_clips=names_of_clips
        )
        for movie in progress(_each(missing, work, workers), len(missing)):
            manifest.add(movie)
    except OSError as error:
        raise UserError(f"{root} cannot be written ({error.strerror}).") from error
    return [manifest.result(video.stem) for video in videos]


class _Manifest:
    """The manifest of a folder of frame folders: what is done."""

    def __init__(self, root: pathlib.Path, recipe: Recipe):
        self._root, self._path = root, root / MANIFEST
        # As JSON gives it back, to be compared with what the file has.
        self._recipe = json.loads(json.dumps(dataclasses.asdict(recipe)))
        self._movies: dict[str, Movie] = {}
        self._failed: dict[str, Movie] = {}
        if self._path.exists():
            content = files.read_json(self._path)
            self._check_recipe(content.get("recipe"))
            movies = (Movie(**fields) for fields in content["movies"])
            self._movies = {movie.name: movie for movie in movies}

    def has(self, video: pathlib.Path) -> bool:
        """Whether the frames of this very file are there."""
        movie = self._movies.get(video.stem)
        there = (self._root / video.stem).exists()
        if there and not movie:
            raise UserError(
                f"{self._root / video.stem} was not made by this command, which leaves "
                "it alone. Move it away, or extract into another folder: "
                "--config.data.frames=DIR"
            )
        # The size, because a digest would read every video at every start.
        return there and movie.bytes == video.stat().st_size

    def add(self, movie: Movie) -> None:
        """Puts the frames of a movie in place."""
        if movie.error:
            self._failed[movie.name] = movie
            return
        self._movies[movie.name] = movie
        folder = self._root / movie.name
        files.remove(folder)
        # First: a folder that the manifest does not know is not ours.
        self._write()
        files.partial_path(folder).rename(folder)

    def result(self, name: str) -> Movie:
        """The result of one movie."""
        return self._failed.get(name) or self._movies[name]

    def _write(self) -> None:
        movies = sorted(self._movies.values(), key=lambda movie: movie.name)
        content = {
            "recipe": self._recipe,
            "rule": _RULE,
            "versions": _versions(),
            "movies": [dataclasses.asdict(movie) for movie in movies],
        }
        files.write_json(self._path, content)

    def _check_recipe(self, there: Any) -> None:
        if there == self._recipe:
            return
        there = there if isinstance(there, dict) else {}
        changes = ", ".join(
            f"{name} was {there.get(name)} and is {self._recipe.get(name)} now"
            for name in there | self._recipe
            if there.get(name) != self._recipe.get(name)
        )
        raise UserError(
            f"{self._path}: these frames were made by another recipe: {changes}. Give "
            "the same options, remove the folder, or extract into another one: "
            "--config.data.frames=DIR"
        )


def _versions() -> dict[str, str]:
    """What decodes and encodes: other versions give other pixels."""
    av = import_av()
    libraries = {
        name: ".".join(map(str, version))
        for name, version in av.library_versions.items()
        if name in ("libavcodec", "libavformat", "libswscale")
    }
    packages = {"av": av.__version__, "opencv": cv2.__version__}
    return packages | libraries | {"ava_jax": importlib.metadata.version("ava_jax")}


def _each(videos, work, workers) -> Iterable[Movie]:
    """The movies, in the order in which they are finished."""
    workers = min(workers or os.cpu_count() or 1, len(videos))
    if workers <= 1:
        yield from map(work, videos)
        return
    # A fork of a process that has threads, such as TensorFlow's, may hang.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, context) as pool:
        jobs = [pool.submit(work, video) for video in videos]
        try:
            for job in concurrent.futures.as_completed(jobs):
                yield job.result()
        except BrokenProcessPool:
            raise UserError(
                "A process was killed, perhaps because memory ran out. The same "
                "command continues from here; --workers=1 needs the least memory."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def table(movies: Sequence[Movie]) -> str:
    """A table of the results, a line for each video, and their sum."""
    lines = [f"{'movie':24}{'frames':>9}{'size':>12}{'source fps':>12}  remarks"]
    for movie in movies:
        size = f"{movie.width}x{movie.height}" if movie.frames else ""
        rate = f"{movie.source_fps:g}" if movie.source_fps else ""
        remark = movie.error and f"FAILED: {movie.error}" or movie.note
        line = f"{movie.name:24}{movie.frames:>9,}{size:>12}{rate:>12}  {remark}"
        lines.append(line.rstrip())
    failed = sum(bool(movie.error) for movie in movies)
    frames = sum(movie.frames for movie in movies)
    lines.append(f"{len(movies)} movies, {frames:,} frames, {failed} failed")
    return "\n".join(lines)
