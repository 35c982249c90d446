"""Names of clips that say which seconds of a video they are: AVA-Kinetics' movies.

Kinetics' clips are called '<YouTube id>_<first second>_<last second>', the seconds with
six digits, as '-4PkFEs5dD4_000004_000014'. Their key frames have the seconds of the
video, and their proposals are filed under its id alone.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from ava_jax.annotations.box_table import BoxTable, index_frames

# An id has eleven characters, `_` and `-` among them.
_NAME = re.compile(r"(?P<video>.{11})_(?P<start>\d{6})_(?P<end>\d{6})", re.DOTALL)
_Key = tuple[str, float]


class Clip(NamedTuple):
    """What a name says: id of the video, and the clip's first and last second."""

    video: str
    start: int
    end: int


def parse(name: str) -> Clip | None:
    """The clip that a movie is; None if its name is not that of a clip."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return Clip(match["video"], int(match["start"]), int(match["end"]))


def starts(videos: Iterable[str], otherwise: float) -> np.ndarray:
    """(V,) the second at which each movie begins; `otherwise` for those of no clip."""
    clips = map(parse, videos)
    return np.array([clip.start if clip else otherwise for clip in clips], float)


def proposals_of_clips(
    proposals: Mapping[_Key, np.ndarray], table: BoxTable
) -> dict[_Key, np.ndarray]:
    """Proposals, also under the key frames of clips whose video they are filed under.

    Args:
      proposals: boxes by (video, second).
      table: the annotated key frames.
    """
    found = dict(proposals)
    index = index_frames(table)
    clips = [parse(movie) for movie in index.videos]
    for movie, second in zip(index.video.tolist(), index.timestamp.tolist()):
        clip = clips[movie]
        if clip and (clip.video, second) in proposals:
            key = index.videos[movie], second
            found.setdefault(key, proposals[clip.video, second])
    return found
