"""Text files as people have them: gzipped, damaged, or not text at all."""

import csv
import gzip
import math
import zlib
from collections.abc import Iterator

from ava_jax.errors import UserError


def read_lines(path: str) -> Iterator[str]:
    """The lines of a text file, gzipped or not, with their ends.

    Bytes that are not UTF-8 are replaced.

    Raises:
      UserError: no such file, damaged, or not text.
    """
    opener = gzip.open if is_gzip(path) else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", errors="replace") as file:
            for line in file:
                if "\0" in line:
                    raise UserError(f"{path}: not a text file; expected lines of text")
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path}: damaged ({error}); fetch or make the file again"
        ) from None


def is_gzip(path: str) -> bool:
    """Whether the file is gzipped, by its content.

    Raises:
      UserError: no such file.
    """
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"\x1f\x8b"
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); check the path"
        ) from None


def read_pickled(path: str) -> bytes | None:
    """The content of a pickle; None if the file is no pickle.

    Raises:
      UserError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(2)
            # Protocols 2 to 5 begin with the first; 0 and 1 with one of the others.
            if head[:1] == b"\x80" or head in (b"(d", b"(l", b"}q", b"]q"):
                return head + file.read()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); check the path"
        ) from None
    return None


def read_rows(path: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, stripped fields) of the lines that are not blank."""
    for number, line in enumerate(read_lines(path), 1):
        fields = split_row(line)
        if any(fields):
            yield number, fields


def split_row(line: str) -> list[str]:
    """The stripped fields of one line of CSV."""
    # Line by line, so a quote that is never closed harms its line alone.
    fields = next(csv.reader([line]), []) if '"' in line else line.split(",")
    return [field.strip() for field in fields]


def parse_number(text: str) -> float | None:
    """The number that `text` spells; None where it spells none, or NaN."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
