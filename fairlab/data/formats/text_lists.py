"""Text lists as data sets come with them: lines, separators, numbers and image paths, errors by file and line."""

from __future__ import annotations

import csv
from pathlib import Path

from fairlab.errors import Damaged, FairLabError
from fairlab.reading.table_text import decoded

MAX_BYTES = 256 << 20

MAX_LINE = 1 << 20

Row = tuple[int, list[str]]
"""The number of a line in its file, from 1, and its fields."""


def wrong(path: Path, line: int, message: str) -> Damaged:
    """The error to raise for a line."""
    return Damaged(f"{path}, line {line}: {message}")


def _text(path: Path) -> str:
    """A text file, lines ended by \\n. Raises FairLabError (cannot be read, too large), Damaged (no text)."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FairLabError(f"{path} is larger than {MAX_BYTES:,} bytes; expected a text list of images or pairs")
        content = path.read_bytes()
    except OSError as error:
        raise FairLabError(f"could not read {path}: {error.strerror or error}") from error
    return decoded(path, content)


def read_rows(path: Path) -> tuple[str, list[Row]]:
    """(separator, the lines that are not blank, split). The separator is the first of tab, semicolon and comma that most
    of the first lines hold, so that one wrong line is said to be wrong; else white space. Raises FairLabError, Damaged.
    """
    lines = [(number, line) for number, line in enumerate(_text(path).split("\n"), 1) if line.strip()]
    if not lines:
        raise Damaged(f"{path} is empty; expected a text list with one pair or image per line")
    too_long = next((number for number, line in lines if len(line) > MAX_LINE), 0)
    if too_long:
        raise wrong(path, too_long, f"the line has more than {MAX_LINE:,} letters; is this a table?")
    first = [line.strip() for _, line in lines[:20]]
    if len(first) > 1 and is_number(first[0]):  # the header of an LFW list without folds
        del first[0]
    separator = next((mark for mark in "\t;," if 2 * sum(mark in line for line in first) > len(first)), " ")
    if separator == " ":
        return separator, [(number, line.split()) for number, line in lines]
    if separator == "\t":  # names may hold quotes and commas; nobody quotes in lists with tabs
        return separator, [(number, [field.strip() for field in line.split("\t")]) for number, line in lines]
    rows = []
    for number, line in lines:
        try:
            fields = next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True))
        except csv.Error as error:
            why = (
                "the quotes are wrong: one is not closed on this line, and line breaks inside cells are not supported"
                if "end of data" in str(error)
                else f"the quotes are wrong ({error})"
            )
            raise wrong(path, number, why) from error
        rows.append((number, [field.strip() for field in fields]))
    return separator, rows


def is_number(field: str) -> bool:
    """Is it a whole number from 0 of at most nine digits?"""
    return field.isascii() and field.isdigit() and len(field) < 10


def number_in(path: Path, line: int, field: str) -> int:
    """The number in a field. Raises Damaged."""
    if not is_number(field):
        raise wrong(path, line, f"{field[:40]!r} is not a number of 0 or more")
    return int(field)


def fields_of(path: Path, row: Row, *counts: int) -> list[str]:
    """The fields of a row without empty ones at its end. Raises Damaged when there are not `counts`, or one is empty."""
    line, fields = row[0], trimmed(row[1])
    if len(fields) not in counts or not all(fields):
        found = f"{len(fields)} fields" if all(fields) else "an empty field"
        raise wrong(path, line, f"{found}, expected {' or '.join(map(str, counts))} fields")
    return fields


def trimmed(fields: list[str]) -> list[str]:
    """The fields without empty ones at the end, which tables saved as CSV have where other rows are longer."""
    count = len(fields)
    while count and not fields[count - 1]:
        count -= 1
    return fields[:count]


def image_path(path: Path, line: int, name: str) -> str:
    """A listed path with "/" between its parts. Raises Damaged when it could leave the folder of images."""
    name = name.replace("\\", "/")
    if name.startswith("/") or name[1:2] == ":" or any(part in ("", ".", "..") for part in name.split("/")):
        raise wrong(path, line, f"{name[:80]!r} is not a path inside the image folder, such as id/id_0001.jpg")
    return name
