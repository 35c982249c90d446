"""Boxes and actions that a machine suggests, for people to correct."""

import contextlib
import dataclasses
import os
import pathlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from ava_jax import files, people
from ava_jax.annotations import BoxTable, write_detections
from ava_jax.annotations.box_files import quoted, seconds_text
from ava_jax.annotations.tools import KeyFrame, ToolBox, ToolTable, Video
from ava_jax.annotations.tools import write as write_tool_file
from ava_jax.errors import UserError
from ava_jax.inference.person_source import as_person_source
from ava_jax.inference.video_results import KeyFrameResult
from ava_jax.predict import Detector
from ava_jax.prepare import key_frame_choice
from ava_jax.report import review_page
from ava_jax.report.drawing import encode_jpeg
from ava_jax.video.reader import VideoReader, is_live
from ava_jax.video.resample import at_rate

_FPS = 25.0  # of a video that does not state it
_QUALITY = 70  # of the pictures, which have no text; 0.6 of the bytes of 88
_SHOWN_SCORE = 0.05  # least score of an action that the page shows
_PROJECTS = {"cvat": "cvat", "via3": "via3.json", "labelstudio": "labelstudio.json"}
FORMATS = tuple(_PROJECTS)


@dataclasses.dataclass(frozen=True)
class Options:
    """How videos are annotated.

    Attributes:
      people: person detector, a name for `people.open_detector`.
      person_score: lowest score of a person.
      every: seconds between key frames.
      threshold: lowest score of an action that is suggested.
      batch: clips that the device scores at a time.
      short_side: of the page's pictures, at most, in pixels.
      format: tool for which a project is written, one of `FORMATS`; None: for none.
    """

    people: str = "auto"
    person_score: float = 0.5
    every: float = 1.0
    threshold: float = 0.3
    batch: int = 1
    short_side: int = 360
    format: str | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class _KeyFrame:
    """What was found at a key frame.

    Attributes:
      video: index of the video.
      time: seconds.
      jpeg: the picture.
      boxes: (N, 4) fractions.
      ids: (N,) numbers of the people.
      scores: (N, C) of the actions; zeros if no model gave any.
    """

    video: int
    time: float
    jpeg: bytes
    boxes: np.ndarray
    ids: np.ndarray
    scores: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class _Found:
    """All videos and what was found in them; `actions` are those of the scores."""

    names: list[str]
    videos: list[Video]
    key_frames: list[_KeyFrame]
    actions: Mapping[int, str]
    options: Options

    def suggested(self, key_frame: _KeyFrame) -> list[list[int]]:
        """The action ids of each person that are suggested."""
        ids = np.array(list(self.actions))
        return [ids[row >= self.options.threshold].tolist() for row in key_frame.scores]

    def keys(self) -> list[str]:
        """Video and timestamp of each key frame, as CSV."""
        return [
            f"{quoted(self.names[key_frame.video])},{seconds_text(key_frame.time)}"
            for key_frame in self.key_frames
        ]


def pre_annotate(
    videos: Sequence[str],
    out: str | os.PathLike,
    options: Options,
    *,
    detector: Detector | None = None,
    labels: Mapping[int, str] | None = None,
) -> str:
    """Finds people in videos, suggests their actions, and writes files to correct.

    `review.html` is the page for it, `boxes.csv` the people with the suggested actions
    (an empty one for a person without any), `actions.txt` the label map, `next.csv` the
    key frames by usefulness, and with a detector `scores.csv` all its scores.

    Args:
      videos: paths of video files.
      out: folder of the results, made if it is not there.
      options: of the annotation.
      detector: suggests actions; None: nobody does.
      labels: actions to choose from, id -> name, if there is no detector.

    Returns:
      What was found and written.

    Raises:
      UserError: a video cannot be read or two have one name; boxes are not boxes; the
        files cannot be written.
    """
    started = time.monotonic()
    names = _names(videos)
    if detector is not None:
        ids = map(int, detector.class_ids[1:])
        labels = dict(zip(ids, detector.labels[1:], strict=True))
    described, key_frames = [], []
    for i, path in enumerate(videos):
        video, seen = _look(i, path, options, detector, len(labels))
        described.append(video)
        key_frames += seen
    found = _Found(names, described, key_frames, labels, options)
    out = pathlib.Path(out)
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
    written = _write(found, out, detector)
    return "\n".join([_summary(found, time.monotonic() - started), *written])


