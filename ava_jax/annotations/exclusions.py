"""Key frames that AVA leaves out of training and evaluation."""

import os

from ava_jax.annotations.text_files import parse_number, read_rows
from ava_jax.errors import UserError


def read_exclusions(path: str | os.PathLike) -> set[tuple[str, float]]:
    """Reads the key frames that are left out: rows `video,timestamp`.

    Raises:
      UserError: no such file, or a row that is not of this form.
    """
    path = os.fspath(path)
    excluded = set()
    for line, fields in read_rows(path):
        seconds = parse_number(fields[1]) if len(fields) == 2 else None
        if seconds is None or not fields[0]:
            raise UserError(
                f"{path}, line {line}: {','.join(fields)[:60]!r}, expected "
                "video,timestamp with the timestamp in seconds"
            )
        excluded.add((fields[0], seconds))
    return excluded
