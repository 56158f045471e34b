"""The first line of a table, CSV or parquet: which columns it has and how they are parted."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fairlab.data.spreadsheets import restored
from fairlab.errors import Damaged, FairLabError

PARQUET = (".parquet", ".pq")
_HEAD_BYTES = 1 << 20


@dataclass(frozen=True)
class Header:
    """The names of the columns, and how the file is written. separator: "" in parquet; line: of the names, 0 if none;
    padded: blanks stand around the names, so they are cut from all cells; quoted: may cells stand in quotes?"""

    names: tuple[str, ...]
    separator: str
    line: int
    padded: bool = False
    quoted: bool = True

    @property
    def lower(self) -> list[str]:
        """The names in lower case."""
        return [name.lower() for name in self.names]


@contextmanager
def plain_errors(path: Path, kind: str) -> Iterator[None]:
    """Whatever Arrow or the system says of a file, as one FairLabError."""
    try:
        yield
    except FileNotFoundError as error:
        raise FairLabError(f"there is nothing at {path}; check the path") from error
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        said = str(getattr(error, "strerror", None) or error or type(error).__name__).splitlines()[0][:200]
        raise Damaged(f"{path} cannot be read as {kind}: {said}") from error


def first_line(path: Path) -> tuple[int, str]:
    """(number, text) of the first line that is not blank, without its end; (0, "") when there is none.

    Raises FairLabError (cannot be read), Damaged (no UTF-8 text, or a line longer than a megabyte).
    """
    with plain_errors(path, "a table"), open(path, "rb") as handle:
        head = handle.read(_HEAD_BYTES)
    for number, line in enumerate(re.split(rb"\r\n|\n|\r", head), 1):
        if line.removeprefix(b"\xef\xbb\xbf").strip():
            if head.endswith(line) and len(head) == _HEAD_BYTES:
                raise Damaged(f"{path}, line {number}: the line is longer than {_HEAD_BYTES:,} bytes; is this a table?")
            try:
                text = line.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise Damaged(f"{path}, line {number}: this is no UTF-8 text; save the table as UTF-8") from error
            return number, text
    return 0, ""


def read_header(path: Path, required: Collection[str]) -> Header:
    """The columns of a table. The separator is that of comma, tab and semicolon with which most of `required` (in lower
    case) are found, or most columns. Raises FairLabError, Damaged."""
    if path.suffix.lower() in PARQUET:
        with plain_errors(path, "a parquet file"), pa.OSFile(os.fspath(path), "rb") as handle:
            return Header(tuple(map(str, pq.read_schema(handle).names)), "", 0)
    number, line = first_line(path)
    if not number:
        raise Damaged(f"{path} is empty; right would be a table with the names of its columns in the first line")
    found = []
    for separator in ",\t;":
        try:
            fields = next(csv.reader([line], delimiter=separator, strict=True))
        except csv.Error:
            continue
        names = tuple(restored(field.strip()) for field in fields)
        found.append(Header(names, separator, number, any(field != field.strip() for field in fields)))
    if not found:
        raise Damaged(f"{path}, line {number}: the quotes around the names of the columns are wrong")
    return max(found, key=lambda header: (len(set(required) & set(header.lower)), len(header.names)))
