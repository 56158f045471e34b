"""Long text lists of whole numbers, e.g. the eight million template pairs of IJB-B: read in blocks, errors by line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from fairlab.data.formats.text_lists import wrong
from fairlab.errors import Damaged, FairLabError

MAX_BYTES = 1 << 30
BLOCK = 16 << 20
"""Bytes looked at together; some arrays of as many numbers stand beside them."""
DIGITS = 9
_SPACE = np.isin(np.arange(256), np.frombuffer(b" \t\r\n", np.uint8))
_MARK = b"\xef\xbb\xbf"


def read_numbers(
    path: Path, columns: int, beat: Callable[[int, int], None] = lambda _done, _total: None
) -> tuple[np.ndarray, np.ndarray]:
    """(numbers (N, columns) int32, the number of each one's line (N,) int32) of a list with white space between.

    Blank lines are passed over. `beat` is told the bytes done and in all. Raises FairLabError when the file cannot be read,
    Damaged naming the line for anything but `columns` numbers of at most nine digits.
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
    letters = np.frombuffer(text, np.uint8)
    digit = (letters >= 48) & (letters <= 57)
    ends_line = letters == 10
    edge = np.diff(digit, prepend=False, append=False)
    starts, ends = np.flatnonzero(edge).reshape(-1, 2).T
    length = ends - starts
    at = np.cumsum(ends_line, dtype=np.int32)[starts] if len(starts) else np.zeros(0, np.int32)
    counts = np.bincount(at, minlength=int(ends_line.sum()) + 1)
    odd = [
        np.count_nonzero(ends_line[: found[0]])
        for found in (np.flatnonzero(~digit & ~_SPACE[letters]), starts[length > DIGITS])
        if len(found)
    ]
    odd += np.flatnonzero((counts != 0) & (counts != columns))[:1].tolist()
    if odd:
        first = int(min(odd))
        said = text.split(b"\n", first + 1)[first].strip()[:60].decode("utf-8", "backslashreplace")
        raise wrong(path, line + first, f"{said!r} is not {columns} whole numbers with white space between")
    values = np.zeros(len(starts), np.int32)
    for place in range(int(length.max(initial=0))):
        there = length > place
        values[there] += (letters[ends[there] - 1 - place] - np.uint8(48)).astype(np.int32) * 10**place
    return values.reshape(-1, columns), (at[::columns] + line).astype(np.int32)
