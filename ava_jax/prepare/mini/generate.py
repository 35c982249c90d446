"""The miniature: short drawn movies in AVA's format on disk, made from a seed.

It stands in for AVA where AVA is not at hand: seven of AVA's actions, several
per person, in movies of a few seconds. "stand" and "walk" have the same
silhouettes, as have a still raised arm and "hand wave": they can be told apart
by motion only.
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

# AVA's action ids and names (v2.2).
ACTIONS = {
    7: "jump/leap",
    8: "lie/sleep",
    11: "sit",
    12: "stand",
    14: "walk",
    17: "carry/hold (an object)",
    69: "hand wave",
}

SPLITS = ("train", "val")

_IDS = {"jump": 7, "lie": 8, "sit": 11, "stand": 12, "walk": 14, "hold": 17, "wave": 69}

# People of whom less can be seen are not annotated.
_VISIBLE = 0.5

_FORMAT = "ava_jax miniature"
_VERSION = 1  # changes whenever the same spec gives other files
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
    if _manifest_of(root) == _manifest(spec):
        return
    # Beside the folder, so that a rename can put it there.
    partial = root.with_name(f".{root.name}.partial-{uuid.uuid4().hex}")
    partial.mkdir(parents=True)
    try:
        _write(partial, spec)
        # Another process may have made the same meanwhile.
        if _manifest_of(root) != _manifest(spec):
            _replace(root, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check(spec: MiniSpec) -> None:
    least = {
        "seed": 0,
        "train_movies": 1,
        "val_movies": 1,
        "seconds": 3,
        "fps": 2,
        "timestamp_start": 0,
        "height": 48,
        "width": 48,
    }
    for name, minimum in least.items():
        value = getattr(spec, name)
        if not isinstance(value, int) or value < minimum:
            raise UserError(
                f"The miniature's {name} is {value!r}; it must be a whole number "
                f"of at least {minimum}."
            )


def _manifest(spec: MiniSpec) -> dict:
    return {"format": _FORMAT, "version": _VERSION, "spec": dataclasses.asdict(spec)}


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


def _replace(root: pathlib.Path, partial: pathlib.Path) -> None:
    """Puts `partial` in the place of `root`, a miniature or an empty folder."""
    if root.exists():
        old = partial.with_name(partial.name + "-old")
        root.rename(old)
        partial.rename(root)
        shutil.rmtree(old)
    else:
        partial.rename(root)


def _write(root: pathlib.Path, spec: MiniSpec) -> None:
    annotations = root / "annotations"
    annotations.mkdir()
    _write_labels(annotations / "mini_action_list.pbtxt")
    for number, split in enumerate(SPLITS):
        rows, excluded, proposals = [], [], {}
        for index in range(getattr(spec, f"{split}_movies")):
            rng = np.random.default_rng([spec.seed, number, index])
            movie = Movie(
                rng,
                index,
                seconds=spec.seconds,
                fps=spec.fps,
                size=(spec.height, spec.width),
            )
            name = f"mini_{split}_{index:02}"
            _write_frames(root / "rawframes" / name, movie)
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
    manifest = json.dumps(_manifest(spec), indent=2)
    (root / "manifest.json").write_text(manifest + "\n")


def _write_frames(folder: pathlib.Path, movie: Movie) -> None:
    folder.mkdir(parents=True)
    for index in range(movie.frame_count):
        jpeg = cv2.imencode(".jpg", movie.frame(index), _JPEG)[1]
        (folder / f"img_{index + 1:05}.jpg").write_bytes(jpeg.tobytes())


def _write_labels(path: pathlib.Path) -> None:
    items = (f'item {{\n  name: "{n}"\n  id: {i}\n}}' for i, n in ACTIONS.items())
    _write_lines(path, items)


def _write_lines(path: pathlib.Path, lines) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def _rows(key: str, people: list[Person]) -> list[str]:
    """AVA's rows of a key frame: one per person and action."""
    rows = []
    for person in people:
        if person.visible >= _VISIBLE:
            box = ",".join(f"{value:.3f}" for value in person.box)
            ids = sorted(_IDS[action] for action in person.actions)
            rows += [f"{key},{box},{action},{person.entity}" for action in ids]
    return rows


def propose(rng: np.random.Generator, people: list[Person]) -> np.ndarray:
    """Boxes as a person detector would give them.

    Most people are found with a high score, some twice, a few with a low score
    or not at all. People hardly visible may be found too. Other boxes are
    false, most of them with low scores.

    Args:
      rng: Source of the detector's errors.
      people: Everyone of whom something is visible.

    Returns:
      (N, 5) float64, N at least 1: x1, y1, x2, y2 as fractions, score; best
      first.
    """
    boxes = []
    for person in people:
        if person.visible >= _VISIBLE:
            boxes += _found(rng, person.box)
        elif rng.uniform() < person.visible:
            boxes.append(_jittered(rng, person.box, 0.05, rng.uniform(0.3, 0.97)))
    for _ in range(rng.poisson(0.7)):
        box = _false_box(rng)
        if all(_iou(box, person.box) < 0.3 for person in people):
            # One in ten is believed.
            high = rng.uniform() < 0.1
            score = rng.uniform(0.9, 0.97) if high else 0.9 * rng.beta(1, 2)
            boxes.append((*box, score))
    boxes = boxes or [(*_false_box(rng), 0.05)]
    return np.array(sorted(boxes, key=lambda box: -box[4]), np.float64)


def _found(rng: np.random.Generator, box) -> list[tuple[float, ...]]:
    luck = rng.uniform()
    if luck < 0.008:
        return []
    score = rng.uniform(0.4, 0.9) if luck < 0.024 else 1 - 0.1 * rng.beta(1, 4)
    boxes = [_jittered(rng, box, rng.uniform(0.005, 0.04), score)]
    if rng.uniform() < 0.04:
        boxes.append(_jittered(rng, box, 0.1, rng.uniform(0.5, 0.95)))
    return boxes


def _jittered(rng: np.random.Generator, box, sigma: float, score: float):
    x1, y1, x2, y2 = box
    sides = np.array([x2 - x1, y2 - y1] * 2)
    shift = np.clip(rng.standard_normal(4), -2, 2)
    return (*np.clip(np.array(box) + sigma * sides * shift, 0, 1), score)


def _false_box(rng: np.random.Generator) -> tuple[float, ...]:
    height = rng.uniform(0.25, 0.75)
    width = height * rng.uniform(0.2, 0.6)
    x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return x, y, x + width, y + height


def _iou(a, b) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    common = max(0.0, wide) * max(0.0, high)
    union = sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (a, b)) - common
    return common / union
