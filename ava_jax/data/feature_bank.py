"""A bank of long-term features: what `eval.write_features` wrote, by key frame.

A folder with `bank.json`, what the features are of, and for each split a folder of
arrays, one a movie, `00000.npy` of (boxes, width) float16 in the order of the
proposals, and `index.json`, which is written last: movies, their seconds and the
number of boxes of each.
"""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from ava_jax import files
from ava_jax.errors import UserError, join_first
from ava_jax.models.long_term import COLUMNS, OPERATORS, SECONDS, SLOTS

FACTS, INDEX = "bank.json", "index.json"
SPLITS = ("train", "val")
_HOW = "--mode eval --config.eval.write_features=FOLDER"


def movie_file(folder: pathlib.Path, number: int) -> pathlib.Path:
    """The array of a split's movie."""
    return folder / f"{number:05}.npy"


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureBank:
    """The features of some movies.

    Attributes:
      folder: where they are, for messages.
      width: channels of a feature.
      arrays: (boxes, width) float16 of each movie, not read before they are used.
      rows: movie -> {second: (number of the array, first row, number of rows)}.
    """

    folder: str
    width: int
    arrays: tuple[np.ndarray, ...]
    rows: dict[str, dict[int, tuple[int, int, int]]]

    def check(
        self, videos: Sequence[str], video: np.ndarray, seconds: np.ndarray, limit: int
    ) -> None:
        """Whether it is a bank of these movies.

        Args:
          videos: their names.
          video: (K,) the movie of each key frame.
          seconds: (K,) of the key frames.
          limit: `config.data.bank_rows`.

        Raises:
          UserError: movies are missing, no second is there, or a minute has more than
            `limit` features.
        """
        missing = [video for video in videos if video not in self.rows]
        if missing:
            raise UserError(
                f"The feature bank {self.folder} lacks {len(missing)} of {len(videos)} "
                f"movies: {join_first(missing)}; it has {join_first(list(self.rows))}. "
                f"It is of another data set, or not whole: write one with {_HOW}"
            )
        wanted = set(np.floor(seconds).astype(int).tolist())
        there = {second for video in videos for second in self.rows[video]}
        if not wanted & there:
            raise UserError(
                f"The feature bank {self.folder} has the seconds {min(there)} to "
                f"{max(there)} of these movies, and their key frames are at "
                f"{min(wanted)} to {max(wanted)}: its timestamps are others."
            )
        for number, name in enumerate(videos):
            most = self.most_of_a_minute(name, np.floor(seconds[video == number]))
            if most > limit:
                raise UserError(
                    f"A minute of {name} has {most} long-term features, and "
                    f"config.data.bank_rows is {limit}. --config.data.bank_rows={most}"
                )

    def most_of_a_minute(self, video: str, seconds: np.ndarray) -> int:
        """The most features of the minutes around key frames of a movie.

        Args:
          video: its name.
          seconds: (K,) whole ones.
        """
        there = np.array(sorted(self.rows[video]))
        counts = [self.rows[video][second][2] for second in there.tolist()]
        before = np.concatenate([[0], np.cumsum(counts)])
        first, last = (
            np.searchsorted(there, seconds + end)
            for end in (-SECONDS // 2, SECONDS // 2)
        )
        return int((before[last] - before[first]).max(initial=0))

    def minute(self, video: str, second: float, limit: int) -> "Minute":
        """The features around a key frame.

        Args:
          video: name of the movie.
          second: of the key frame.
          limit: `config.data.bank_rows`, which `check` has looked at.
        """
        first = int(second) - SECONDS // 2
        here = self.rows[video]
        found = [here.get(first + i, (0, 0, 0)) for i in range(SECONDS)]
        counts = np.array([count for _, _, count in found])
        parts = [self.arrays[n][row : row + count] for n, row, count in found if count]
        empty = np.zeros((0, self.width), np.float16)
        return Minute(np.concatenate([empty, *parts]), counts, limit)


@dataclasses.dataclass(frozen=True, eq=False)
class Minute:
    """The features of `SECONDS` seconds.

    Attributes:
      features: (n, width) float16, by second.
      counts: (SECONDS,) how many each second has.
      limit: rows of `padded`.
    """

    features: np.ndarray
    counts: np.ndarray
    limit: int

    def padded(self) -> np.ndarray:
        """(limit, width) float16."""
        rows = np.zeros((self.limit, self.features.shape[1]), np.float16)
        rows[: len(self.features)] = self.features
        return rows

    def columns(self, boxes: int, rng: np.random.Generator) -> np.ndarray:
        """(boxes, COLUMNS) int32: for every box its features, `limit` for none.

        Each second has `SLOTS` columns. Where it has more features, every box draws
        its own (MMAction2 `LFB.sample_long_term_features`).
        """
        columns = np.full((boxes, SECONDS, SLOTS), self.limit, np.int32)
        first = np.cumsum(self.counts) - self.counts
        for i in np.flatnonzero(self.counts):
            count = self.counts[i]
            order = np.arange(count)
            if count > SLOTS:
                order = rng.permuted(np.tile(order, (boxes, 1)), axis=1)[:, :SLOTS]
            columns[:, i, : min(count, SLOTS)] = first[i] + order
        return columns.reshape(boxes, COLUMNS)


def check_same(folder: pathlib.Path, facts: dict) -> None:
    """Raises a UserError if what is there is of another detector or data set."""
    path = folder / FACTS
    if not path.exists():
        return
    there = files.read_json(path)
    there.pop("width", None)
    if there != facts:
        raise UserError(
            f"{folder} has the features of {there}, and now they would be of {facts}. "
            "Give another folder, or remove this one."
        )


def write_movie(
    folder: pathlib.Path, split: str, number: int, features: np.ndarray, facts: dict
) -> None:
    """Writes the features of a movie.

    Args:
      folder: of the bank.
      split: 'train' or 'val'.
      number: of the movie in the split.
      features: (boxes, width) float16.
      facts: the content of `bank.json`.
    """
    path = movie_file(folder / split, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not (folder / FACTS).exists():
        files.write_json(folder / FACTS, facts)
    with files.beside(path) as partial, open(partial, "wb") as file:
        np.save(file, features)


def write_index(folder: pathlib.Path, split: str, movies: list[dict]) -> None:
    """Writes what makes a split whole.

    Args:
      folder: of the bank.
      split: 'train' or 'val'.
      movies: 'name', 'seconds' and 'counts' (of boxes) of each, by number.
    """
    files.write_json(folder / split / INDEX, {"movies": movies})


def check_config(folder: str, model: ml_collections.ConfigDict) -> None:
    """Whether a configuration has both a bank and a network for it, or neither.

    Args:
      folder: `config.data.feature_bank`.
      model: `config.model`.

    Raises:
      UserError: it has one of them.
    """
    if bool(folder) == (model.shared_head in OPERATORS):
        return
    remedy = (
        f"Give the folder of a bank; write one with {_HOW}"
        if not folder
        else f"Give the network one of {', '.join(OPERATORS)}, or no bank."
    )
    raise UserError(
        f"config.model.shared_head is {model.shared_head!r} and "
        f"config.data.feature_bank is {folder!r}: one needs the other. {remedy}"
    )


def check_width(bank: FeatureBank | None, model: ml_collections.ConfigDict) -> None:
    """Raises a UserError if the network is for features of another width.

    Args:
      bank: of the data set; None: there is none.
      model: `config.model`.
    """
    if bank is not None and bank.width != model.bank_width:
        raise UserError(
            f"The feature bank {bank.folder} has {bank.width} channels, and "
            f"config.model.bank_width is {model.bank_width}: "
            f"--config.model.bank_width={bank.width}"
        )


def open_bank(folder: str | os.PathLike) -> FeatureBank:
    """Opens a bank; arrays are mapped, not read.

    Raises:
      UserError: there is none, or it is not whole.
    """
    folder = pathlib.Path(folder)
    facts = _read(folder / FACTS, folder)
    arrays, rows = [], {}
    for split in SPLITS:
        if not (folder / split).is_dir():
            continue
        index = _read(folder / split / INDEX, folder)
        for number, movie in enumerate(index["movies"]):
            ends = np.cumsum(movie["counts"]).tolist()
            rows[movie["name"]] = {
                second: (len(arrays), end - count, count)
                for second, count, end in zip(movie["seconds"], movie["counts"], ends)
            }
            arrays.append(_map(movie_file(folder / split, number), ends, facts))
    return FeatureBank(str(folder), facts["width"], tuple(arrays), rows)


def _read(path: pathlib.Path, folder: pathlib.Path) -> Any:
    if not path.is_file():
        raise UserError(
            f"{folder} is no whole feature bank: there is no {path}. Write it, or "
            f"write the rest of it, with {_HOW}"
        )
    return files.read_json(path)


def _map(path: pathlib.Path, ends: list[int], facts: dict) -> np.ndarray:
    shape = (ends[-1] if ends else 0, facts["width"])
    try:
        array = np.load(path, mmap_mode="r" if shape[0] else None)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); write it again") from error
    if array.shape != shape or array.dtype != np.float16:
        raise UserError(
            f"{path} is {array.dtype} of shape {array.shape}, expected float16 of "
            f"shape {shape}: it is damaged; remove it and write it again with {_HOW}"
        )
    return array
