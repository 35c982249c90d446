"""Extracts the frames of one video: JPEG files at one rate."""

import dataclasses
import os
import pathlib

import cv2
import ml_collections
import numpy as np

from ava_jax import files
from ava_jax.annotations import clip_names
from ava_jax.errors import UserError
from ava_jax.video.clip_sampling import first_frame_time
from ava_jax.video.reader import VideoReader
from ava_jax.video.resample import at_rate
from ava_jax.video.resize import size_for_short_side

# Seconds by which a movie may end earlier than its file states.
_SLACK = 0.5


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How frames are made; other recipes give other frames.

    Attributes:
      fps: frames a second, whatever the video's rate is.
      start: of frame 1, in seconds after the video's first frame.
      end: in seconds after the video's first frame; 0: the end of the video.
      short_side: pixels of the shorter side (OpenCV's INTER_AREA); 0, or more than
        the video has: the video's own size.
      quality: of the JPEG files, as OpenCV counts it.
      frame_name: template of the files' names.
    """

    fps: float
    start: float = 0.0
    end: float = 0.0
    short_side: int = 0
    quality: int = 95
    frame_name: str = "img_{:05}.jpg"

    def for_movie(self, name: str, names_of_clips: bool) -> "Recipe":
        """The one of a movie: a file of a clip begins and ends with the clip."""
        if names_of_clips and clip_names.parse(name):
            return dataclasses.replace(self, start=0, end=0)
        return self

    def check(self) -> None:
        """Raises a UserError if it makes no sense."""
        try:
            names = {self.frame_name.format(i, video="v") for i in (1, 2)}
        except (IndexError, KeyError, ValueError):
            names = set()
        wrong = {
            "config.data.fps": self.fps <= 0,
            "--end": 0 < self.end <= self.start or self.end < 0,
            "--short-side": self.short_side < 0,
            "--quality": not 1 <= self.quality <= 100,
            "config.data.frame_name": len(names) < 2,
        }
        if any(wrong.values()):
            fields = " and ".join(name for name, is_wrong in wrong.items() if is_wrong)
            raise UserError(f"{fields} cannot be meant: {self.text()}")

    def text(self) -> str:
        """The recipe in a line, without what is not set."""
        end = f" to {self.end:g}" if self.end else ""
        side = f", short side {self.short_side}" if self.short_side else ""
        return (
            f"{self.fps:g} frames a second from second {self.start:g}{end}{side}, "
            f"quality {self.quality}, {self.frame_name}"
        )


def recipe_of(
    data: ml_collections.ConfigDict,
    end: float = 0,
    short_side: int = 0,
    quality: int = 95,
) -> Recipe:
    """The recipe of the frames that a configuration reads.

    Args:
      data: `config.data`.
      end: timestamp at which to stop; 0: at the end of each video.
      short_side: see `Recipe`.
      quality: see `Recipe`.
    """
    usual = data.frame_name == "auto"
    return Recipe(
        fps=data.fps,
        start=first_frame_time(data),
        end=end and end - data.video_start,
        short_side=short_side,
        quality=quality,
        frame_name=Recipe.frame_name if usual else data.frame_name,
    )


@dataclasses.dataclass(frozen=True)
class Movie:
    """The result of extracting one video.

    Attributes:
      name: of its folder of frames.
      file: name of the video file.
      bytes: of the video file.
      sha256: of the video file.
      frames: how many were written.
      first: index of the first one; 1, unless the video begins after the start.
      width, height: of the frames, in pixels.
      source_fps: the video's own rate; None if it does not say.
      note: what is doubtful.
      error: why there are no frames.
    """

    name: str
    file: str
    bytes: int = 0
    sha256: str = ""
    frames: int = 0
    first: int = 1
    width: int = 0
    height: int = 0
    source_fps: float | None = None
    note: str = ""
    error: str = ""


def try_movie(
    video: pathlib.Path, root: pathlib.Path, recipe: Recipe, names_of_clips: bool
) -> Movie:
    """Extracts one movie into its `partial_path`; a failure is in the `Movie`."""
    folder = files.partial_path(root / video.stem)
    files.remove(folder)
    folder.mkdir()
    try:
        of_movie = recipe.for_movie(video.stem, names_of_clips)
        return extract_movie(video, folder, of_movie)
    except (UserError, OSError) as error:
        files.remove(folder)
        return Movie(video.stem, video.name, error=str(error))


def extract_movie(
    video: str | os.PathLike, folder: str | os.PathLike, recipe: Recipe
) -> Movie:
    """Writes the frames of one video into an empty folder.

    Args:
      video: the file.
      folder: where the frames go.
      recipe: how.

    Raises:
      UserError: it is no video, or has no frame from the start on.
      OSError: a frame cannot be written.
    """
    video, folder = pathlib.Path(video), pathlib.Path(folder)
    # Counted as `data.frames.video_files` counts, to give the same frames.
    before = round(recipe.start * recipe.fps)
    indices, last, content = [], None, b""
    with VideoReader(video) as reader:
        for number, frame in at_rate(reader, recipe.fps):
            if number < before:
                continue
            if recipe.end and number / recipe.fps >= recipe.end:
                break
            # A rate above the video's own repeats frames: they are encoded once.
            if frame is not last:
                last, image = frame, _resize(frame.rgb, recipe.short_side)
                content = _encode(image, recipe.quality)
            indices.append(number - before + 1)
            name = recipe.frame_name.format(indices[-1], video=video.stem)
            (folder / name).write_bytes(content)
        source_fps, duration = reader.fps, reader.duration
    if not indices:
        raise UserError(f"{video} has no frame {recipe.start:g} s after its first one.")
    return Movie(
        name=video.stem,
        file=video.name,
        bytes=video.stat().st_size,
        sha256=files.sha256(video),
        frames=len(indices),
        first=indices[0],
        width=image.shape[1],
        height=image.shape[0],
        source_fps=source_fps and round(source_fps, 3),
        note=_note((before + indices[-1]) / recipe.fps, duration, recipe),
    )


def _note(seconds: float, duration: float | None, recipe: Recipe) -> str:
    """Whether the video should have been longer than `seconds`."""
    if duration and seconds + _SLACK < min(duration, recipe.end or duration):
        return f"damaged or cut off: says {duration:.1f} s, ends after {seconds:.1f} s"
    if recipe.end and seconds + _SLACK < recipe.end:
        return f"short: ends after {seconds:.1f} s, wanted {recipe.end:.1f} s"
    return ""


def _resize(image: np.ndarray, short_side: int) -> np.ndarray:
    if not 0 < short_side < min(image.shape[:2]):
        return image
    height, width = size_for_short_side(*image.shape[:2], short_side)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _encode(image: np.ndarray, quality: int) -> bytes:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes()
