"""Label maps: the names of the actions by their ids, and their groups."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

from ava_jax.annotations.ava_actions import AVA_ACTIONS, action_type
from ava_jax.annotations.text_files import read_lines
from ava_jax.errors import UserError, join_first

_LABEL_TOKEN = re.compile(
    r"""(?P<brace>[{}])
      | (?<![\w])name\s*:\s*(?P<quote>["'])(?P<name>(?:\\.|(?!(?P=quote)).)*)(?P=quote)
      | (?<![\w])(?:label_)?id\s*:\s*(?P<id>-?\d+)
      | (?<![A-Za-z_])label_type\s*:\s*(?P<type>\w+)
    """,
    re.VERBOSE,
)
_LABEL_LINE = re.compile(r"\s*(\d+)\s*:\s*(\S.*?)\s*$")


# How the report calls AVA's three types; other types keep their names.
_GROUPS = {
    "PERSON_MOVEMENT": "pose",
    "OBJECT_MANIPULATION": "object",
    "PERSON_INTERACTION": "person",
}


class _Label(NamedTuple):
    """One entry of a label map, and the line where it ends."""

    line: int
    id: int
    name: str
    type: str | None = None


def read_labels(path: str | os.PathLike, first_label: int = 1) -> dict[int, str]:
    """Reads a label map: action id to name, in the order of the file.

    Args:
      path: `item { name id }` or `label { name label_id label_type }` blocks
        with any line breaks or none; lines `id: name`; or a JSON object of names to
        ids, as PySlowFast has it, or of ids to names; or `labels.json` of a working
        directory. PySlowFast's own file of AVA's actions counts from 0; its ids
        are one higher here, as in AVA's annotations.
      first_label: the lowest id that the file may have; see `read_boxes`.

    Returns:
      The names by id; ids are 1 or more.

    Raises:
      UserError: no labels, an incomplete block, an id given twice or too low.
    """
    labels = _read(os.fspath(path), first_label)
    return {label.id + 1 - first_label: label.name for label in labels}


def read_action_groups(path: str | os.PathLike) -> dict[str, list[int]]:
    """Reads which actions of a label map belong together, as AVA groups them.

    An action's group is its `label_type`: 'pose' for AVA's PERSON_MOVEMENT,
    'object' for OBJECT_MANIPULATION, 'person' for PERSON_INTERACTION. AVA's shorter
    lists, which have no types, are known by their actions: one that has the id and
    the name of an action of AVA has its type too. Others belong to no group.

    Args:
      path: as `read_labels` takes it.

    Returns:
      Action ids by group.

    Raises:
      UserError: see `read_labels`.
    """
    groups: dict[str, list[int]] = {}
    for label in _read(os.fspath(path)):
        kind = label.type or action_type(label.id, label.name)
        if kind:
            groups.setdefault(_GROUPS.get(kind, kind), []).append(label.id)
    return groups


def _read(path: str, first_label: int = 1) -> list[_Label]:
    text = "".join(read_lines(path))
    labels: dict[int, _Label] = {}
    for label in _parser(text)(path, text):
        if label.id < first_label:
            raise UserError(
                f"{path}, line {label.line}: action id {label.id}, expected "
                f"{first_label} or more; number the labels from {first_label}"
                + (" (class 0 is reserved)" if first_label else "")
            )
        if label.id in labels:
            raise UserError(
                f"{path}, line {label.line}: action id {label.id} again "
                f"({label.name!r}; before: {labels[label.id].name!r}); each id may be "
                "given once"
            )
        labels[label.id] = label
    if not labels:
        raise UserError(
            f'{path}: no labels found, expected blocks like \'item {{ name: "stand" '
            "id: 12 }', lines like '12: stand', or JSON like '{\"stand\": 12}'"
        )
    return list(labels.values())


def _parser(text: str) -> Callable[[str, str], Iterator[_Label]]:
    if text.lstrip().startswith(("{", "[")):
        return _parse_json
    return _parse_label_blocks if "{" in text else _parse_label_lines


def _parse_json(path: str, text: str) -> Iterator[_Label]:
    try:
        # As pairs: of a name that is given twice, an object would hold the last id.
        pairs = json.loads(text, object_pairs_hook=tuple)
    except ValueError as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})") from None
    members = pairs if isinstance(pairs, tuple) else ("a list",)
    match dict(members) if isinstance(pairs, tuple) else {}:
        case {"dataset": str(), "actions": tuple(actions)}:  # see `labels_file`
            members = actions
    entries = [_json_entry(member) for member in members]
    if None in entries:
        raise UserError(
            f"{path}: found {members[entries.index(None)]!s:.60}, expected an object "
            "of names to ids like '{\"stand\": 12}', or of ids to names like "
            '\'{"12": "stand"}\''
        )
    # The names prove it; ids of other actions from 0 can be a mistake.
    if all(0 <= i < len(AVA_ACTIONS) and AVA_ACTIONS[i] == name for i, name in entries):
        entries = [(i + 1, name) for i, name in entries]
    for i, name in entries:
        position = max(text.find(json.dumps(name)), 0)
        yield _Label(text.count("\n", 0, position) + 1, i, name)


def _json_entry(pair: Any) -> tuple[int, str] | None:
    """Id and name of a member of a JSON object; None if it is neither form."""
    match pair:
        case (str(name), int(i)) if not isinstance(i, bool):
            return i, name
        case (str(i), str(name)) if i.isdecimal():
            return int(i), name
    return None


def _parse_label_blocks(path: str, text: str) -> Iterator[_Label]:
    line, position = 1, 0
    name = label = kind = None
    for token in _LABEL_TOKEN.finditer(text):
        line += text.count("\n", position, token.start())
        position = token.start()
        if token["name"] is not None:
            name = re.sub(r"\\(.)", r"\1", token["name"])
        elif token["id"] is not None:
            label = int(token["id"])
        elif token["type"] is not None:
            kind = token["type"]
        elif token["brace"] == "{":
            name = label = kind = None
        elif name is None or label is None:
            missing = "name" if name is None else "id"
            raise UserError(
                f"{path}, line {line}: the block that ends here has no {missing}; "
                "expected 'name: \"...\"' and 'id: ...' or 'label_id: ...'"
            )
        else:
            yield _Label(line, label, name, kind)


def _parse_label_lines(path: str, text: str) -> Iterator[_Label]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = _LABEL_LINE.match(line)
        if not match:
            raise UserError(
                f"{path}, line {number}: {line.strip()[:60]!r}, expected a label "
                "like '12: stand'"
            )
        yield _Label(number, int(match[1]), match[2])


def scored_ids(class_ids: Sequence[int], num_classes: int) -> tuple[int, ...]:
    """Action ids of classes 1, 2, ...

    Args:
      class_ids: `config.data.class_ids`; empty: all.
      num_classes: `config.model.num_classes`, class 0 included.
    """
    return tuple(class_ids) or tuple(range(1, num_classes))


def count_classes(
    num_classes: int, class_ids: Sequence[int], path: str | os.PathLike
) -> int:
    """Number of classes, class 0 included, where the configuration leaves it open.

    Args:
      num_classes: `config.model.num_classes`; 0: those of `class_ids`, or the ids up to
        the highest one of the label map.
      class_ids: see `scored_ids`.
      path: of the label map.

    Raises:
      UserError: the label map is needed, and cannot be read.
    """
    if num_classes:
        return num_classes
    if class_ids:
        return len(class_ids) + 1
    try:
        return max(read_labels(path)) + 1
    except UserError as error:
        raise UserError(
            f"{error}. The model has as many classes as the label map. Give the folder "
            "of the data set, --config.data.root=DIR, or the highest action id plus "
            "one, --config.model.num_classes=N."
        ) from error


def class_names(
    class_ids: Sequence[int],
    num_classes: int,
    labels: Mapping[int, str] | None = None,
    path: str = "The label map",
) -> dict[str, str]:
    """Action id -> name of classes 1, 2, ..., in this order.

    Args:
      class_ids: see `scored_ids`.
      num_classes: see `scored_ids`.
      labels: action id -> name; None: AVA's names. Ids that these lack are their own
        names.
      path: of the labels, for messages.

    Raises:
      UserError: the labels are those of other classes.
    """
    if labels is None:
        labels = dict(enumerate(AVA_ACTIONS, 1))
    else:
        _check_names(class_ids, num_classes - 1, labels, path)
    return {str(i): labels.get(i, str(i)) for i in scored_ids(class_ids, num_classes)}


def multisports_actions() -> list[str]:
    """The 66 actions of MultiSports, in the order of its classes."""
    names = resources.files("ava_jax.annotations").joinpath("multisports.txt")
    return names.read_text().splitlines()


def _check_names(class_ids, last, labels, path) -> None:
    missing = sorted(set(class_ids) - set(labels))
    if missing:
        raise UserError(
            f"{path} has no name for the actions {missing}, which the model scores."
        )
    # AVA's own label maps leave out ids, but not the last one.
    if not class_ids and max(labels) != last:
        hint = (
            " Does the head have no output for class 0 (MMAction2's "
            "background_class=False)? Then it is read with "
            f"--config.model.num_classes={last + 2} --no-background-class."
            if max(labels) == last + 1
            else ""
        )
        raise UserError(
            f"{path} names actions up to {max(labels)}, but the model scores 1 to "
            f"{last}: config.model.num_classes is {last + 1}, class 0 included. Give "
            f"the label map that the model was trained with.{hint}"
        )


def assumed_names(class_ids: Sequence[int], num_classes: int) -> str:
    """What to say where `class_names` has no labels and gives AVA's names.

    Args:
      class_ids: see `scored_ids`.
      num_classes: see `scored_ids`.
    """
    names = list(class_names(class_ids, num_classes).values())
    return (
        f"No label map was given: the {len(names)} actions have AVA's names "
        f"({join_first(names)}). If they are other actions, give their names: "
        "--labels FILE"
    )
