"""What goes into an annotated video: its frames, and who does what in them."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ava_jax import people
from ava_jax.errors import UserError
from ava_jax.inference.prefetch import prefetch
from ava_jax.inference.video_predictor import KeyFrameResult
from ava_jax.video.reader import VideoReader, is_live
from ava_jax.visualization.interpolation import with_people

if TYPE_CHECKING:
    from ava_jax.predict import Detector

_FPS = 25.0  # of videos that don't say
_WAITING = 2  # frames
_NO_FRAME = np.zeros((0, 0, 3), np.uint8)


@dataclasses.dataclass(frozen=True)
class Options:
    """How a video is annotated.

    Attributes:
      people: where people are: a name for `people.open_detector`.
      person_score: people with a lower score are left out.
      every: seconds from one key-frame to the next.
      threshold: score from which an action is shown.
      batch: clips that the device scores at a time.
      smooth: average each person's scores over time.
      start: second of the movie at which the video starts, in files of boxes and
        in the CSV file.
    """

    people: str = "hog"
    person_score: float = 0.5
    every: float = 1.0
    threshold: float = 0.3
    batch: int = 1
    smooth: bool = True
    start: float = 0.0


class Shot(NamedTuple):
    """A frame of the film."""

    time: float  # seconds
    frame: np.ndarray  # (H, W, 3) uint8 RGB
    people: KeyFrameResult  # of the nearest key-frame, as they are in this frame


@dataclasses.dataclass
class Film:
    """What goes into the annotated video.

    Attributes:
      shots: its frames.
      results: of the key-frames until now, without their pictures.
      fps: frames a second on average.
      duration: seconds, if that is known.
      live: whether it is from a camera or an endless address.
      sound_of: a file whose sound it gets.
      size: width and height, pixels; known when the first shot is there.
      start: time of the first shot, seconds.
    """

    shots: Iterator[Shot]
    results: list[KeyFrameResult]
    fps: float
    duration: float | None
    live: bool
    sound_of: str | None
    size: tuple[int, int] = (0, 0)
    start: float = 0.0


def open_film(
    detector: "Detector", source: str, options: Options, stack: contextlib.ExitStack
) -> Film:
    """Opens a video, whose frames and results come while `shots` is used.

    Args:
      detector: scores the actions.
      source: path of a video, address, or number of a camera. Of what is live, the
        film has the key-frames alone.
      options: see there.
      stack: closes the film.

    Raises:
      UserError: the source is no video, or the boxes are not boxes.
    """
    live = is_live(source)
    video = None if live else stack.enter_context(VideoReader(source))
    stream = detector.predict_video(
        source,
        _open_people(options, source, video),
        every=options.every,
        batch=options.batch,
        smooth=options.smooth,
    )
    found: list[KeyFrameResult] = []
    results = _noted(stack.enter_context(contextlib.closing(stream)), found)
    if video is None:
        shots = (Shot(result.time, result.frame, result) for result in results)
        return Film(shots, found, 1 / options.every, None, True, None)
    joined = with_people(video, results)
    # Decoded while the one before is drawn and encoded.
    shots = prefetch((Shot(f.time, f.rgb, who) for f, who in joined), _WAITING)
    shots = stack.enter_context(contextlib.closing(shots))
    return Film(shots, found, video.fps or _FPS, video.duration, False, source)


def _noted(
    results: Iterable[KeyFrameResult], found: list[KeyFrameResult]
) -> Iterator[KeyFrameResult]:
    """The same results, which are also kept, without their pictures."""
    for result in results:
        found.append(dataclasses.replace(result, frame=_NO_FRAME))
        yield result


def _open_people(options: Options, source: str, video: VideoReader | None):
    size = None if video is None else (video.width, video.height)
    if size is None and options.people.endswith(people.FILES):
        raise UserError(
            f"{options.people}: a file of boxes is for a video file; what is live "
            "needs a detector: hog or onnx:FILE.onnx"
        )
    who = people.open_detector(
        options.people, size, pathlib.Path(source).stem, options.person_score
    )
    if isinstance(who, people.PeopleByTime):
        return dataclasses.replace(who, times=who.times - options.start)
    return who
