"""Frame store: a folder of numbered JPEG files for each movie."""

import collections
import dataclasses
import os
import pathlib
import re
from collections.abc import Sequence

import cv2
import numpy as np
import tensorflow as tf
from PIL import Image

from ava_jax.data.frames.index import Facts, look_at
from ava_jax.data.frames.spelling import spelling_hint
from ava_jax.data.frames.store import FrameStore, decode_jpeg
from ava_jax.errors import BadFrame, UserError, join_first

# File names that 'auto' prefers: those of MMAction2 and PySlowFast.
_USUAL_NAMES = ("img_{:05}.jpg", "{video}_{:06}.jpg")
# Pillow's names of the formats that `decode_jpeg` reads, whatever a file is called. A
# file of MPO begins with a picture in JPEG.
READ_FORMATS = ("JPEG", "MPO", "PNG", "GIF")


@dataclasses.dataclass(frozen=True)
class FrameName:
    """File name of a frame: prefix, zero-padded index, suffix.

    The prefix may contain `{video}`, which stands for the name of the movie.
    """

    prefix: str
    digits: int
    suffix: str

    @classmethod
    def parse(cls, template: str) -> "FrameName":
        """Reads a template such as 'img_{:05}.jpg' or '{video}_{:06}.jpg'.

        Raises:
          UserError: the template is not of this form.
        """
        match = re.fullmatch(r"((?:[^{}]|\{video\})*)\{:0(\d)d?\}([^{}]*)", template)
        if not match:
            raise UserError(
                f"config.data.frame_name is {template!r}; expected a name with one "
                "zero-padded number, like 'img_{:05}.jpg' or '{video}_{:06}.jpg', or "
                "'auto'."
            )
        return cls(match[1], int(match[2]), match[3])

    def head(self, video: str) -> str:
        """The part of the file name before the index."""
        return self.prefix.replace("{video}", video)

    def file(self, video: str, index: int) -> str:
        """File name of a frame."""
        return f"{self.head(video)}{index:0{self.digits}}{self.suffix}"


