"""The frames of an annotated video, with the people in each of them."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ava_jax import people
from ava_jax.errors import UserError
from ava_jax.inference.prefetch import prefetch
from ava_jax.inference.video_results import KeyFrameResult
from ava_jax.video.reader import VideoReader, is_live
from ava_jax.visualization.interpolation import interpolate

if TYPE_CHECKING:
    from ava_jax.predict import Detector

_FPS = 25.0  # if the video does not state it
_WAITING = 2  # frames
_NO_FRAME = np.zeros((0, 0, 3), np.uint8)


@dataclasses.dataclass(frozen=True)
class Options:
    """How a video is annotated.

    Attributes:
      people: person detector, a name for `people.open_detector`.
      person_score: lowest score of a person.
      every: seconds between key frames.
      threshold: lowest score of an action that is shown.
      batch: clips that the device scores at a time.
      smooth: average each person's scores over time.
      start: timestamp of the video's first frame, in files of boxes and in the CSV
        file.
      is_own_data: the video is from the data set that the model was trained on.
    """

    people: str = "hog"
    person_score: float = 0.5
    every: float = 1.0
    threshold: float = 0.3
    batch: int = 1
    smooth: bool = True
    start: float = 0.0
    is_own_data: bool = False


class AnnotatedFrame(NamedTuple):
    """A frame and its people."""

    time: float  # seconds
    image: np.ndarray  # (H, W, 3) uint8 RGB
    people: KeyFrameResult  # of the nearest key frame, with boxes for this frame


@dataclasses.dataclass
class AnnotatedStream:
    """The frames of the annotated video.

    Attributes:
      frames: to be used once, in order.
      results: of the key frames up to now, without their images.
      people: where the boxes come from; see `people.open_detector`.
      fps: average frames a second.
      duration: in seconds; None if unknown.
      live: the source is a camera or an endless address.
      sound_of: the file whose sound track is copied; None for no sound.
      size: width and height in pixels, set with the first frame.
      start: time of the first frame in seconds.
    """

    frames: Iterator[AnnotatedFrame]
    results: list[KeyFrameResult]
    people: Any
    fps: float
    duration: float | None
    live: bool
    sound_of: str | None
    size: tuple[int, int] = (0, 0)
    start: float = 0.0


def open_stream(
    detector: "Detector", source: str, options: Options, stack: contextlib.ExitStack
) -> AnnotatedStream:
    """Opens a video; frames and results are computed while `frames` is iterated.

    Args:
      detector: scores the actions.
      source: path of a video, address, or number of a camera. A live source gives
        only its key frames.
      options: of the annotation.
      stack: closes the video and the predictor.

    Raises:
      UserError: the source is no video, or the boxes are not boxes.
    """
    live = is_live(source)
    video = None if live else stack.enter_context(VideoReader(source))
    found_by = _open_people(options, source, video)
    predicted = detector.predict_video(
        source,
        found_by,
        every=options.every,
        batch=options.batch,
        smooth=options.smooth,
    )
    found: list[KeyFrameResult] = []
    results = _recorded(stack.enter_context(contextlib.closing(predicted)), found)
    if video is None:
        frames = (
            AnnotatedFrame(result.time, result.frame, result) for result in results
        )
        return AnnotatedStream(
            frames, found, found_by, 1 / options.every, None, True, None
        )
    joined = interpolate(video, results)
    # The next frame is decoded while this one is drawn and encoded.
    frames = prefetch(
        (AnnotatedFrame(f.time, f.rgb, who) for f, who in joined), _WAITING
    )
    frames = stack.enter_context(contextlib.closing(frames))
    return AnnotatedStream(
        frames, found, found_by, video.fps or _FPS, video.duration, False, source
    )


def _recorded(
    results: Iterable[KeyFrameResult], found: list[KeyFrameResult]
) -> Iterator[KeyFrameResult]:
    """Yields the results and appends them to `found` without their images."""
    for result in results:
        found.append(dataclasses.replace(result, frame=_NO_FRAME))
        yield result


def _open_people(options: Options, source: str, video: VideoReader | None):
    size = None if video is None else (video.width, video.height)
    if size is None and options.people.endswith(people.FILES):
        raise UserError(
            f"{options.people}: a file of boxes needs a video file. For a live "
            "source give a detector: hog or onnx:FILE.onnx"
        )
    who = people.open_detector(
        options.people, size, pathlib.Path(source).stem, options.person_score
    )
    if isinstance(who, people.PeopleByTime):
        return dataclasses.replace(who, times=who.times - options.start)
    return who
