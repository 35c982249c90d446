"""Values of JSON files, by their path, with errors that name it.

`Node` wraps a value of a JSON file. `node["images"][3].number("width")` raises a
`UserError` that names file, path (`images[3].width`), what was found and expected.
"""

import json
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from ava_jax.errors import UserError

# Far more than a project of annotations has; parsed, it takes some ten times that.
LARGEST_FILE = 1 << 30  # bytes


def read_text(path: str | os.PathLike) -> str:
    """The text of a file, as UTF-8 with or without a byte order mark.

    Raises:
      UserError: it cannot be read, is too large, or is no text.
    """
    path = pathlib.Path(path)
    try:
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise UserError(
                f"{path}: {size / 2**30:.1f} GiB, expected at most "
                f"{LARGEST_FILE >> 30} GiB of annotations; export fewer videos"
            )
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); check the path"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: byte {error.start} is no UTF-8, expected text; export it again "
            "or save it as UTF-8"
        ) from None


class Node:
    """A value of a JSON file.

    Attributes:
      value: the value.
      path: of the file.
      place: of the value in it: 'images[3].width'.
    """

    def __init__(self, value: Any, path: str, place: str = ""):
        self.value, self.path, self.place = value, path, place

    def error(self, expected: str, remedy: str) -> UserError:
        """The error about this value.

        Args:
          expected: what should have been here.
          remedy: what to do.
        """
        found = "nothing" if self.value is _NOTHING else f"{self.value!r:.60}"
        place = self.place or "the whole file"
        return UserError(
            f"{self.path}, {place}: found {found}, expected {expected}; {remedy}"
        )

    def __contains__(self, key: str) -> bool:
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def __getitem__(self, key: str | int) -> "Node":
        """A member; one that is missing is an error when its value is asked for."""
        if isinstance(key, int):
            return Node(self.value[key], self.path, f"{self.place}[{key}]")
        place = f"{self.place}.{key}" if self.place else key
        return Node(self.object().get(key, _NOTHING), self.path, place)

    def object(self) -> dict[str, Any]:
        """The members."""
        return self._checked(dict, "an object")

    def items(self) -> Iterator[tuple[str, "Node"]]:
        """Keys and members of an object."""
        return ((key, self[key]) for key in self.object())

    def list(self) -> Iterator["Node"]:
        """The elements."""
        return (self[i] for i in range(len(self._checked(list, "a list"))))

    def text(self, default: str | None = None) -> str:
        """A text, or a number as text."""
        if self.value is _NOTHING and default is not None:
            return default
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            return str(self.value)
        return self._checked(str, "a text")

    def number(self, default: float | None = None) -> float:
        """A finite number, or one that is written as text."""
        if self.value is _NOTHING and default is not None:
            return default
        try:
            value = math.nan if isinstance(self.value, bool) else float(self.value)
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if not math.isfinite(value):
            raise self.error("a number", _AGAIN)
        return value

    def whole(self, default: int | None = None) -> int:
        """A whole number."""
        value = self.number(default)
        if value != int(value):
            raise self.error("a whole number", _AGAIN)
        return int(value)

    def _checked(self, kind: type, noun: str) -> Any:
        if not isinstance(self.value, kind):
            raise self.error(noun, _AGAIN)
        return self.value


_AGAIN = "export it again, or correct it there"
_NOTHING = object()


def parse(path: str, text: str, place: str = "") -> Node:
    """The value of a text of JSON.

    Raises:
      UserError: it is none, or nested too deep.
    """
    try:
        return Node(json.loads(text), path, place)
    except RecursionError:
        reason = "nested too deep"
    except ValueError as error:
        reason = str(error)
    where = f"{path}, {place}" if place else path
    raise UserError(
        f"{where}: found no JSON ({reason}), expected a whole file of the tool; "
        "export it again"
    )


def read(path: str | os.PathLike) -> Node:
    """The value of a JSON file.

    Raises:
      UserError: it cannot be read, is too large, is no JSON, or nested too deep.
    """
    return parse(os.fspath(path), read_text(path))
