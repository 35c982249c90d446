"""Reads the JSON lines of `ava-jax predict`."""

import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from ava_jax.errors import UserError
from ava_jax.intervals.find import Moment


def read_results(path: str | os.PathLike) -> list[Moment]:
    """The people and scores of each line (`visualization.result_files`).

    Raises:
      UserError: there is no such file, or a line is not one of a key frame.
    """
    try:
        lines = pathlib.Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); give the .jsonl file of ava-jax predict."
        ) from error
    moments: list[Moment] = []
    for number, line in enumerate(lines, 1):
        try:
            moment = _moment(json.loads(line))
            if moments and moment.time <= moments[-1].time:
                raise ValueError(f"a time after {moments[-1].time:g}")
        except ValueError as error:
            expected = "JSON" if isinstance(error, json.JSONDecodeError) else error
            raise UserError(
                f"{path}, line {number}: found {line:.80}; expected {expected}. Give "
                "the .jsonl file of ava-jax predict as it was written."
            ) from error
        moments.append(moment)
    return moments


def _moment(line: Any) -> Moment:
    _check(isinstance(line, dict), "an object with time and people")
    people = line.get("people")
    _check(_is_number(line.get("time")), "a time in seconds")
    _check(isinstance(people, list), "a list of people")
    return Moment(float(line["time"]), dict(map(_person, people)))


def _person(person: Any) -> tuple[int, Mapping[str, float]]:
    is_object = isinstance(person, dict) and isinstance(person.get("actions"), dict)
    _check(is_object, "people with id and actions")
    number, actions = person.get("id"), person["actions"]
    _check(isinstance(number, int), "a whole number as the id of each person")
    are_scores = all(_is_number(x) and 0 <= x <= 1 for x in actions.values())
    _check(are_scores, "scores from 0 to 1")
    return number, actions


def _check(holds: bool, expected: str) -> None:
    if not holds:
        raise ValueError(expected)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
