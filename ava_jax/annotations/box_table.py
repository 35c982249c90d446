"""Annotated boxes as columns, and their key frames."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ava_jax.annotations.findings import Finding

NO_LABEL = 0
NO_ENTITY = -1
# The columns that have a value for every box.
ROW_COLUMNS = ("video", "timestamp", "box", "label", "entity", "score", "line")
ROW_COLUMNS += ("digits",)


@dataclasses.dataclass(frozen=True, eq=False)
class BoxTable:
    """Boxes with labels, one row each, in the order of the file.

    Attributes:
      video: (R,) int32, index into `videos`.
      videos: names of the videos.
      timestamp: (R,) float64, seconds.
      box: (R, 4) float64, x1 y1 x2 y2 as fractions of the frame, as in the file.
      label: (R,) int32, action id; 0: the row has none.
      entity: (R,) int32, person id; -1: the row has none.
      score: (R,) float64; NaN: the row has none.
      line: (R,) int32, line of the file, from 1; 0: it is not known.
      digits: (R,) int8, digits of the whole seconds as written (`0902`: 4).
      keyframe_video, keyframe_timestamp: (K,) the rows of two columns, which
        say that a key frame was annotated and (as such) has no box.
      path: where the table was read from.
      problems: what was wrong with rows that were left out.
    """

    video: np.ndarray
    videos: tuple[str, ...]
    timestamp: np.ndarray
    box: np.ndarray
    label: np.ndarray
    entity: np.ndarray
    score: np.ndarray
    line: np.ndarray
    digits: np.ndarray
    keyframe_video: np.ndarray
    keyframe_timestamp: np.ndarray
    path: str = "(memory)"
    problems: tuple[Finding, ...] = ()

    def __repr__(self) -> str:
        return (
            f"BoxTable({self.path!r}, {len(self):,} boxes, {len(self.videos):,} "
            f"videos, {len(self.keyframe_video):,} key frames without a box)"
        )

    def __len__(self) -> int:
        """Number of rows with a box."""
        return len(self.video)

    def select(self, rows: np.ndarray, keyframes: np.ndarray) -> "BoxTable":
        """Some of the rows, in their order.

        Args:
          rows: (R,) bool, which of those with a box.
          keyframes: (K,) bool, which of those without.
        """
        return dataclasses.replace(
            self,
            **{name: getattr(self, name)[rows] for name in ROW_COLUMNS},
            keyframe_video=self.keyframe_video[keyframes],
            keyframe_timestamp=self.keyframe_timestamp[keyframes],
        )

    @classmethod
    def from_columns(
        cls,
        videos: Sequence[str],
        video: np.ndarray,
        timestamp: np.ndarray,
        box: np.ndarray,
        **columns: Any,
    ) -> "BoxTable":
        """A table of some columns; the others hold what stands for none.

        Args:
          videos: names of the videos.
          video: (R,) index into `videos`.
          timestamp: (R,) seconds.
          box: (R, 4) x1 y1 x2 y2, fractions.
          **columns: other attributes. By default rows are lines 1, 2, ... of the
            file, with four digits, without label, entity and score, and there are no
            key frames without a box.
        """
        rows = len(video)
        columns |= {"video": video, "timestamp": timestamp}
        if "line" not in columns:
            columns["line"] = np.arange(1, rows + 1)
        for name, (dtype, missing) in _COLUMNS.items():
            if name in columns:
                columns[name] = np.asarray(columns[name], dtype)
            else:
                length = 0 if name.startswith("keyframe") else rows
                columns[name] = np.full(length, missing, dtype)
        box = np.asarray(box, np.float64).reshape(rows, 4)
        return cls(videos=tuple(videos), box=box, **columns)

    @classmethod
    def from_frames(
        cls, boxes: Mapping[tuple[str, float], np.ndarray], path: str
    ) -> "BoxTable":
        """A table of proposals, whose rows have no lines.

        Args:
          boxes: (N, 5) box and score by (video, seconds).
          path: name for messages.
        """
        videos = {name: i for i, name in enumerate(dict.fromkeys(v for v, _ in boxes))}
        counts = np.array([len(rows) for rows in boxes.values()], np.int64)
        rows = np.concatenate([np.zeros((0, 5)), *boxes.values()])
        return cls.from_columns(
            list(videos),
            np.repeat([videos[name] for name, _ in boxes], counts),
            np.repeat([seconds for _, seconds in boxes], counts),
            rows[:, :4],
            score=rows[:, 4],
            line=np.zeros(len(rows)),
            path=path,
        )


# Type of a column, and what stands for none.
_COLUMNS = {
    "video": (np.int32, 0),
    "timestamp": (np.float64, 0),
    "label": (np.int32, NO_LABEL),
    "entity": (np.int32, NO_ENTITY),
    "score": (np.float64, np.nan),
    "line": (np.int32, 0),
    "digits": (np.int8, 4),
    "keyframe_video": (np.int32, 0),
    "keyframe_timestamp": (np.float64, 0),
}


@dataclasses.dataclass(frozen=True, eq=False)
class FrameIndex:
    """Numbers for the key frames of several tables.

    Attributes:
      rows: for each table, (R,) int32: the number of each row's frame.
      keyframes: for each table, (K,) int32: those of its rows without a box.
      videos: names of all videos.
      video: (F,) int32, index into `videos` of each frame.
      timestamp: (F,) float64, seconds of each frame.
    """

    rows: tuple[np.ndarray, ...]
    keyframes: tuple[np.ndarray, ...]
    videos: tuple[str, ...]
    video: np.ndarray
    timestamp: np.ndarray

    def numbers(self, frames: Iterable[tuple[str, float]]) -> np.ndarray:
        """Numbers of those of the (video, seconds) `frames` that are indexed."""
        names = [self.videos[code] for code in self.video]
        keys = zip(names, _microseconds(self.timestamp).tolist(), strict=True)
        number = {key: i for i, key in enumerate(keys)}
        keys = ((name, int(_microseconds(seconds))) for name, seconds in frames)
        return np.array([number[key] for key in keys if key in number], np.int32)


def index_frames(*tables: BoxTable) -> FrameIndex:
    """Numbers the key frames of `tables`: equal numbers are the same key frame.

    Two timestamps are the same if they agree to a millionth of a second, the
    precision that AVA-Kinetics files have.
    """
    code: dict[str, int] = {}
    for table in tables:
        for name in table.videos:
            code.setdefault(name, len(code))
    videos, times = [], []
    for table in tables:
        own = np.array([code[name] for name in table.videos], np.int64)
        videos += [own[table.video], own[table.keyframe_video]]
        times += [table.timestamp, table.keyframe_timestamp]
    ends = np.cumsum([len(part) for part in videos])
    video = np.concatenate([*videos, np.zeros(0, np.int64)])
    time = _microseconds(np.concatenate([*times, np.zeros(0)]))
    # Files are mostly grouped by frame: number the runs of rows, then the rows.
    new_run = np.ones(len(video), bool)
    new_run[1:] = (video[1:] != video[:-1]) | (time[1:] != time[:-1])
    starts = np.flatnonzero(new_run)
    seconds, second = np.unique(time[starts], return_inverse=True)
    keys, number = np.unique(video[starts] * len(seconds) + second, return_inverse=True)
    lengths = np.diff(np.append(starts, len(video)))
    numbers = np.split(np.repeat(number.astype(np.int32), lengths), ends[:-1])
    return FrameIndex(
        rows=tuple(numbers[::2]),
        keyframes=tuple(numbers[1::2]),
        videos=tuple(code),
        video=(keys // max(len(seconds), 1)).astype(np.int32),
        timestamp=seconds[keys % max(len(seconds), 1)] / 1e6,
    )


def indexed_seconds(seconds: np.ndarray | float) -> np.ndarray | float:
    """Timestamps as `index_frames` has them."""
    return _microseconds(seconds) / 1e6


def _microseconds(seconds: np.ndarray | float) -> np.ndarray:
    return np.rint(np.multiply(seconds, 1e6)).astype(np.int64)
