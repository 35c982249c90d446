"""A movie of a data set as a video, for a demo without a video."""

import os
import pathlib

import ml_collections

from ava_jax.annotations.box_files import read_boxes
from ava_jax.data import clips
from ava_jax.data.frames import open_frames
from ava_jax.errors import UserError
from ava_jax.video.writer import VideoWriter

_LONGEST = 60.0  # seconds
_LEAD_IN = 2.0  # seconds before the first key frame


def make_video(
    data: ml_collections.ConfigDict, folder: str | os.PathLike
) -> tuple[pathlib.Path, float]:
    """Makes a video of the first annotated minute of the first validation movie.

    Args:
      data: `config.data`; `root` is the folder of the data set.
      folder: where the video goes; its name will be the movie's.

    Returns:
      The path of the video, and the timestamp in seconds of its first frame.

    Raises:
      UserError: the data set, or its frames, are not there.
    """
    boxes = pathlib.Path(data.root, data.val.boxes)
    if not boxes.is_file():
        raise UserError(
            f"Give a video: the data set of this model was not found ({boxes} does "
            "not exist)."
        )
    table = read_boxes(boxes)
    movie = table.videos[0]
    store = open_frames(data, [movie])
    origin = int(store.origin[0])
    # The annotated part of a movie may start late.
    times = table.timestamp[table.video == 0].min(keepdims=True)
    annotated = clips.centre_frames(times, *clips.clock(data), origin)[0]
    first = max(origin, annotated - round(_LEAD_IN * data.fps))
    last = min(int(store.last[0]), first + round(_LONGEST * data.fps) - 1)
    path = pathlib.Path(folder, f"{pathlib.Path(movie).name}.mp4")
    height, width = store.size[0].tolist()
    with VideoWriter(path, (width, height), data.fps) as writer:
        for index in range(first, last + 1):
            writer.write(store.read(0, index), (index - first) / data.fps)
    rate, start = clips.clock(data)
    return path, start + (first - origin) / rate
