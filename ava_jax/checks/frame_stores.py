"""Checks of every frame in stores that are no frame folders."""

from ava_jax.annotations.findings import Finding, listed
from ava_jax.checks.frame_folders import DAMAGED_FRAMES, Progress
from ava_jax.data.frames.packed import PackedFrames
from ava_jax.data.frames.store import FrameStore
from ava_jax.data.frames.video_files import VideoFrames
from ava_jax.errors import BadFrame, UserError
from ava_jax.video.reader import VideoReader
from ava_jax.video.resample import at_rate

# Formats that do not say how long they are may be taken for so much longer.
_SLACK = 1.0  # seconds


def check_store(store: FrameStore, progress: Progress) -> list[Finding]:
    """Reads every frame of packed movies or of video files.

    Args:
      store: the frames.
      progress: wraps an iterable of a known length and shows how far it is.
    """
    movies = progress(range(len(store.videos)), len(store.videos))
    if isinstance(store, VideoFrames):
        places = [place for movie in movies if (place := _check_video(store, movie))]
        remedy = "Fetch these videos again."
    else:
        places = [place for movie in movies for place in _check_packed(store, movie)]
        remedy = "Pack the frames again: ava-jax prepare pack --help"
    return listed(DAMAGED_FRAMES, places, "They cannot be decoded.", remedy)


def _check_packed(store: PackedFrames, movie: int) -> list[str]:
    places = []
    for index in range(int(store.first[movie]), int(store.last[movie]) + 1):
        try:
            store.read(movie, index)
        except BadFrame as error:
            places.append(str(error))
    return places


def _check_video(store: VideoFrames, movie: int) -> str:
    """What is wrong with a video that is read to its end."""
    path = store.files[movie]
    try:
        with VideoReader(path) as reader:
            count = sum(1 for _ in at_rate(reader, store.fps))
    except UserError as error:
        return f"{path}: {error}"
    missing = int(store.last[movie] + store.offset[movie]) + 1 - count
    if missing <= _SLACK * store.fps:
        return ""
    return f"{path}: ends {missing / store.fps:.1f} s before it should"
