"""XML of unknown origin as a tree whose elements know their lines.

Document types are refused, and with them every entity of the file's own: no tool
writes them, and they make a small file expand without limit or read other files.
"""

import dataclasses
import math
import os
from collections.abc import Iterator
from xml.parsers import expat

from ava_jax.annotations.tools.fields import read_text
from ava_jax.errors import UserError

_DEEPEST = 50  # levels; CVAT's have 8


@dataclasses.dataclass
class Element:
    """An element.

    Attributes:
      path: of the file.
      tag: its name.
      attributes: by name.
      line: where it begins.
      children: the elements in it.
      text: what is in it outside its children, stripped.
    """

    path: str
    tag: str
    attributes: dict[str, str]
    line: int
    children: list["Element"] = dataclasses.field(default_factory=list)
    text: str = ""

    @property
    def place(self) -> str:
        """For messages, without the file."""
        return f"line {self.line}"

    def error(self, name: str, found: str | None, expected: str) -> UserError:
        """The error about an attribute or child `name`; found None: it is missing."""
        shown = "nothing" if found is None else f"{found!r:.60}"
        return UserError(
            f"{self.path}, line {self.line}, {name} of <{self.tag}>: found {shown}, "
            f"expected {expected}; export it again, or correct it there"
        )

    def all(self, *tags: str) -> Iterator["Element"]:
        """The children of these names."""
        return (child for child in self.children if child.tag in tags)

    def find(self, path: str) -> "Element | None":
        """The first element at a path such as 'meta/task/name'; None: there is none."""
        tag, _, rest = path.partition("/")
        child = next(self.all(tag), None)
        return child.find(rest) if child and rest else child

    def value(self, path: str) -> str:
        """The text of the element at a path; '' if there is none."""
        found = self.find(path)
        return found.text if found else ""

    def text_of(self, name: str) -> str:
        """An attribute, which must be there."""
        if not self.attributes.get(name):
            raise self.error(name, self.attributes.get(name), "a name")
        return self.attributes[name]

    def number(self, name: str) -> float:
        """An attribute, or else the text of a child, as a finite number."""
        text = self.attributes.get(name)
        if text is None and (child := self.find(name)):
            text = child.text
        try:
            value = float(text)
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise self.error(name, text, "a number")
        return value

    def whole(self, name: str) -> int:
        """An attribute, or else the text of a child, as a whole number."""
        value = self.number(name)
        if value != int(value):
            raise self.error(name, f"{value:g}", "a whole number")
        return int(value)


def read(path: str | os.PathLike) -> Element:
    """The root of an XML file.

    Raises:
      UserError: it cannot be read, is too large, no XML, nested too deep, or has a
        document type.
    """
    path = os.fspath(path)
    text = read_text(path)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    builder = _Builder(path, parser)
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise UserError(
            f"{path}, line {error.lineno}: found no XML "
            f"({expat.ErrorString(error.code)}), expected a whole file of the tool; "
            "export it again"
        ) from None
    return builder.root.children[0]


class _Builder:
    """Takes the events of a parser."""

    def __init__(self, path: str, parser):
        self.root = Element(path, "", {}, 0)
        self._open = [self.root]
        self._parser = parser
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        parser.StartDoctypeDeclHandler = self._refuse

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        line = self._parser.CurrentLineNumber
        if len(self._open) > _DEEPEST:
            raise UserError(
                f"{self.root.path}, line {line}: found {len(self._open)} elements in "
                f"one another, expected at most {_DEEPEST}; export it again"
            )
        element = Element(self.root.path, tag, attributes, line)
        self._open[-1].children.append(element)
        self._open.append(element)

    def _end(self, tag: str) -> None:
        element = self._open.pop()
        element.text = element.text.strip()

    def _data(self, text: str) -> None:
        self._open[-1].text += text

    def _refuse(self, *declaration) -> None:
        raise UserError(
            f"{self.root.path}, line {self._parser.CurrentLineNumber}: found a "
            "document type (<!DOCTYPE ...>), expected none: it can define entities, "
            "which are not read from files of others; delete the declaration"
        )
