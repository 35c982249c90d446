"""MMAction2's feature banks, lfb_train.pkl and lfb_val.pkl, without torch.

They are `torch.save` of {video: {second: [one (width,) tensor for each person]}}, in
half or single precision (MMAction2 `LFBInferHead`).
"""

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ava_jax.checkpoints.pytorch.reader import read_saved
from ava_jax.data import feature_bank
from ava_jax.errors import UserError
from ava_jax.unpickling.interpreter import RefusedError, describe

Movies = dict[str, dict[int, list[np.ndarray]]]
_EXPECTED = (
    "MMAction2's lfb_train.pkl or lfb_val.pkl, torch.save of {video: {second: [one "
    "tensor for each person]}}"
)


def convert(paths: Mapping[str, str | os.PathLike], folder: str | os.PathLike) -> str:
    """Writes banks of MMAction2 as one for `config.data.feature_bank`.

    Features in single precision become half.

    Args:
      paths: files of 'train' and 'val', or of one of them.
      folder: of the bank.

    Returns:
      What was written, for the terminal.

    Raises:
      UserError: a file cannot be read or is something else, their widths differ, or
        the folder has another bank.
    """
    banks = {name: _read(path) for name, path in paths.items()}
    widths = {name: _width(movies) for name, movies in banks.items()}
    if len(set(widths.values())) > 1:
        raise UserError(
            f"The features of {paths['train']} have {widths['train']} channels, those "
            f"of {paths['val']} {widths['val']}: they are of two detectors."
        )
    folder = pathlib.Path(folder)
    facts = {
        "detector": "MMAction2's",
        "data_set": {name: os.path.basename(path) for name, path in paths.items()},
    }
    feature_bank.check_same(folder, facts)
    facts["width"] = next(iter(widths.values()))
    lines = [_write(folder, name, movies, facts) for name, movies in banks.items()]
    return "\n".join([*lines, f"{folder}: a feature bank of {facts['width']} channels"])


def _read(path: str | os.PathLike) -> Movies:
    return read_saved(path, "a feature bank", _EXPECTED, _movies)


def _movies(value: Any, to_array: Callable[[Any], np.ndarray | None]) -> Movies:
    """Checks what a file holds, and makes arrays of its tensors."""
    if not isinstance(value, dict) or not value:
        raise RefusedError(f"it holds {describe(value)}")
    widths: set[tuple[int, ...]] = set()
    movies: Movies = {}
    for video, seconds in value.items():
        if not isinstance(video, str) or not isinstance(seconds, dict):
            raise RefusedError(f"under {describe(video)} it has {describe(seconds)}")
        movies[video] = {}
        for second, people in seconds.items():
            place = f"{video} at second {describe(second)}"
            if type(second) is not int or not isinstance(people, list):
                raise RefusedError(f"{place} has {describe(people)}")
            arrays = [_feature(person, to_array, place) for person in people]
            widths |= {array.shape for array in arrays}
            if len(widths) > 1:
                raise RefusedError(f"{place} has a feature of another width")
            movies[video][second] = arrays
    if not widths:
        raise RefusedError("it has no features")
    return movies


def _feature(person, to_array, place) -> np.ndarray:
    array = to_array(person)
    if array is None or array.ndim != 1 or array.dtype.kind != "f":
        raise RefusedError(f"{place} has {describe(person)} for a feature")
    return array


def _width(movies: Movies) -> int:
    arrays = (
        a for seconds in movies.values() for people in seconds.values() for a in people
    )
    return len(next(arrays))


def _write(folder: pathlib.Path, name: str, movies: Movies, facts: dict) -> str:
    """Writes a split, its index last; returns a line about it."""
    people = 0
    index = []
    for number, (video, by_second) in enumerate(movies.items()):
        seconds = sorted(by_second)
        features = [person for second in seconds for person in by_second[second]]
        array = np.zeros((len(features), facts["width"]), np.float16)
        for row, feature in enumerate(features):
            array[row] = feature
        feature_bank.write_movie(folder, name, number, array, facts)
        counts = [len(by_second[second]) for second in seconds]
        index.append({"name": video, "seconds": seconds, "counts": counts})
        people += len(features)
    feature_bank.write_index(folder, name, index)
    return f"{name}: {len(index):,} movies, {people:,} people"
