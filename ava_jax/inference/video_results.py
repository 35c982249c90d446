"""The results of a video: a stream, and all of them, which notebooks show."""

import dataclasses
from collections.abc import Generator, Iterator, Sequence

import numpy as np

from ava_jax.errors import join_first
from ava_jax.report import key_frames

_SHOWN = 12  # key frames
_TOP = 3  # actions of a person


@dataclasses.dataclass(frozen=True, eq=False)
class KeyFrameResult:
    """People and their actions at one key frame.

    Attributes:
      time: seconds after the video's first frame.
      frame: (H, W, 3) uint8 RGB, the key frame.
      boxes: (N, 4) float32 xyxy in pixels of the frame.
      track_ids: (N,) int64, the same number for the same person over time.
      scores: (N, num_classes) float32; see `Detector.predict`.
      labels: name of each class; '' for class 0.
      latency: seconds from decoding the key frame to this result. In a live stream it
        includes the second half of the clip.
    """

    time: float
    frame: np.ndarray
    boxes: np.ndarray
    track_ids: np.ndarray
    scores: np.ndarray
    labels: tuple[str, ...]
    latency: float

    def __repr__(self) -> str:
        best = zip(self.track_ids.tolist(), self.actions(0, top=1), strict=True)
        people = [
            " ".join([f"#{number}", *(f"{name} {score:.2f}" for name, score in action)])
            for number, action in best
        ]
        shown = f" ({join_first(people)})" if people else ""
        return f"KeyFrameResult(time={self.time:g}, people={len(people)}{shown})"

    def _repr_html_(self) -> str:
        return _as_html([self])

    def actions(
        self, threshold: float = 0.3, top: int = 5
    ) -> list[list[tuple[str, float]]]:
        """The likely actions of each person: (label, score), best first.

        Args:
          threshold: least score.
          top: how many at most.
        """
        return [self._ranked(row, threshold, top) for row in self.scores]

    def _ranked(self, row, threshold, top):
        classes = np.argsort(-row[1:], kind="stable")[:top] + 1
        return [(self.labels[c], float(row[c])) for c in classes if row[c] >= threshold]


class KeyFrames(list[KeyFrameResult]):
    """Results of a video, in a list. In a notebook it shows some, evenly spread."""

    def _repr_html_(self) -> str:
        return _as_html(self)


class VideoResults(Iterator[KeyFrameResult]):
    """The results of a video one by one, as they are computed."""

    def __init__(self, results: Generator[KeyFrameResult, None, None]):
        """Of a generator, which is closed with this."""
        self._results = results

    def __next__(self) -> KeyFrameResult:
        return next(self._results)

    def close(self) -> None:
        """Ends reading and scoring."""
        self._results.close()

    def collect(self) -> KeyFrames:
        """All that are still to come; a camera has no end. Memory holds the frames."""
        return KeyFrames(self)

    def __repr__(self) -> str:
        # Showing it must not use it up, and a camera would never end.
        return "VideoResults: iterate, or collect() all to see them"


def _as_html(results: Sequence[KeyFrameResult]) -> str:
    """Pictures of key frames with people and their likely actions."""
    chosen = np.unique(np.linspace(0, len(results) - 1, _SHOWN).round().astype(int))
    shown = [results[i] for i in chosen] if results else []
    people = len({number for result in results for number in result.track_ids.tolist()})
    title = f"{people} people at {len(results)} key frames"
    if len(shown) < len(results):
        title += f", of which {len(shown)} are shown"
    return key_frames.render(title, [_shown(result) for result in shown])


def _shown(result: KeyFrameResult) -> key_frames.KeyFrame:
    return key_frames.KeyFrame(
        result.time,
        result.frame,
        result.boxes,
        result.track_ids,
        result.actions(top=_TOP),
    )