@contextlib.contextmanager
def _writing(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be made ({error.strerror}); give another --out DIR"
        ) from error


def _names(videos: Sequence[str]) -> list[str]:
    """Names of the videos in the CSV: of their files, without the ending."""
    by_name: dict[str, str] = {}
    for path in videos:
        if is_live(path):
            raise UserError(f"{path} has no end; expected a video file")
        other = by_name.setdefault(pathlib.Path(path).stem, path)
        if other != path or videos.count(path) > 1:
            raise UserError(
                f"{other} and {path} have the same name, which stands for the video "
                "in the CSV; rename one of them"
            )
    return list(by_name)


def _look(
    index: int,
    path: str,
    options: Options,
    detector: Detector | None,
    actions: int,
) -> tuple[Video, list[_KeyFrame]]:
    """Reads a video once."""
    with VideoReader(path) as reader:
        size, fps = (reader.width, reader.height), reader.fps or _FPS
        length = reader.duration
        boxes = people.open_detector(
            options.people, size, pathlib.Path(path).stem, options.person_score
        )
        if detector is None:
            results = _people(reader, boxes, options.every, fps, actions)
            seen = [_key_frame(index, one, options.short_side) for one in results]
    if detector is not None:
        results = detector.predict_video(
            path, boxes, every=options.every, batch=options.batch
        )
        with contextlib.closing(results):
            seen = [_key_frame(index, one, options.short_side) for one in results]
    length = length or seen[-1].time + options.every
    return Video(fps, *size, frames=round(length * fps)), seen


def _people(
    video: VideoReader, boxes: Any, every: float, fps: float, actions: int
) -> Iterator[KeyFrameResult]:
    """The people of each key frame, at the times of `clip_sampler.VideoSampling`."""
    if every * fps < 1 - 1e-6:
        raise UserError(f"--every {every:g}; expected 1/{fps:g} or more, of one frame")
    tracker = people.Tracker(patience=max(3.0, 2 * every))
    find = as_person_source(boxes, video)
    number = 0
    for index, frame in at_rate(video, fps):
        moment = number * every
        if index != int(moment * fps + 0.5):
            continue
        rows = find(frame.rgb, moment)
        ids = tracker.update(rows, moment)
        scores = np.zeros((len(rows), actions + 1), np.float32)
        yield KeyFrameResult(moment, frame.rgb, rows, ids, scores, (), 0.0)
        number += 1


def _key_frame(video: int, result: KeyFrameResult, short_side: int) -> _KeyFrame:
    height, width = result.frame.shape[:2]
    # float64, or the CSV would have the noise of float32 behind five digits.
    boxes = result.boxes.astype(np.float64) / [width, height, width, height]
    order = np.argsort(result.track_ids)
    return _KeyFrame(
        video,
        round(result.time, 6),
        _picture(result.frame, short_side),
        np.clip(boxes, 0, 1).round(5)[order],
        result.track_ids[order],
        result.scores[order, 1:],
    )


def _picture(frame: np.ndarray, short_side: int) -> bytes:
    height, width = frame.shape[:2]
    scale = short_side / min(height, width)
    if scale < 1:
        size = round(width * scale), round(height * scale)
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return encode_jpeg(frame, _QUALITY)


def _write(found: _Found, out: pathlib.Path, detector: Detector | None) -> list[str]:
    choices = _choose(found)
    texts = {
        "boxes.csv": _boxes_csv(found),
        "actions.txt": "".join(f"{i}: {name}\n" for i, name in found.actions.items()),
        "next.csv": _next_csv(found, choices),
        "review.html": _page(found, choices, out.resolve().name, detector),
    }
    for name, text in texts.items():
        files.replace(out / name, text)
    written = [out / name for name in texts]
    if detector is not None:
        write_detections(out / "scores.csv", _scores(found, detector))
        written.append(out / "scores.csv")
    if found.options.format:
        path = out / _PROJECTS[found.options.format]
        written += write_tool_file(_project(found), path, found.options.format)
    return [f"  {path}" for path in written]


def _choose(found: _Found) -> list[key_frame_choice.Choice]:
    frames = found.key_frames
    return key_frame_choice.choose(
        np.array([frame.video for frame in frames]),
        np.repeat(np.arange(len(frames)), [len(frame.ids) for frame in frames]),
        np.concatenate([frame.ids for frame in frames]),
        np.concatenate([frame.scores for frame in frames]),
    )


