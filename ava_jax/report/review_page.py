"""The page on which people correct the boxes and actions that a machine suggests."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ava_jax.report import page


class Person(NamedTuple):
    """A person at one key frame."""

    number: int  # the same for the same person of a video
    box: Sequence[float]  # x1, y1, x2, y2 as fractions of the frame
    actions: Sequence[int]  # ids of those that are suggested
    scores: Mapping[int, float] = {}  # of actions that may be right, by id


class KeyFrame(NamedTuple):
    """A moment to annotate."""

    video: str
    timestamp: str  # seconds, as the CSV has them
    jpeg: bytes
    people: Sequence[Person]


class Turn(NamedTuple):
    """A key frame's place in the order by usefulness."""

    frame: int  # index into the key frames
    reason: str
    value: float


def render(
    title: str,
    key_frames: Sequence[KeyFrame],
    actions: Mapping[int, str],
    order: Sequence[Turn],
    *,
    notes: Sequence[str] = (),
) -> str:
    """Renders the page as HTML: one file, which needs no network.

    Args:
      title: of the page; the CSV that it saves has its name.
      key_frames: by video, then time.
      actions: id -> name, in the order in which they are listed.
      order: of all key frames, the most useful first.
      notes: sentences above the picture.
    """
    frames = [
        {
            "video": frame.video,
            "time": frame.timestamp,
            "people": [_person(person) for person in frame.people],
        }
        for frame in key_frames
    ]
    known = {"actions": list(actions.items()), "frames": frames}
    return page.render(
        "review.html",
        title=title,
        notes=notes,
        data=known
        | {
            "project": _digest(title, known),
            "title": title,
            "order": [
                [turn.frame, turn.reason, round(turn.value, 3)] for turn in order
            ],
            "pictures": [page.data_url(frame.jpeg) for frame in key_frames],
        },
    )


def _person(person: Person) -> dict:
    return {
        "id": person.number,
        "box": [round(float(edge), 5) for edge in person.box],
        "actions": sorted(person.actions),
        "scores": {str(i): round(score, 2) for i, score in person.scores.items()},
    }


def _digest(title: str, known: Mapping) -> str:
    """Tells this page's corrections from those of other pages, in local storage."""
    text = json.dumps([title, known], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
