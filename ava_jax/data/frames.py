"""Movies as folders of numbered JPEG frames."""

import dataclasses
import os
import pathlib
import re
from collections.abc import Sequence

import cv2
import numpy as np

from ava_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class FrameFolders:
    """What lies in the frame folders of some movies.

    Attributes:
      root: the folder that holds one folder a movie.
      videos: names of the movies, in the order of the arrays.
      prefix, digits, suffix: a frame's file name is prefix, index, suffix, with
        the index zero-padded to `digits`.
      first, last: (V,) int64, lowest and highest frame index.
      size: (V, 2) int32, height and width in pixels.
    """

    root: pathlib.Path
    videos: tuple[str, ...]
    prefix: str
    digits: int
    suffix: str
    first: np.ndarray
    last: np.ndarray
    size: np.ndarray


def index_folders(
    root: str | os.PathLike, videos: Sequence[str], frame_name: str
) -> FrameFolders:
    """Looks at the frame folder of every movie.

    Args:
      root: the folder that holds one folder a movie.
      videos: names of the movies.
      frame_name: MMAction2's file name template, like 'img_{:05}.jpg'.

    Raises:
      UserError: the template is not one; movies or frames in the middle of a
        movie are missing; a first frame cannot be decoded.
    """
    root = pathlib.Path(root)
    prefix, digits, suffix = _parse_template(frame_name)
    missing = [video for video in videos if not (root / video).is_dir()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(videos)} movies have no frame folder under "
            f"{root}: {_first_three(missing)}. Expected: "
            f"{root / missing[0] / frame_name.format(1)} and so on, one folder a "
            "movie."
        )
    ranges = [_frame_range(root / video, frame_name) for video in videos]
    sizes = [
        _frame_size(root / video / frame_name.format(first))
        for video, (first, _) in zip(videos, ranges, strict=True)
    ]
    first, last = np.array(ranges, np.int64).reshape(-1, 2).T
    size = np.array(sizes, np.int32).reshape(-1, 2)
    return FrameFolders(root, tuple(videos), prefix, digits, suffix, first, last, size)


def _parse_template(frame_name: str) -> tuple[str, int, str]:
    match = re.fullmatch(r"([^{}]*)\{:0(\d)d?\}([^{}]*)", frame_name)
    if not match:
        raise UserError(
            f"config.data.frame_name is {frame_name!r}; expected a name with one "
            "zero-padded number, like 'img_{:05}.jpg'."
        )
    return match[1], int(match[2]), match[3]


def _frame_range(folder: pathlib.Path, frame_name: str) -> tuple[int, int]:
    """Lowest and highest index in a folder whose indices have no gap."""
    prefix, _, suffix = _parse_template(frame_name)
    name = re.compile(re.escape(prefix) + r"(\d+)" + re.escape(suffix))
    matches = (name.fullmatch(entry.name) for entry in os.scandir(folder))
    indices = sorted(int(match[1]) for match in matches if match)
    if not indices:
        raise UserError(
            f"{folder} holds no frame named like {frame_name.format(1)}. Extract the "
            "movie's frames there, or set config.data.frame_name to how they are named."
        )
    gaps = np.flatnonzero(np.diff(indices) != 1)
    if len(gaps):
        raise UserError(
            f"{folder}: frame {frame_name.format(indices[gaps[0]] + 1)} is missing, "
            f"though {frame_name.format(indices[-1])} is there ({len(gaps)} gaps in "
            "all). Extract this movie's frames again."
        )
    return indices[0], indices[-1]


def _frame_size(path: pathlib.Path) -> tuple[int, int]:
    image = cv2.imread(str(path))
    if image is None:
        raise UserError(f"{path} is not a readable JPEG. Extract its movie again.")
    return image.shape[:2]


def _first_three(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
