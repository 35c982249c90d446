"""What the scoring of a piece gives, as a file."""

import dataclasses
import hashlib
import io
import os
import zipfile
from collections.abc import Iterable, Sequence

import numpy as np

from ava_jax.inference.clip_sampler import SampledClip


@dataclasses.dataclass(frozen=True, eq=False)
class PieceResult:
    """People and scores of consecutive key frames.

    Attributes:
      times: (K,) float64, seconds of the key frames.
      counts: (K,) int64, people of each.
      boxes: (N, 4) float32 xyxy in pixels, N = sum(counts).
      scores: (N, num_classes) float32.
      size: (width, height) of the video.
      first: digest of the first clip; '' without any.
      following: digest of the first clip of the next piece, as this one saw it; ''
        without any.
      not_seekable: why the piece cannot be scored alone; '' if it was.
      damage: why the video ended before its end; '' if it did not.
    """

    times: np.ndarray
    counts: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    size: tuple[int, int] = (0, 0)
    first: str = ""
    following: str = ""
    not_seekable: str = ""
    damage: str = ""

    @classmethod
    def of(
        cls,
        found: Sequence[tuple[float, np.ndarray, np.ndarray]],
        classes: int,
        **texts,
    ) -> "PieceResult":
        """Joins key frames: time, boxes and scores of each."""
        return cls(
            np.array([time for time, _, _ in found], np.float64),
            np.array([len(boxes) for _, boxes, _ in found], np.int64),
            np.concatenate([np.zeros((0, 4), np.float32), *(b for _, b, _ in found)]),
            np.concatenate(
                [np.zeros((0, classes), np.float32), *(s for _, _, s in found)]
            ),
            **texts,
        )

    @classmethod
    def none(cls, not_seekable: str) -> "PieceResult":
        """Of a piece that cannot be scored alone."""
        return cls.of([], 1, not_seekable=not_seekable)

    def key_frames(self) -> Iterable[tuple[float, np.ndarray, np.ndarray]]:
        """Time, boxes and scores of each key frame."""
        ends = np.cumsum(self.counts)
        for time, count, end in zip(
            self.times.tolist(), self.counts, ends, strict=True
        ):
            rows = slice(end - count, end)
            yield time, self.boxes[rows], self.scores[rows]

    def write(self, path: str | os.PathLike) -> None:
        """Writes a file."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        with open(path, "wb") as file:
            np.savez(file, **fields)

    @classmethod
    def read(cls, content: bytes) -> "PieceResult | None":
        """What `write` wrote; None if it is damaged."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                fields = {name: file[name] for name in file}
        except (zipfile.BadZipFile, ValueError, EOFError, OSError):
            return None
        size = tuple(fields.pop("size").tolist())
        texts = {k: str(v) for k, v in fields.items() if v.dtype.kind == "U"}
        return cls(**(fields | texts), size=size)


def digest(clip: SampledClip) -> str:
    """A digest of the pixels of a clip and its key frame."""
    pixels = hashlib.blake2b(clip.clip.tobytes(), digest_size=16)
    pixels.update(np.ascontiguousarray(clip.frame).tobytes())
    return pixels.hexdigest()
