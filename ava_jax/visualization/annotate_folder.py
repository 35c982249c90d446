"""Annotates the videos of a folder, one after the other."""

import collections
import os
import pathlib

from ava_jax.errors import UserError, join_first, tell
from ava_jax.predict import Detector
from ava_jax.runtime import preemption
from ava_jax.video.reader import SUFFIXES
from ava_jax.visualization.annotate_video import Options, annotate_video

_PICTURES = (".jpg", ".jpeg", ".png")


def annotate_folder(
    detector: Detector,
    folder: str | os.PathLike,
    out: str | os.PathLike,
    options: Options,
) -> None:
    """Writes for each video of a folder what `annotate_video` writes for one.

    Prints a summary of each. A video that cannot be read is reported, and the next one
    follows. Ctrl-C ends the present video early, and the others are left out.

    Args:
      detector: scores the actions.
      folder: with the videos; folders in it are left alone.
      out: folder of the results, which have the names of the videos.
      options: of the annotation.

    Raises:
      UserError: there is no video in the folder, `out` cannot be the folder of the
        results, or (after the last video) some could not be annotated.
    """
    videos = _videos(pathlib.Path(folder))
    out = pathlib.Path(out)
    if out.suffix.lower() == ".mp4":
        raise UserError(
            f"{folder} is a folder of videos, so its results need a folder, too; {out} "
            "is a file. Give --out DIR"
        )
    if out.resolve() == pathlib.Path(folder).resolve():
        raise UserError(
            f"{out} is the folder of the videos itself; give another --out DIR"
        )
    stems = collections.Counter(video.stem for video in videos)
    failed = []
    with preemption.handle_signals() as signals:
        for i, video in enumerate(videos, 1):
            print(f"{video.name}, {i} of {len(videos)}", flush=True)
            # a.mov and a.avi would have the same results.
            name = video.stem if stems[video.stem] == 1 else video.name
            try:
                file = out / f"{name}.mp4"
                text = annotate_video(detector, str(video), file, options, signals)
                print(text, flush=True)
            except UserError as error:
                tell(error)
                failed.append(video.name)
            if signals.stop_requested:
                break
    if failed:
        raise UserError(
            f"{len(failed)} of {len(videos)} videos could not be annotated: "
            f"{join_first(failed)}. The reason of each is above."
        )


def _videos(folder: pathlib.Path) -> list[pathlib.Path]:
    """The videos of a folder by name."""
    there = sorted(path for path in folder.iterdir() if path.is_file())
    videos = [path for path in there if path.suffix.lower() in SUFFIXES]
    if videos:
        return videos
    pictures = [path for path in there if path.suffix.lower() in _PICTURES]
    if pictures:
        raise UserError(
            f"{folder} has no video, but {len(pictures)} pictures. If they are the "
            "frames of a video, make it one: ffmpeg -framerate 25 -i "
            f"{folder}/img_%05d.jpg video.mp4"
        )
    raise UserError(
        f"{folder} has no video; expected files that end in {', '.join(SUFFIXES)}"
    )