@dataclasses.dataclass(frozen=True, eq=False)
class FrameFolders(FrameStore):
    """A folder of JPEG files for each movie.

    Attributes:
      root: the folder that contains the folders of the movies.
      name: how the files of the frames are named.
    """

    root: pathlib.Path
    name: FrameName

    def path(self, video: int, index: int) -> pathlib.Path:
        """Path of the file of a frame."""
        video = self.videos[video]
        return self.root / video / self.name.file(video, index)

    def clip(self, video: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        """Reads (T, H, W, 3) uint8 RGB frames as TensorFlow operations."""
        # Paths are built by TensorFlow operations, so that no Python code runs in the
        # input pipeline.
        heads = [f"{self.root}/{name}/{self.name.head(name)}" for name in self.videos]
        digits = tf.strings.as_string(indices, width=self.name.digits, fill="0")
        paths = tf.strings.join([tf.constant(heads)[video], digits, self.name.suffix])
        return tf.map_fn(
            lambda path: decode_jpeg(tf.io.read_file(path)),
            paths,
            fn_output_signature=tf.uint8,
        )

    def read(self, video: int, index: int) -> np.ndarray:
        """Reads one (H, W, 3) uint8 RGB frame; raises `BadFrame`."""
        path = str(self.path(video, index))
        try:
            return decode_jpeg(tf.io.read_file(path)).numpy()
        except tf.errors.NotFoundError:
            raise BadFrame(f"{path} does not exist") from None
        except tf.errors.OpError as error:
            reason = _other_format(path) or error.message
            raise BadFrame(f"{path} cannot be read ({reason})") from None


def open_folders(
    root: str | os.PathLike,
    videos: Sequence[str],
    frame_name: str = "auto",
    *,
    whole: bool = True,
) -> FrameFolders:
    """Inspects the frame folder of every movie.

    Args:
      root: the folder that contains the folders of the movies.
      videos: names of the movies.
      frame_name: a file name template, such as 'img_{:05}.jpg'; 'auto' detects it from
        the first movie.
      whole: require that no frame is missing and that the first one can be decoded.

    Raises:
      UserError: the template is wrong; movies are missing; a movie has no frames, or
        is incomplete although `whole` is set.
    """
    root = pathlib.Path(root)
    absent = [video for video in videos if not (root / video).is_dir()]
    if absent:
        example = _USUAL_NAMES[0] if frame_name == "auto" else frame_name
        raise UserError(
            f"{len(absent)} of {len(videos)} movies have no frame folder under "
            f"{root}: {join_first(absent)}. Expected: {root / absent[0]}/"
            f"{FrameName.parse(example).file(absent[0], 1)} and so on, one folder a "
            f"movie.{spelling_hint(absent, root)}"
        )
    if frame_name == "auto":
        frame_name = detect_frame_name(root, videos[0])
    name = FrameName.parse(frame_name)

    def look(video: str) -> Facts:
        return _look(root / video, video, name, whole)

    def unchanged(video: str, facts: Facts) -> bool:
        return _times(root / video, name.file(video, facts[2])) == facts[:2]

    # The two kinds do not share index entries: without `whole`, a movie with missing
    # frames has an entry too.
    kind = f"{frame_name} {'whole' if whole else 'partial'}"
    facts = look_at(root, videos, look, unchanged, kind)
    facts = np.array(facts, np.int64).reshape(-1, 7)
    _, _, first, last, missing, height, width = facts.T
    return FrameFolders(
        videos=tuple(videos),
        first=first,
        last=last,
        size=np.stack([height, width], axis=1).astype(np.int32),
        missing=missing,
        root=root,
        name=name,
    )


def detect_frame_name(root: pathlib.Path, video: str) -> str:
    """Detects the file name template of the frames of a movie.

    Raises:
      UserError: there are no frames, or several templates match.
    """
    digits = collections.defaultdict(set)
    for entry in os.scandir(root / video):
        if match := re.fullmatch(r"(.*?)(\d+)(\.jpe?g)", entry.name, re.IGNORECASE):
            # Braces would be read as part of the template.
            prefix = match[1].replace("{", "").replace("}", "")
            # Other movies' frames begin with their own names.
            prefix = re.sub(rf"^{re.escape(video)}(?![^\W_])", "{video}", prefix)
            digits[prefix, match[3]].add(len(match[2]))
    # Indices above the padding have more digits, so the fewest are the padding.
    names = {
        f"{prefix}{{:0{min(found)}}}{suffix}"
        for (prefix, suffix), found in digits.items()
    }
    usual = [name for name in _USUAL_NAMES if name in names]
    if len(names) == 1 or usual:
        return (usual or list(names))[0]
    found = (
        f"JPEG files named like {join_first(sorted(names))}"
        if names
        else "no file like img_00001.jpg"
    )
    raise UserError(
        f"{root / video} has {found}. Extract the movie's frames there, or set "
        "config.data.frame_name to how they are named, like 'img_{:05}.jpg'."
    )


def _look(folder: pathlib.Path, video: str, name: FrameName, whole: bool) -> Facts:
    """[two mtimes, first, last, missing, height, width] of one movie."""
    # Before the listing: if the folder changes during it, the entry is outdated.
    folder_time = os.stat(folder).st_mtime_ns
    indices = _indices(folder, name.head(video), name.suffix)
    if not len(indices):
        raise UserError(
            f"{folder} has no frame named like {name.file(video, 1)}. Extract the "
            "movie's frames there, or set config.data.frame_name to how they are named."
        )
    first, last = int(indices[0]), int(indices[-1])
    missing = last - first + 1 - len(indices)
    if missing and whole:
        absent = np.setdiff1d(np.arange(first, last), indices)
        raise UserError(
            f"{folder}: frame {name.file(video, int(absent[0]))} is missing, though "
            f"{name.file(video, last)} is there ({missing} frames in all). Extract "
            "this movie's frames again, or set config.data.on_bad_frame to 'nearest'."
        )
    candidates = indices[:1] if whole else indices
    paths = (folder / name.file(video, int(index)) for index in candidates)
    height, width = _frame_size(paths)
    times = [folder_time, *_times(folder, name.file(video, first))[1:]]
    return [*times, first, last, missing, height, width]


def _times(folder: pathlib.Path, frame: str) -> list[int]:
    """Modification times of the folder and of its first frame.

    The folder changes when files are added or removed, the frame when it is
    overwritten.
    """
    try:
        return [os.stat(folder).st_mtime_ns, os.stat(folder / frame).st_mtime_ns]
    except OSError:
        return []


def _indices(folder: pathlib.Path, head: str, suffix: str) -> np.ndarray:
    """Sorted indices of the frames of a movie."""
    start, end = len(head), len(suffix)
    texts = (
        name[start : len(name) - end]
        for name in os.listdir(folder)
        if name.startswith(head) and name.endswith(suffix)
    )
    return np.unique([int(text) for text in texts if text.isdecimal()])


def _frame_size(paths) -> tuple[int, int]:
    """Height and width of the first of these files that can be decoded."""
    first = None
    for path in paths:
        # Ignores the EXIF orientation, as TensorFlow does when it reads the clips.
        image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if image is not None and not _other_format(path):
            return image.shape[:2]
        first = first or path
    found = _other_format(first)
    wrong = f"cannot be read ({found})" if found else "is not a readable JPEG"
    raise UserError(f"{first} {wrong}. Extract its movie again.")


def _other_format(path: str | os.PathLike) -> str:
    """What to say of a picture in a format that is not read; '' of others."""
    try:
        with Image.open(path) as image:
            found = image.format
    except OSError:
        return ""
    return "" if found in READ_FORMATS else f"its format is {found}, expected JPEG"
