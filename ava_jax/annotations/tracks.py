"""Ground truth of tubes: people by frame in MultiSports' file, or in AVA's CSV."""

import dataclasses
import io
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ava_jax.annotations.box_checks import row_findings
from ava_jax.annotations.box_table import NO_ENTITY, NO_LABEL, BoxTable
from ava_jax.annotations.findings import Finding
from ava_jax.annotations.text_files import read_pickled
from ava_jax.errors import UserError
from ava_jax.metrics.tubes import Tubes
from ava_jax.unpickling import numpy_arrays
from ava_jax.unpickling.interpreter import Built, RefusedError, describe, read_pickle

# Classes of MultiSports that its metric leaves out.
_NOT_SCORED = (
    "aerobic kick jump",
    "aerobic off axis jump",
    "aerobic butterfly jump",
    "aerobic balance turn",
    "basketball save",
    "basketball jump ball",
)
_EXPECTED = (
    "expected MultiSports' multisports_GT.pkl: a dict with `labels`, `test_videos`, "
    "`nframes`, `resolution` and `gttubes`"
)
_BUILDERS = {"collections.defaultdict": lambda *factory: {}, **numpy_arrays.BUILDERS}
# See `proposals.py`: arrays that are one object in the pickle could fill the memory.
_LARGEST_RATIO = 20
_LARGEST_FRACTION = 2.0


@dataclasses.dataclass(frozen=True, eq=False)
class Tracks:
    """Annotated tubes and what is known of their videos.

    Attributes:
      videos: names, without '.mp4'.
      tubes: ids of actions are those of a `BoxTable`, from 1.
      names: names of the actions to score, by id.
      known_ids: ids of all actions, those that are not scored too.
      num_frames: (V,) int64, last frame of each video; None: it is not known.
      sizes: (V, 2) width and height, in whose pixels the tubes are; None: the tubes
        are in fractions.
    """

    videos: tuple[str, ...]
    tubes: Tubes
    names: Mapping[int, str]
    known_ids: tuple[int, ...]
    num_frames: np.ndarray | None = None
    sizes: np.ndarray | None = None


def video_name(name: str) -> str:
    """The name of a video as MultiSports' ground truth has it."""
    return name.split(".mp4")[0]


def scored_actions(names: Mapping[int, str]) -> dict[int, str]:
    """The actions that MultiSports' metric does not leave out, by id."""
    return {i: name for i, name in names.items() if name not in _NOT_SCORED}


def read_multisports(path: str | os.PathLike, split: str = "test") -> Tracks | None:
    """Reads `multisports_GT.pkl`; nothing in it is executed.

    Args:
      path: of the file.
      split: 'train' or 'test'.

    Returns:
      The tubes of the split's videos; None if the file is no pickle.

    Raises:
      UserError: it is a pickle of something else.
    """
    path = os.fspath(path)
    data = read_pickled(path)
    if data is None:
        return None
    try:
        content = read_pickle(io.BytesIO(data), _BUILDERS)
        return _tracks(content, f"{split}_videos", len(data))
    except RefusedError as error:
        reason = str(error)
    raise UserError(f"{path}: {reason}; {_EXPECTED}")


def tracks_of_table(table: BoxTable, names: Mapping[int, str]) -> Tracks:
    """Tubes of AVA's rows with person ids, whose seconds are numbers of frames.

    Args:
      table: ground truth.
      names: the actions to score.

    Raises:
      UserError: rows without a person, times that are no whole numbers, a person with
        two boxes in a frame.
    """
    labelled = table.select(
        table.label != NO_LABEL, np.zeros(len(table.keyframe_video), bool)
    )
    findings = check_frames(labelled)
    findings += row_findings(
        labelled,
        "rows without a person id",
        labelled.entity == NO_ENTITY,
        "Column 8 is empty or missing; it says which boxes are one person's.",
        "Give ground truth with person ids.",
    )
    keys = np.column_stack(
        [labelled.video, labelled.label, labelled.entity, labelled.timestamp]
    )
    _, first, number = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    findings += row_findings(
        labelled,
        "a second box of a person",
        first[number.ravel()] != np.arange(len(labelled)),
        "The same person has the same action twice in frame {t} of {video}.",
        "Give each person of a video an id, and leave one row.",
    )
    _raise_first(findings)
    tubes = Tubes.from_tracks(
        labelled.video.astype(np.int64),
        labelled.label.astype(np.int64),
        labelled.entity,
        labelled.timestamp.astype(np.int64),
        labelled.box,
    )
    videos = tuple(map(video_name, labelled.videos))
    return Tracks(videos, tubes, names, known_ids=tuple(names))


def check_frames(table: BoxTable) -> list[Finding]:
    """Times that are no numbers of frames."""
    return row_findings(
        table,
        "times that are no frame numbers",
        (table.timestamp != np.rint(table.timestamp)) | (table.timestamp < 0),
        "The first is {t}; boxes are linked from each frame to the next.",
        "Number the frames of each video 1, 2, 3, ... in column 2.",
    )