def _boxes_csv(found: _Found) -> str:
    lines = []
    for key, frame in zip(found.keys(), found.key_frames, strict=True):
        rows = zip(frame.boxes, frame.ids, found.suggested(frame), strict=True)
        people_here = [
            f"{key},{','.join(f'{edge:g}' for edge in box)},{action},{number}"
            for box, number, actions in rows
            for action in actions or [""]
        ]
        lines += people_here or [key]
    return "".join(f"{line}\n" for line in lines)


def _next_csv(found: _Found, choices: Iterable[key_frame_choice.Choice]) -> str:
    keys = found.keys()
    rows = (f"{keys[i]},{reason},{value:.3f}\n" for i, reason, value in choices)
    return "".join(["video,timestamp,reason,value\n", *rows])


def _scores(found: _Found, detector: Detector) -> BoxTable:
    """All scores from the threshold of evaluation on, as detections."""
    ids, parts = np.array(list(found.actions)), []
    for frame in found.key_frames:
        rows, columns = np.nonzero(
            frame.scores >= detector.config.eval.action_threshold
        )
        head = np.tile([frame.video, frame.time], (len(rows), 1))
        tail = [ids[columns], frame.scores[rows, columns]]
        parts.append(np.column_stack([head, frame.boxes[rows], *tail]))
    rows = np.concatenate(parts)
    return BoxTable.from_columns(
        found.names,
        rows[:, 0].astype(int),
        rows[:, 1],
        rows[:, 2:6],
        label=rows[:, 6].astype(int),
        score=rows[:, 7],
    )


def _page(
    found: _Found,
    choices: Iterable[key_frame_choice.Choice],
    title: str,
    detector: Detector | None,
) -> str:
    return review_page.render(
        f"Annotation of {title}",
        [
            review_page.KeyFrame(
                found.names[frame.video],
                seconds_text(frame.time),
                frame.jpeg,
                _page_people(found, frame),
            )
            for frame in found.key_frames
        ],
        _by_frequency(found),
        [review_page.Turn(*choice) for choice in choices],
        notes=[_note(detector)],
    )


def _page_people(found: _Found, frame: _KeyFrame) -> list[review_page.Person]:
    ids = np.array(list(found.actions))
    rows = zip(frame.boxes, frame.ids, frame.scores, strict=True)
    return [
        review_page.Person(
            int(number),
            box.tolist(),
            actions,
            {int(ids[c]): float(row[c]) for c in np.flatnonzero(row >= _SHOWN_SCORE)},
        )
        for (box, number, row), actions in zip(
            rows, found.suggested(frame), strict=True
        )
    ]


def _by_frequency(found: _Found) -> dict[int, str]:
    """The actions, the probably most frequent first: these get the digits as keys."""
    total = sum((frame.scores.sum(0) for frame in found.key_frames), np.zeros(1))
    order = (
        np.argsort(-total, kind="stable") if total.any() else range(len(found.actions))
    )
    known = list(found.actions.items())
    return dict(known[i] for i in order)


def _note(detector: Detector | None) -> str:
    if detector is None:
        return "People were found by a detector; nobody has suggested actions."
    learned = f", trained on {detector.trained_on}" if detector.trained_on else ""
    return f"Actions are suggested by {detector.config.name}{learned}."


def _project(found: _Found) -> ToolTable:
    boxes = tuple(
        ToolBox(
            found.names[frame.video],
            tuple(box.tolist()),
            tuple(found.actions[action] for action in actions),
            time=frame.time,
            person=str(number),
        )
        for frame in found.key_frames
        for box, number, actions in zip(
            frame.boxes, frame.ids, found.suggested(frame), strict=True
        )
    )
    return ToolTable(
        path="",
        tool="",
        boxes=boxes,
        key_frames=tuple(
            KeyFrame(found.names[frame.video], frame.time)
            for frame in found.key_frames
            if not len(frame.ids)
        ),
        videos=dict(zip(found.names, found.videos, strict=True)),
        unit="fractions",
        actions={name: i for i, name in found.actions.items()},
    )


def _summary(found: _Found, seconds: float) -> str:
    frames = found.key_frames
    boxes = sum(len(frame.ids) for frame in frames)
    who = len({(frame.video, number) for frame in frames for number in frame.ids})
    length = sum(video.frames / video.fps for video in found.videos)
    return (
        f"{len(frames)} key frames, {boxes} boxes of {who} people; {length:.0f} s of "
        f"video in {seconds:.1f} s. Written:"
    )
