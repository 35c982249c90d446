"""The movies of AVA, several downloads at a time."""

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import queue
import re
import shutil
import threading
from collections.abc import Iterator, Sequence

import requests

from ava_jax import files
from ava_jax.annotations.text_files import read_lines
from ava_jax.errors import UserError
from ava_jax.published.download import download
from ava_jax.published.mirror import is_offline
from ava_jax.published.remote_size import remote_size
from ava_jax.video.reader import SUFFIXES

# https://github.com/cvdfoundation/ava-dataset names the files that CVDF hosts.
URL = "https://s3.amazonaws.com/ava-dataset/trainval"
_QUESTIONS = 16  # sizes that are asked for at the same time


def read_names(path: str | os.PathLike) -> list[str]:
    """The names of a list of movies, each once.

    Args:
      path: a file name a line, as in AVA's `ava_file_names_trainval_v2.1.txt`.

    Raises:
      UserError: no such file, or a line that is no file name.
    """
    path = os.fspath(path)
    lines = enumerate(read_lines(path), 1)
    names = {line: text.strip() for line, text in lines if text.strip()}
    for line, name in names.items():
        if not re.fullmatch(r"[\w-]+\.\w+", name):
            raise UserError(
                f"{path}, line {line}: {name[:60]!r}, expected the name of a video, "
                "such as 1j20qq1JyX4.mp4"
            )
    if not names:
        raise UserError(f"{path}: empty, expected the name of a video a line")
    return list(dict.fromkeys(names.values()))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be downloaded.

    Attributes:
      folder: where the movies go.
      names: all movies.
      missing: those that are not there.
      size: bytes that are still to come, as far as the server says.
      free: bytes on the disk.
    """

    folder: pathlib.Path
    names: tuple[str, ...]
    missing: tuple[str, ...]
    size: int
    free: int

    def text(self) -> str:
        """Number of movies, their size and the room for them, in one line."""
        there = len(self.names) - len(self.missing)
        text = f"{self.folder}: {there} of {len(self.names)} movies are there"
        if not self.missing:
            return text
        size = _gigabytes(self.size) if self.size else "unknown size"
        text += f"; to download: {len(self.missing)}, {size}"
        return f"{text}; free on the disk: {_gigabytes(self.free)}"


def plan(folder: str | os.PathLike, names: Sequence[str]) -> Plan:
    """Finds out which movies are missing, and asks the server for their sizes.

    Args:
      folder: of the movies; it is made.
      names: file names. A movie is there if its name is, with whatever ending.

    Raises:
      UserError: the server cannot be reached, the folder cannot be written, or there
        is not enough room.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        entries = list(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}).") from error
    there = {path.stem for path in entries if path.suffix.lower() in SUFFIXES}
    missing = [name for name in names if pathlib.Path(name).stem not in there]
    received = [files.partial_path(folder / name) for name in missing]
    size = sum(_sizes(missing))
    size -= sum(path.stat().st_size for path in received if path.exists())
    free = shutil.disk_usage(folder).free
    result = Plan(folder, tuple(names), tuple(missing), max(size, 0), free)
    if size > free:
        raise UserError(
            f"{result.text()}. Make room, or give another place: --config.data.root=DIR"
        )
    return result


def _sizes(names: Sequence[str]) -> list[int]:
    if not names or is_offline():
        return []
    urls = [f"{URL}/{name}" for name in names]
    try:
        first = remote_size(urls[0])
    except requests.RequestException as error:
        raise UserError(
            f"The movies cannot be downloaded, because {urls[0]} gives no answer "
            f"({error}). Check the network and its proxy (HTTPS_PROXY), or set "
            "AVA_JAX_MIRROR=URL."
        ) from None

    def size(url: str) -> int:
        with contextlib.suppress(requests.RequestException):
            return remote_size(url)
        return 0

    with concurrent.futures.ThreadPoolExecutor(_QUESTIONS) as pool:
        return [first, *pool.map(size, urls[1:])]


def download_movies(plan: Plan, workers: int) -> Iterator[tuple[str, UserError | None]]:
    """Downloads what is missing; every movie appears in the folder when it is whole.

    Args:
      plan: of `plan`.
      workers: downloads at a time.

    Yields:
      The name of each movie when it is finished, and why it could not be downloaded.

    Raises:
      UserError: the folder cannot be written, the disk is full, or there is no
        permission to download.
    """
    waiting, finished = queue.SimpleQueue(), queue.SimpleQueue()
    for name in plan.missing:
        waiting.put(name)

    def work() -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                name = waiting.get_nowait()
                finished.put((name, _try(name, plan.folder)))

    # Not a pool: after Ctrl-C, its threads would first download their movies.
    for _ in range(min(workers, len(plan.missing))):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in plan.missing:
            name, error = finished.get()
            if error and _concerns_all(error):
                raise error
            yield name, error
    finally:
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.get_nowait()


def _try(name: str, folder: pathlib.Path) -> Exception | None:
    try:
        download(f"{URL}/{name}", folder / name)
    except Exception as error:  # raised again where the results arrive
        return error


def _concerns_all(error: Exception) -> bool:
    """Whether the other movies cannot be downloaded either."""
    is_expected = isinstance(error, UserError)
    return not is_expected or is_offline() or isinstance(error.__cause__, OSError)


def text(plan: Plan, failures: dict[str, UserError]) -> str:
    """The result: how many movies are where, and those that are missing."""
    there = len(plan.names) - len(failures)
    lines = [f"{plan.folder}: {there} of {len(plan.names)} movies"]
    lines += [f"MISSING {URL}/{name}: {error}" for name, error in failures.items()]
    if failures:
        lines.append("The same command tries those again and keeps the others.")
    return "\n".join(lines)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
