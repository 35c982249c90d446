"""Ids for the names of actions."""

import collections
import difflib
from collections.abc import Iterable, Mapping, Sequence

from ava_jax.annotations.findings import Finding, listed
from ava_jax.annotations.tools import ToolBox, ToolTable
from ava_jax.annotations.tools.names import plain_name
from ava_jax.errors import UserError, join_first


def action_ids(
    tables: Sequence[ToolTable], labels: Mapping[int, str], may_grow: bool
) -> tuple[dict[str, int], dict[int, str], list[Finding]]:
    """Ids of all names that boxes have.

    Without a label map, ids are those of the files, if all have some, or else 1, 2, ...
    in the order in which the tools declare the actions.

    Args:
      tables: of all files.
      labels: a label map; empty: there is none.
      may_grow: whether names that it lacks get new ids.

    Returns:
      Ids by name as in the files, the label map, and notes.

    Raises:
      UserError: a name is not in the label map, or is a number without one.
    """
    boxes = [(table, box) for table in tables for box in table.boxes]
    counts = collections.Counter(name for _, box in boxes for name in box.actions)
    first = {name: (t, box) for t, box in reversed(boxes) for name in box.actions}
    known = dict(labels)
    found, mended, added = {}, [], []
    by_plain = {plain_name(name): i for i, name in labels.items()}
    given = _given_ids(tables, counts)
    for name in _in_order(tables, counts):
        plain = plain_name(name)
        if name in labels.values():
            found[name] = next(i for i, label in labels.items() if label == name)
        elif plain in by_plain:
            found[name] = by_plain[plain]
            mended.append(f"{name!r} is {known[found[name]]!r}")
        elif name.isdecimal():
            found[name] = _by_number(name, labels, *first[name])
        elif labels and not may_grow:
            raise _unknown(name, labels, *first[name])
        else:
            number = given.get(name) if not labels else None
            found[name] = number or max(known, default=0) + 1
            known[found[name]] = name
            by_plain[plain] = found[name]
            added.append(f"{found[name]}: {name}")
    notes = [
        *listed(
            "names of actions that were mended",
            mended,
            "They differ in case, spaces or marks alone.",
            "",
            is_problem=False,
        ),
        *listed(
            "actions that are new in the label map",
            added if labels else [],
            "The others keep their ids.",
            "",
            is_problem=False,
        ),
    ]
    return found, dict(sorted(known.items())), notes


def _in_order(
    tables: Sequence[ToolTable], counts: collections.Counter
) -> Iterable[str]:
    """Names as the tools declare them, then as boxes have them.

    Of names that differ in case alone, the more frequent comes first.
    """
    declared = [name for table in tables for name in table.actions if name in counts]
    every = list(dict.fromkeys([*declared, *counts]))
    best: dict[str, str] = {}
    for name in every:
        other = best.setdefault(plain_name(name), name)
        if counts[name] > counts[other]:
            best[plain_name(name)] = name
    leading = [best[plain_name(name)] for name in every]
    return dict.fromkeys([*leading, *every])


def _given_ids(tables: Sequence[ToolTable], counts: Iterable[str]) -> dict[str, int]:
    """The ids that files have, if every name has one and they agree."""
    given: dict[str, set[int | None]] = collections.defaultdict(set)
    for table in tables:
        for name, number in table.actions.items():
            given[name].add(number)
    ids = {name: next(iter(given[name]), None) for name in counts if given[name]}
    is_clear = all(len(given[name]) == 1 for name in ids) and len(ids) == len(counts)
    if not is_clear or None in ids.values() or len(set(ids.values())) < len(ids):
        return {}
    return ids


def _by_number(
    name: str, labels: Mapping[int, str], table: ToolTable, box: ToolBox
) -> int:
    if int(name) in labels:
        return int(name)
    if labels:
        raise _unknown(name, labels, table, box)
    raise UserError(
        f"{table.path}, {box.place}: found the action {name}, expected to know its "
        "name; give the label map (lines 'id: name'): --labels FILE"
    )


def _unknown(
    name: str, labels: Mapping[int, str], table: ToolTable, box: ToolBox
) -> UserError:
    near = difflib.get_close_matches(name, labels.values(), n=1)
    hint = f" (nearest: {near[0]!r})" if near else ""
    return UserError(
        f"{table.path}, {box.place}: found the action {name!r}, expected one of the "
        f"label map{hint}: {join_first([*labels.values()])}; add it there, correct "
        "it, or name the attributes that are actions: --attributes NAME,..."
    )
