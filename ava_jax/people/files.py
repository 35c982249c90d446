"""Boxes of people that were found before: by time, from a file."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ava_jax import files
from ava_jax.annotations import BoxTable, raise_problems
from ava_jax.annotations.box_checks import (
    check_people,
    check_position,
)
from ava_jax.annotations.coco import image_seconds
from ava_jax.annotations.proposals import read_proposals
from ava_jax.errors import UserError, join_first
from ava_jax.people.boxes import PERSON_NAMES, checked_boxes

_LONE_SPACING = 1.0  # seconds; of a file with one time, as AVA's key frames


@dataclasses.dataclass(frozen=True)
class PeopleByTime:
    """The boxes of one video.

    Attributes:
      times: (T,) seconds, rising.
      boxes: for every time (N, 5) float32: x1, y1, x2, y2 in pixels and score.
    """

    times: np.ndarray
    boxes: tuple[np.ndarray, ...]

    def __repr__(self) -> str:
        count = sum(map(len, self.boxes))
        first, last = self.times[0], self.times[-1]
        return (
            f"PeopleByTime({count:,} boxes, {len(self.times):,} times from {first:g} "
            f"to {last:g} s)"
        )

    def at(self, time: float) -> np.ndarray:
        """The boxes of the nearest time, (N, 5).

        Nobody, if that is further away than half the file's spacing: the median
        of the steps between its times, 1 s if it has only one.
        """
        steps = np.diff(self.times)
        spacing = np.median(steps) if len(steps) else _LONE_SPACING
        nearest = int(np.argmin(np.abs(self.times - time)))
        # Times may be written with three digits only.
        if abs(self.times[nearest] - time) > spacing / 2 + 1e-3:
            return np.zeros((0, 5), np.float32)
        return self.boxes[nearest]


def read_people(
    path: str | os.PathLike,
    width: int,
    height: int,
    video: str | None = None,
    threshold: float = 0.0,
) -> PeopleByTime:
    """Reads the boxes of people in one video.

    Args:
      path: AVA's CSV of boxes or detections (or Parquet), MMAction2's pickle of
        proposals, or COCO's JSON of annotations, whose images have their time as
        `timestamp` or `time` in seconds, or as `frame_id` (from 0) of one of its
        `videos` with an `fps`.
      width: of the video's frames, pixels.
      height: of the video's frames, pixels.
      video: which one, if the file is of several.
      threshold: boxes with a lower score are left out.

    Raises:
      UserError: the file cannot be read, has no boxes, or none of this video; a box
        is inverted, off the frame, or in the wrong unit.
    """
    path = os.fspath(path)
    is_json = path.endswith(".json")
    by_video = _read_coco(path) if is_json else _read_ava(path)
    people = _choose(path, by_video, video)
    times = sorted(people)
    scale = np.array([width, height, width, height, 1])
    boxes = [people[time][people[time][:, 4] >= threshold] for time in times]
    return PeopleByTime(
        np.array(times, np.float64),
        tuple((rows * scale).astype(np.float32) for rows in boxes),
    )


# Video -> seconds -> (N, 5): boxes in fractions of the frame, and scores.
_ByVideo = dict[str, dict[float, np.ndarray]]


def _choose(path: str, by_video: _ByVideo, video: str | None) -> dict:
    if not by_video:
        raise UserError(f"{path}: no boxes; expected those of the video's people")
    if len(by_video) == 1:
        return next(iter(by_video.values()))
    if video not in by_video:
        raise UserError(
            f"{path}: boxes of {len(by_video)} videos ({join_first(list(by_video))}), "
            f"none of which is {video!r}; name the video as the file does, or keep its "
            "rows only"
        )
    return by_video[video]


def _read_ava(path: str) -> _ByVideo:
    proposals = read_proposals(path)
    table = BoxTable.from_frames(proposals, path)
    raise_problems([*check_people(table, "boxes"), *check_position(table)])
    by_video: _ByVideo = {}
    for (video, seconds), boxes in proposals.items():
        by_video.setdefault(video, {})[seconds] = boxes
    return by_video


def _read_coco(path: str) -> _ByVideo:
    content = files.read_json(path)
    try:
        return _coco_boxes(path, content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path}: not COCO's format ({type(error).__name__}: {error}); expected "
            "an object with `images` (id, width, height, timestamp), `annotations` "
            "(image_id, category_id, bbox as x, y, width, height, perhaps score) and "
            "`categories`"
        ) from None


def _coco_boxes(path: str, content: Mapping[str, Any]) -> _ByVideo:
    people = _person_ids(path, content)
    videos = {video["id"]: video for video in content.get("videos", ())}
    rows: dict[Any, list[list[float]]] = {
        image["id"]: [] for image in content["images"]
    }
    for note in content["annotations"]:
        if note["category_id"] in people and not note.get("iscrowd"):
            x, y, width, height = note["bbox"]
            row = [x, y, x + width, y + height, note.get("score", 1.0)]
            rows[note["image_id"]].append(row)
    by_video: _ByVideo = {}
    for image in content["images"]:
        video = videos.get(image.get("video_id"), {})
        size = image["width"], image["height"]
        boxes = np.array(rows[image["id"]], np.float64).reshape(-1, 5)
        checked_boxes(boxes, size, f"{path}: image {image['id']}: boxes")
        boxes /= [*size, *size, 1]
        times = by_video.setdefault(str(video.get("name", "")), {})
        times[image_seconds(path, image, video)] = boxes
    return by_video


def _person_ids(path: str, content: Mapping[str, Any]) -> set[int]:
    """Category ids of people: those of that name, else COCO's own."""
    categories = content.get("categories") or [{"id": 1, "name": "person"}]
    people = {
        category["id"]
        for category in categories
        if category["name"].strip().lower() in PERSON_NAMES
    }
    if not people:
        names = join_first([category["name"] for category in categories])
        raise UserError(
            f"{path}: none of its {len(categories)} categories is a person ({names}); "
            f"call that of people {PERSON_NAMES[0]!r}. If they are people's actions, "
            "write the boxes in a file of their own, with that category."
        )
    return people
