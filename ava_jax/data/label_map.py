"""Label maps: the names of the actions by their ids."""

import os
import re
from collections.abc import Iterator

from ava_jax.data.text_files import read_lines
from ava_jax.errors import UserError

_LABEL_TOKEN = re.compile(
    r"""(?P<brace>[{}])
      | (?<![\w])name\s*:\s*(?P<quote>["'])(?P<name>(?:\\.|(?!(?P=quote)).)*)(?P=quote)
      | (?<![\w])(?:label_)?id\s*:\s*(?P<id>-?\d+)
    """,
    re.VERBOSE,
)
_LABEL_LINE = re.compile(r"\s*(\d+)\s*:\s*(\S.*?)\s*$")


def read_labels(path: str | os.PathLike) -> dict[int, str]:
    """Reads a label map: action id to name, in the order of the file.

    Args:
      path: `item { name id }` or `label { name label_id label_type }` blocks
        with any line breaks or none, or lines `id: name`.

    Returns:
      The names by id; ids are 1 or more.

    Raises:
      UserError: no labels, an incomplete block, an id given twice or below 1.
    """
    path = os.fspath(path)
    text = "".join(read_lines(path))
    parse = _parse_label_blocks if "{" in text else _parse_label_lines
    labels: dict[int, str] = {}
    for line, label, name in parse(path, text):
        if label < 1:
            raise UserError(
                f"{path}, line {line}: action id {label}, expected 1 or more "
                "(class 0 is reserved); number the labels from 1"
            )
        if label in labels:
            raise UserError(
                f"{path}, line {line}: action id {label} again ({name!r}; before: "
                f"{labels[label]!r}); each id may be given once"
            )
        labels[label] = name
    if not labels:
        raise UserError(
            f'{path}: no labels found, expected blocks like \'item {{ name: "stand" '
            "id: 12 }' or lines like '12: stand'"
        )
    return labels


def _parse_label_blocks(path: str, text: str) -> Iterator[tuple[int, int, str]]:
    line, position = 1, 0
    name = label = None
    for token in _LABEL_TOKEN.finditer(text):
        line += text.count("\n", position, token.start())
        position = token.start()
        if token["name"] is not None:
            name = re.sub(r"\\(.)", r"\1", token["name"])
        elif token["id"] is not None:
            label = int(token["id"])
        elif token["brace"] == "{":
            name = label = None
        elif name is None or label is None:
            missing = "name" if name is None else "id"
            raise UserError(
                f"{path}, line {line}: the block that ends here has no {missing}; "
                "expected 'name: \"...\"' and 'id: ...' or 'label_id: ...'"
            )
        else:
            yield line, label, name


def _parse_label_lines(path: str, text: str) -> Iterator[tuple[int, int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = _LABEL_LINE.match(line)
        if not match:
            raise UserError(
                f"{path}, line {number}: {line.strip()[:60]!r}, expected a label "
                "like '12: stand'"
            )
        yield number, int(match[1]), match[2]