def check_linked(truth: Tracks, detections: BoxTable) -> list[Finding]:
    """What makes detections impossible to link, or their result misleading."""
    names = np.array([video_name(name) for name in detections.videos], object)
    findings = check_frames(detections)
    if truth.num_frames is not None:
        place = {name: i for i, name in enumerate(truth.videos)}
        known = np.array([name in place for name in names], bool)[detections.video]
        last = np.array([truth.num_frames[place.get(name, 0)] for name in names])
        frame = detections.timestamp
        findings += row_findings(
            detections,
            "videos that the ground truth does not test",
            ~known,
            "The first is {video}.",
            "Leave these rows out, or give the ground truth that lists them.",
        )
        findings += row_findings(
            detections,
            "frames that their videos do not have",
            known & ((frame < 1) | (frame > last[detections.video])),
            "The first is frame {t} of {video}; frames count from 1.",
            "Check the frame numbers, and that this is the right ground truth.",
        )
        findings += row_findings(
            detections,
            "actions that the ground truth does not have",
            ~np.isin(detections.label, truth.known_ids),
            f"The ids go from 0 to {len(truth.known_ids) - 1}.",
            "Check the action ids, and give --first-label 1 if they count from 1.",
        )
    findings += row_findings(
        detections,
        "boxes in pixels",
        np.abs(detections.box).max(axis=1, initial=0) > _LARGEST_FRACTION,
        "The first is {box}, expected fractions of the frame.",
        "Divide by width and height of the video.",
    )
    return findings + row_findings(
        detections,
        "rows without a score",
        np.isnan(detections.score),
        "There is none in column 8; boxes are linked by their scores.",
        "Write the scores of the detector.",
    )


def _raise_first(findings: list[Finding]) -> None:
    if findings:
        raise UserError(str(findings[0]))


def _tracks(content: Any, split: str, file_size: int) -> Tracks:
    """What the pickle describes; raises a RefusedError where it is something else."""
    listed = content.get(split) if isinstance(content, dict) else None
    match content, listed:
        case (
            {
                "labels": [*labels],
                "nframes": dict(frames),
                "resolution": dict(sizes),
                "gttubes": dict(tubes),
            },
            [[*videos]],
        ) if all(isinstance(text, str) for text in [*labels, *videos]):
            pass
        case _:
            raise RefusedError(f"holds {describe(content)} of something else")
    missing = [v for v in videos if not (v in frames and v in sizes and v in tubes)]
    if missing:
        raise RefusedError(
            f"video {missing[0]!r} of `{split}` is not in `nframes`, `resolution` "
            "and `gttubes`"
        )
    scored = scored_actions(dict(enumerate(labels, 1)))
    size = np.array([_numbers(sizes[v], (2,)) for v in videos]).reshape(-1, 2)
    return Tracks(
        videos=tuple(videos),
        tubes=_tubes(videos, tubes, len(labels), _LARGEST_RATIO * file_size),
        names=scored,
        known_ids=tuple(range(1, len(labels) + 1)),
        num_frames=np.array([_numbers(frames[v], ()) for v in videos], np.int64),
        sizes=size[:, ::-1],  # the file has height and width
    )


def _tubes(videos, content, labels: int, limit: int) -> Tubes:
    keys, parts, left = [np.zeros((0, 3))], [np.zeros((0, 5))], limit
    for number, video in enumerate(videos):
        for track, (label, tube) in enumerate(_of_video(video, content[video])):
            where = f"tube {track} of {video!r}"
            if not 0 <= label < labels:
                raise RefusedError(f"{where} has label {label} of {labels}")
            left -= tube.nbytes
            if left < 0:
                raise RefusedError("it would take much more memory than the file")
            if (np.diff(tube[:, 0]) != 1).any():
                raise RefusedError(f"the frames of {where} are not consecutive")
            keys.append(np.tile([number, label + 1, track], (len(tube), 1)))
            parts.append(tube)
    keys, rows = np.concatenate(keys).astype(np.int64), np.concatenate(parts)
    return Tubes.from_tracks(*keys.T, rows[:, 0].astype(np.int64), rows[:, 1:])


def _of_video(video: str, content: Any) -> Iterator[tuple[int, np.ndarray]]:
    if not isinstance(content, dict):
        raise RefusedError(f"the tubes of {video!r} are {describe(content)}")
    for label, tubes in content.items():
        if not isinstance(tubes, list):
            raise RefusedError(f"the tubes of {video!r} are {describe(tubes)}")
        for tube in tubes:
            yield int(_numbers(label, ())), _numbers(tube, (-1, 5))


def _numbers(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Finite float64 of a number, numbers or an array; -1 stands for any length."""
    try:
        array = numpy_arrays.to_array(value) if isinstance(value, Built) else value
        array = np.array(array, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise RefusedError(f"{describe(value)} is not of numbers") from None
    fits = array.ndim == len(shape) and all(
        size in (-1, found) for size, found in zip(shape, array.shape, strict=True)
    )
    if not fits or not np.isfinite(array).all():
        raise RefusedError(f"found numbers of shape {array.shape}, expected {shape}")
    return array
