"""OpenCV's sample video `vtest.avi` as a small data set of a real street.

The annotations come with the project (`vtest_annotations/`). The footage is downloaded
from OpenCV, because the terms of its origin, PETS 2009, are its own.
"""

import importlib.resources
import os
import pathlib
import shutil

from ava_jax import files, published
from ava_jax.errors import UserError
from ava_jax.prepare.extract_movie import Recipe, extract_movie
from ava_jax.video.reader import VideoReader

VIDEO = "vtest"
_FRAMES = 795
_SIZE = (768, 576)  # width, height
_WHERE = (
    "It is also examples/data/vtest.avi of Debian's package opencv-doc, and "
    "samples/data/vtest.avi of OpenCV's source. Give its path: "
    "--config.data.video=PATH"
)


def prepare(root: str | os.PathLike, video: str | os.PathLike) -> None:
    """Lays out frames and annotations as an AVA-format data set.

    Frames go to `rawframes/vtest/img_00001.jpg` and so on, annotations to
    `annotations/`. A complete folder is left unchanged.

    Args:
      root: folder of the data set.
      video: path of vtest.avi; empty: it is downloaded into the cache.

    Raises:
      UserError: the video cannot be downloaded, or is another one.
    """
    root = pathlib.Path(root)
    if (root / "rawframes" / VIDEO).exists():
        return
    video = video or _download()
    _check(video)
    root.mkdir(parents=True, exist_ok=True)
    with importlib.resources.as_file(
        importlib.resources.files("ava_jax.prepare") / "vtest_annotations"
    ) as annotations:
        shutil.copytree(annotations, root / "annotations", dirs_exist_ok=True)
    (root / "rawframes").mkdir(exist_ok=True)
    # Last: where there are frames, all of it is there.
    with files.beside(root / "rawframes" / VIDEO, unique=True) as frames:
        frames.mkdir()
        _extract(video, frames)


def _download() -> pathlib.Path:
    try:
        return published.fetch("vtest.avi")
    except UserError as error:
        raise UserError(
            f"This data set is made from OpenCV's vtest.avi. {error} {_WHERE}"
        ) from error


def _check(video: str | os.PathLike) -> None:
    if not pathlib.Path(video).is_file():
        raise UserError(f"config.data.video: there is no file {video}. {_WHERE}")
    try:
        with VideoReader(video) as reader:
            size = (reader.width, reader.height)
    except UserError as error:
        raise UserError(
            f"{video} cannot be read as a video: {error} {_WHERE}"
        ) from error
    if size != _SIZE:
        raise UserError(f"{video} is {size[0]}x{size[1]}, not 768x576. {_WHERE}")


def _extract(video: str | os.PathLike, folder: pathlib.Path) -> None:
    count = extract_movie(video, folder, Recipe(fps=10)).frames
    if count != _FRAMES:
        raise UserError(
            f"{video} has {count} frames, not {_FRAMES}: it is damaged or another "
            "video. Fetch it again."
        )
