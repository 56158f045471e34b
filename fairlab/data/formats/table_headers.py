"""The first line of a table, CSV or parquet: which columns it has and how they are parted."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fairlab.data.formats.spreadsheets import restored
from fairlab.errors import Damaged, FairLabError
from fairlab.reading.table_text import encoding_of, split_header

PARQUET = (".parquet", ".pq")
_HEAD_BYTES = 1 << 20


@dataclass(frozen=True)
class Header:
    """The names of the columns, and how the file is written."""

    names: tuple[str, ...]
    separator: str
    """Between cells; "" in parquet."""
    line: int
    """The line of the names, from 1; 0 if there is none."""
    padded: bool = False
    """Do blanks stand around the names? Then they are cut from all cells."""
    quoted: bool = True
    """May cells stand in quotes?"""
    encoding: str = "utf-8"

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
        raise FairLabError(f"{path} does not exist; check the path") from error
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        said = str(getattr(error, "strerror", None) or error or type(error).__name__).splitlines()[0][:200]
        raise Damaged(f"{path} cannot be read as {kind}: {said}") from error


def first_line(path: Path) -> tuple[int, str, str]:
    """(number, text, encoding) of the first line that is not blank, without its end; (0, "", ...) when there is none.

    Raises FairLabError (cannot be read), Damaged (no text, or a line longer than a megabyte).
    """
    with plain_errors(path, "a table"), open(path, "rb") as handle:
        head = handle.read(_HEAD_BYTES)
    encoding = encoding_of(head)
    if encoding.startswith("utf-8"):
        lines = re.split(rb"\r\n|\n|\r", head)
    else:  # as UTF-8; the last character may be cut
        text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
        lines = [line.encode("utf-8", "replace") for line in re.split("\r\n|\n|\r", text)]
    for number, line in enumerate(lines, 1):
        if line.removeprefix(codecs.BOM_UTF8).strip():
            if number == len(lines) and len(head) == _HEAD_BYTES:
                raise Damaged(f"{path}, line {number}: the line is longer than {_HEAD_BYTES:,} bytes; is this a table?")
            try:
                return number, line.decode("utf-8-sig"), encoding
            except UnicodeDecodeError as error:
                raise Damaged(f"{path}, line {number}: this is not UTF-8 text; save the table as UTF-8") from error
    return 0, "", encoding


def read_header(path: Path, wanted: Collection[str]) -> Header:
    """The columns of a table. The separator is that of comma, tab and semicolon with which most of `wanted` (in lower
    case) are there, or most columns. Raises FairLabError, Damaged."""
    if path.suffix.lower() in PARQUET:
        with plain_errors(path, "a parquet file"), pa.OSFile(os.fspath(path), "rb") as handle:
            return Header(tuple(map(str, pq.read_schema(handle).names)), "", 0)
    number, line, encoding = first_line(path)
    if not number:
        raise Damaged(f"{path} is empty; expected a table with the column names in the first line")
    parted = split_header(line, wanted)
    if parted is None:
        raise Damaged(f"{path}, line {number}: the quotes around the column names are wrong")
    separator, fields = parted
    padded = any(field != field.strip() for field in fields)
    return Header(tuple(restored(field.strip()) for field in fields), separator, number, padded, encoding=encoding)
