"""What a tool's labels and attributes say: actions, the person, nothing of use."""

import collections
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ava_jax.annotations.findings import Finding, listed

# What data sets and tools call people, in lower case.
_PEOPLE = ("person", "persons", "people", "pedestrian", "pedestrians", "human")
_IGNORED = ("ignore", "ignored", "exclude", "excluded", "dontcare", "crowd")
_IDS = ("id", "entity", "entity_id", "object_id", "person", "person_id", "track")
_IDS += ("track_id", "trackid")
_ACTIONS = ("action", "actions", "activity", "activities", "action_id", "label")
# Of the box and not of what the person does.
_OF_THE_BOX = ("occluded", "outside", "keyframe", "truncated", "difficult", "rotation")
_OF_THE_BOX += ("iscrowd", "is_crowd", "visibility", "confidence", "score", "pose")
_NO_ACTION = ("", "none", "n/a", "-", "__undefined__", "undefined", "_default")
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")
_NUMBER = re.compile(r"-?\d+([.,]\d+)?")


def is_person(label: str) -> bool:
    """Whether a label is what tools call people, and no action."""
    return label.strip().lower() in _PEOPLE


def is_ignored(label: str) -> bool:
    """Whether a label marks regions that are not annotated."""
    return label.strip().lower() in _IGNORED


class Interpreter:
    """Reads labels and attributes of boxes, and keeps in mind what became of them."""

    def __init__(self, only: Sequence[str] = (), ids: Sequence[str] = _IDS):
        """Reads nothing yet.

        Args:
          only: names of the attributes that are actions; empty: all that can be.
          ids: lower-case names of the attributes that tell people apart.
        """
        self._only, self._ids = only, ids
        self._used: dict[str, dict[str, None]] = collections.defaultdict(dict)
        self._left: dict[str, list[str]] = collections.defaultdict(list)

    def read(
        self, label: str, attributes: Mapping[str, Any], place: str = ""
    ) -> tuple[tuple[str, ...], str | None]:
        """Actions, and the person's id.

        Args:
          label: of the box; that of people is no action.
          attributes: by name: a text, a truth value, a list of texts, or an object of
            names to truth values.
          place: of the box, for the notes.

        Returns:
          The names, and the text of an attribute that tells people apart; None: there
          is no such attribute.
        """
        is_action = label and not is_person(label) and not is_ignored(label)
        actions = [label.strip()] if is_action else []
        person = None
        for name, value in attributes.items():
            if not self._only and name.lower() in self._ids:
                person = "" if value is None else str(value)
            elif found := self._actions_of(name, value):
                actions += found
                self._used[name].update(dict.fromkeys(found))
            elif not _is_nothing(value):
                self._left[f"{name}={value}"[:60]].append(place)
        return tuple(dict.fromkeys(actions)), person

    def _actions_of(self, name: str, value: Any) -> list[str]:
        if self._only and name not in self._only:
            return []
        if not self._only and name.lower() in _OF_THE_BOX:
            return []
        if isinstance(value, Mapping):
            return [key for key, chosen in value.items() if _is_true(chosen)]
        if isinstance(value, list | tuple):
            return [str(part).strip() for part in value if not _is_nothing(part)]
        may_be_id = name.lower() in _ACTIONS or name in self._only
        text = str(value).strip()
        if may_be_id and not isinstance(value, bool):
            return [] if text.lower() in _NO_ACTION else _parts(text)
        if _is_true(value):
            return [name]
        if _is_nothing(value) or _NUMBER.fullmatch(text):
            return []
        return _parts(text)

    def notes(self, path: str) -> list[Finding]:
        """Which attributes were taken for actions, and which were left."""
        used = [
            name if list(values) == [name] else f"{name}: {', '.join(values)}"
            for name, values in self._used.items()
        ]
        return [
            *listed(
                "attributes taken as actions",
                used,
                "Their values, or the names of those that are ticked, are actions.",
                "If some are no actions, name those that are: --attributes NAME,...",
                is_problem=False,
            ),
            *listed(
                "attributes left out",
                [f"{path}: {places[0]}, {what}" for what, places in self._left.items()],
                "These are neither an action nor a person's id.",
                "If some are actions, name those: --attributes NAME,...",
                count=sum(map(len, self._left.values())),
                is_problem=False,
            ),
        ]


def _parts(text: str) -> list[str]:
    # Names have commas and slashes in them, as AVA's; no semicolons and bars.
    return [part.strip() for part in re.split(r"[;|]", text) if part.strip()]


def _is_true(value: Any) -> bool:
    return str(value).strip().lower() in _TRUE


def _is_nothing(value: Any) -> bool:
    text = "" if value is None else str(value).strip().lower()
    return text in _NO_ACTION or text in _FALSE or value in ([], {})


def left_shapes(path: str, places: Iterable[tuple[str, str]]) -> list[Finding]:
    """The note about shapes that are no boxes.

    Args:
      path: of the file.
      places: (place, kind of the shape) of all of them.
    """
    return listed(
        "shapes that are no rectangles, left out",
        [f"{path}: {place}, {kind}" for place, kind in places],
        "Only rectangles can be boxes of people.",
        "Draw rectangles around these people.",
        is_problem=False,
    )
