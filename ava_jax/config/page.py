"""The fields of a configuration as text: name, default, values and meaning.

python -m ava_jax.config.page > docs/configuration.md
"""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

from ava_jax.config import fields
from ava_jax.config.ranges import RANGES

# Section -> the function that has its fields and their comments.
_SECTIONS = {
    "": fields.default,
    "model": fields.model,
    "data": fields.data,
    "data.train": fields.split,
    "optim": fields.optim,
    "train": fields.train,
    "eval": fields.evaluation,
}
_FIELD = re.compile(r" *config\.(\w+) = .*?(?:  # (.*))?")


@dataclasses.dataclass(frozen=True)
class Field:
    """A field: its dotted name, default, values that it may have, and meaning."""

    name: str
    default: Any
    expected: str
    meaning: str


def sections() -> Iterator[tuple[str, str, list[Field]]]:
    """(name, description, fields) of every section, in the order of their source."""
    defaults = fields.default()
    for section, function in _SECTIONS.items():
        prefix = section and f"{section}."
        values = defaults.to_dict()
        for part in section.split(".") if section else ():
            values = values[part]
        found = [
            Field(prefix + name, values[name], RANGES[prefix + name].expected, meaning)
            for name, meaning in _meanings(function)
            if not isinstance(values[name], dict)
        ]
        yield section, inspect.getdoc(function), found


def _meanings(function: Any) -> Iterator[tuple[str, str]]:
    """(field, meaning): the comment after it, or the lines of comments above it."""
    above = []
    for line in inspect.getsource(function).splitlines():
        if (text := line.strip()).startswith("# "):
            above.append(text[2:])
        elif match := _FIELD.fullmatch(line):
            yield match[1], " ".join(filter(None, [*above, match[2]]))
            above = []
        else:
            above = []


def as_text() -> str:
    """For a terminal."""
    lines = []
    for section, description, found in sections():
        lines += ["", f"{section or 'top level'}: {description.splitlines()[0]}"]
        for field in found:
            lines.append(f"  --config.{field.name}={_shown(field.default)}")
            lines += [f"      {t}" for t in (field.meaning, _values(field)) if t]
    return "\n".join(lines[1:]) + "\n"


def as_markdown() -> str:
    """docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "Every field with its default. `--config.FIELD=VALUE` changes one, such as "
        '`--config.train.batch=8` or `--config.data.train_short_side="(224, 256)"`; '
        "recipes in `configs/` change several. All values are checked first. "
        "`python -m ava_jax.main --help-config` prints this list.",
    ]
    for section, description, found in sections():
        lines += ["", f"## {section or 'Top level'}", "", description.splitlines()[0]]
        lines += [
            "",
            "| field | default | values | meaning |",
            "| --- | --- | --- | --- |",
        ]
        for field in found:
            cells = f"`{field.name}`", f"`{_shown(field.default)}`", field.expected
            lines.append(f"| {' | '.join((*cells, field.meaning))} |")
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    return repr(value) if value == "" else str(value)


def _values(field: Field) -> str:
    return field.expected and f"Values: {field.expected}."


if __name__ == "__main__":
    print(as_markdown(), end="")
