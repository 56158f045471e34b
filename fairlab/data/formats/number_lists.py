"""Long text lists of whole numbers, e.g. the eight million template pairs of IJB-B: read in blocks, errors by line.

pandas' parser in C reads a block. By itself it takes -6, 4.0, 4e0 and True for whole numbers and a lone carriage return
for the end of a line, so a block holds nothing but digits, blanks and ends of lines before it gets there.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from fairlab.data.formats.text_lists import wrong
from fairlab.errors import Damaged, FairLabError

MAX_BYTES = 1 << 30
BLOCK = 16 << 20
"""Bytes looked at together; an array of their numbers stands beside them."""
LARGEST = 999_999_999
_ALLOWED = b"0123456789 \t\n"
_MARK = b"\xef\xbb\xbf"


def read_numbers(
    path: Path, columns: int, beat: Callable[[int, int], None] = lambda _done, _total: None
) -> tuple[np.ndarray, np.ndarray]:
    """(numbers (N, columns) int32, the number of each one's line (N,) int32) of a list with white space between.

    Blank lines are passed over. `beat` is told the bytes done and in all. Raises FairLabError when the file cannot be read,
    Damaged naming the line for anything but `columns` numbers from 0 to LARGEST.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise FairLabError(f"{path} is larger than {MAX_BYTES:,} bytes; expected a text list of numbers")
        with open(path, "rb") as handle:
            parts = _blocks(path, handle, size, columns, beat)
    except OSError as error:
        raise FairLabError(f"could not read {path}: {error.strerror or error}") from error
    if not sum(map(len, (numbers for numbers, _ in parts))):
        raise Damaged(f"{path} is empty; expected {columns} numbers in every line")
    return np.concatenate([numbers for numbers, _ in parts]), np.concatenate([lines for _, lines in parts])


def _blocks(
    path: Path, handle: IO[bytes], size: int, columns: int, beat: Callable[[int, int], None]
) -> list[tuple[np.ndarray, np.ndarray]]:
    parts, line, rest = [], 1, b""
    if handle.read(len(_MARK)) != _MARK:
        handle.seek(0)
    while chunk := handle.read(BLOCK):
        whole, end, rest = (rest + chunk).rpartition(b"\n")
        if len(rest) > BLOCK:
            raise wrong(path, line, f"the line does not end within {BLOCK:,} bytes")
        if end:
            parts.append(_rows(path, whole + end, line, columns))
            line += whole.count(b"\n") + 1
        beat(handle.tell(), size)
    if rest:
        parts.append(_rows(path, rest, line, columns))
    return parts


def _rows(path: Path, text: bytes, line: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of whole lines, of which the first has the number `line`."""
    text = text.replace(b"\r\n", b"\n")
    start = len(text) - len(text.lstrip(b" \t\n"))
    if start == len(text):
        return np.zeros((0, columns), np.int32), np.zeros(0, np.int32)
    if text.translate(None, _ALLOWED) or not _row(columns).match(
        text, start
    ):  # pandas makes a column of each number there
        raise _first_wrong(path, text, line, columns)
    try:
        values = pd.read_csv(io.BytesIO(text), sep=r"\s+", header=None, dtype=np.int32, na_filter=False).to_numpy()
    except (ValueError, OverflowError) as error:
        raise _first_wrong(path, text, line, columns) from error
    if values.max() > LARGEST:
        raise _first_wrong(path, text, line, columns)
    lines = np.arange(line, line + len(values), dtype=np.int32)
    if len(values) != text.count(b"\n") + (not text.endswith(b"\n")):  # blank lines stand between
        lines = np.array([line + place for place, row in enumerate(text.split(b"\n")) if row.strip()], np.int32)
    return values, lines


def _row(columns: int) -> re.Pattern[bytes]:
    return re.compile(rb"[ \t]*(?:0*[0-9]{1,9}(?:[ \t]+|$)){%d}$" % columns, re.MULTILINE)


def _first_wrong(path: Path, text: bytes, line: int, columns: int) -> Damaged:
    """The error for the first line of a block that is not as it should be."""
    right = _row(columns)
    rows = enumerate(text.split(b"\n"))
    place, row = next((place, row) for place, row in rows if row.strip(b" \t") and not right.match(row))
    shown = row.strip()[:60].decode("utf-8", "backslashreplace")
    return wrong(path, line + place, f"{shown!r} is not {columns} whole numbers with white space between")
