"""The miniature: short drawn movies in AVA's format on disk, made from a seed.

It has AVA's file formats and seven of AVA's actions, several per person, in
movies of a few seconds. "stand" and "walk" have the same silhouettes, as have a
still raised arm and "hand wave": only motion tells them apart.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import pickle
import shutil
import uuid

import cv2
import numpy as np

from ava_jax.errors import UserError
from ava_jax.prepare.mini.movie import Movie, Person
from ava_jax.prepare.mini.proposals import VISIBLE, propose

# AVA's action ids and names (v2.2), by what a figure does.
_ACTIONS = {
    "jump": (7, "jump/leap"),
    "lie": (8, "lie/sleep"),
    "sit": (11, "sit"),
    "stand": (12, "stand"),
    "walk": (14, "walk"),
    "hold": (17, "carry/hold (an object)"),
    "wave": (69, "hand wave"),
}
ACTIONS = dict(_ACTIONS.values())  # id: name
SPLITS = ("train", "val")

_FORMAT = "ava_jax miniature"
_VERSION = 2  # changes whenever the same spec gives other files
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 90)


@dataclasses.dataclass(frozen=True)
class MiniSpec:
    """What to generate: the same spec gives the same files on one machine."""

    seed: int = 0
    train_movies: int = 36
    val_movies: int = 8
    seconds: int = 20  # of each movie; key frames at all but the first and last
    fps: int = 10
    timestamp_start: int = 100  # the second at which each movie begins
    height: int = 144  # pixels
    width: int = 192


_LEAST = MiniSpec(0, 1, 1, 3, 2, 0, 48, 48)  # of each field


def generate(root: str | os.PathLike[str], spec: MiniSpec | None = None) -> None:
    """Makes `root` a folder that holds the data set of `spec`.

    A folder that holds it already is left as it is. One with the miniature of
    another spec is replaced. The folder appears complete or not at all.

    Args:
      root: The folder: `rawframes/`, `annotations/` and `manifest.json`.
      spec: What to generate; by default `MiniSpec()`.

    Raises:
      UserError: A field of `spec` is out of range, `root` is something else
        than a miniature, or it cannot be written.
    """
    spec = spec or MiniSpec()
    _check(spec)
    root = pathlib.Path(root).resolve()
    try:
        _generate(root, spec)
    except OSError as error:
        raise UserError(
            f"The miniature data set could not be written to {root}: {error}. "
            "Choose a folder that can be written and has space left."
        ) from error


def _generate(root: pathlib.Path, spec: MiniSpec) -> None:
    manifest = dict(format=_FORMAT, version=_VERSION, spec=dataclasses.asdict(spec))
    if _manifest_of(root) == manifest:
        return
    # Beside the folder, so that a rename can put it there.
    partial = root.with_name(f".{root.name}.partial-{uuid.uuid4().hex}")
    old = partial.with_name(partial.name + "-old")
    partial.mkdir(parents=True)
    try:
        _write(partial, spec)
        (partial / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        # Another process may have made the same meanwhile.
        if _manifest_of(root) != manifest:
            if root.exists():  # a miniature or an empty folder
                root.rename(old)
            partial.rename(root)
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check(spec: MiniSpec) -> None:
    for name, minimum in vars(_LEAST).items():
        value = getattr(spec, name)
        if not isinstance(value, int) or value < minimum:
            raise UserError(
                f"The miniature's {name} is {value!r}; it must be a whole number "
                f"of at least {minimum}."
            )


def _manifest_of(root: pathlib.Path) -> dict | None:
    """The manifest in `root`; None where `root` is missing or empty."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return None
    with contextlib.suppress(OSError, ValueError):
        manifest = json.loads((root / "manifest.json").read_text())
        if isinstance(manifest, dict) and manifest.get("format") == _FORMAT:
            return manifest
    raise UserError(
        f"{root} exists and was not made by the miniature's generator (no "
        f"manifest.json with format {_FORMAT!r}), so it is left untouched. Choose "
        "another folder, or move this one away."
    )


def _write(root: pathlib.Path, spec: MiniSpec) -> None:
    annotations = root / "annotations"
    annotations.mkdir()
    labels = (f'item {{\n  name: "{n}"\n  id: {i}\n}}' for i, n in ACTIONS.items())
    _write_lines(annotations / "mini_action_list.pbtxt", labels)
    for number, split in enumerate(SPLITS):
        rows, excluded, proposals = [], [], {}
        for index in range(getattr(spec, f"{split}_movies")):
            rng = np.random.default_rng([spec.seed, number, index])
            size = spec.height, spec.width
            movie = Movie(rng, index, seconds=spec.seconds, fps=spec.fps, size=size)
            name = f"mini_{split}_{index:02}"
            folder = root / "rawframes" / name
            _write_frames(folder, movie, spec.seconds * spec.fps)
            for second in range(1, spec.seconds - 1):
                key = f"{name},{spec.timestamp_start + second:04}"
                people = movie.people(second)
                proposals[key] = propose(rng, people)
                if second == movie.cut_second:
                    excluded.append(key)
                else:
                    rows += _rows(key, people)
        _write_lines(annotations / f"mini_{split}.csv", rows)
        _write_lines(annotations / f"mini_{split}_excluded_timestamps.csv", excluded)
        with (annotations / f"mini_proposals_{split}.pkl").open("wb") as file:
            pickle.dump(proposals, file, protocol=2)


def _write_frames(folder: pathlib.Path, movie: Movie, count: int) -> None:
    folder.mkdir(parents=True)
    for index in range(count):
        jpeg = cv2.imencode(".jpg", movie.frame(index), _JPEG)[1]
        (folder / f"img_{index + 1:05}.jpg").write_bytes(jpeg.tobytes())


def _write_lines(path: pathlib.Path, lines) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def _rows(key: str, people: list[Person]) -> list[str]:
    """AVA's rows of a key frame: one per person and action."""
    rows = []
    for person in people:
        if person.visible >= VISIBLE:
            box = ",".join(f"{value:.3f}" for value in person.box)
            ids = sorted(_ACTIONS[action][0] for action in person.actions)
            rows += [f"{key},{box},{action},{person.entity}" for action in ids]
    return rows
