"""What a person, or a spreadsheet, made of a table: its encoding, its separator, and what stands in its cells.

All that reads a table (scores, embeddings, attributes, pair lists) reads it through these rules, so that a file means the
same everywhere.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import pandas as pd

from fairlab.errors import Damaged

SEPARATORS = ",\t;"
MAX_TEXT = 1000
"""Characters of a name in a table; a long one that stands in every row would take any amount of memory."""
EMPTY = frozenset({"", "nan", "NaN", "NAN", "<NA>", "#N/A", "N/A", "NaT", "NULL", "null", "None"})
"""What programs write where there is no value. A surname such as Nan or Null, so written, is a name."""
_MARKS = (  # the longer first: UTF-32's mark begins as UTF-16's does
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WHOLE = re.compile(r"(\d{1,18})\.0+", re.ASCII)
_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?", re.ASCII)
_COUNT = re.compile(r"[+-]?\d+([eE][+-]?\d+)?", re.ASCII)


def encoding_of(head: bytes) -> str:
    """The encoding of a text that begins with `head`: as its mark says; UTF-16 also without one, by the zero bytes that
    every second place of Western text then has; else UTF-8.
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    even, odd = head[:4096:2], head[1:4096:2]
    for places, others, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if len(head) >= 8 and 2 * places.count(0) > len(places) and 4 * others.count(0) < len(others):
            return name
    return "utf-8"


def decoded(path: Path, content: bytes) -> str:
    """The text of a file, each line ended by \\n. Raises Damaged, naming the line, for what is no text."""
    encoding = encoding_of(content[:4096])
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        name = encoding.upper().removesuffix("-SIG")
        raise Damaged(f"{path}, line {line}: this is not {name} text; save the table as UTF-8") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise Damaged(f"{path}, line {line}: this is not text: it holds a NUL byte")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def split_header(line: str, wanted: Collection[str]) -> tuple[str, list[str]] | None:
    """(separator, fields) of a line that names columns: the separator with which most of `wanted` (as `plain` writes
    them) are there, or else most fields. None when its quotes are wrong whatever the separator.
    """
    parts = []
    for separator in SEPARATORS:
        try:
            parts.append((separator, next(csv.reader([line], delimiter=separator, strict=True))))
        except csv.Error:
            continue
    return max(parts, key=lambda part: (len(set(wanted) & set(map(plain, part[1]))), len(part[1])), default=None)


T = TypeVar("T", pd.Series, pd.Index)


def composed(names: T) -> T:
    """Names with each accented letter as one character: macOS writes files' names with letter and accent apart."""
    if all(str(name).isascii() for name in names):
        return names
    return names.astype(object).str.normalize("NFC")


def plain(name: str) -> str:
    """A column's name without what programs change in it: lower case, "_" for blanks and hyphens, no "_" before a number."""
    name = re.sub(r"[\s\-]+", "_", name.strip().lower())
    return re.sub(r"_(\d+)$", r"\1", name)


def without_point_zero(values: Sequence[str]) -> list[str]:
    """The distinct texts of one column, "7.0" as "7" where all are whole numbers: pandas writes a column of whole numbers
    so when one is missing.
    """
    matches = [_WHOLE.fullmatch(value) for value in values]
    if any(matches) and all(
        match or value == "" or _COUNT.fullmatch(value) for match, value in zip(matches, values, strict=True)
    ):
        return [match[1] if match else value for match, value in zip(matches, values, strict=True)]
    return list(values)


def has_decimal_commas(values: Iterable[str]) -> bool:
    """Is this a column of numbers with decimal commas, as European spreadsheets write them? Every text is then such a
    number, or a whole one, and at least one has a comma.
    """
    commas = False
    for value in values:
        if _COMMA.fullmatch(value):
            commas = True
        elif value not in EMPTY and not _COUNT.fullmatch(value):
            return False
    return commas


def one_of(names: Iterable[str], at_most: int = 200) -> str:
    """Names for a message, cut where they are too many to read."""
    text = ", ".join(map(str, names))
    return text if len(text) <= at_most else text[:at_most] + " ..."


def trimmed(value: str) -> str:
    """A cell without blanks around it, wide and unbreakable ones too."""
    return value.strip(" \u00a0\u3000\ufeff")


_MONTHS = {
    word: number
    for number, words in enumerate(
        (
            "jan ene gen janv", "feb fev fév febr févr", "mar mrz mär mars marz", "apr abr avr", "may mai mag maj",
            "jun giu juin", "jul lug juil", "aug ago aoû août", "sep set sept", "oct okt ott", "nov", "dec dez dic déc",
        ),
        1,
    )
    for word in words.split()
}  # fmt: skip
_RANGE = re.compile(r"\d{1,3}\s?[-–]\s?\d{1,3}", re.ASCII)
_NAMED_DATE = re.compile(r"(\d{1,2})[-.\s/]{1,2}([^\W\d]{3,5})\.?|([^\W\d]{3,5})\.?[-.\s/]{1,2}(\d{1,2})")
_NUMBERED_DATE = re.compile(
    r"(?:\d{4}-(\d{1,2})-(\d{1,2})(?:[ T]00:00(?::00)?)?|(\d{1,2})[/.](\d{1,2})[/.](?:\d{4}|\d{2}))", re.ASCII
)


def ranges_of_dates(values: Iterable[str]) -> dict[str, str]:
    """Cells of a column of ranges that a spreadsheet turned into dates -> the range: "9-Mar" was 3-9, "19-Oct" was 10-19.

    The lower number comes first in a range, so day and month cannot be confused. Empty for a column with no range in it,
    which may hold dates.
    """
    distinct = list(dict.fromkeys(values))
    if not any(_RANGE.fullmatch(value) for value in distinct):
        return {}
    found = {}
    for value in distinct:
        pair = _date_parts(value)
        if pair:
            found[value] = f"{min(pair)}-{max(pair)}"
    return found


def _date_parts(value: str) -> tuple[int, int] | None:
    """(one number, the other) of a day and a month, or of a month and a year of two digits."""
    named = _NAMED_DATE.fullmatch(value)
    if named:
        month = _MONTHS.get((named[2] or named[3]).lower())
        return (month, int(named[1] or named[4])) if month else None
    numbered = _NUMBERED_DATE.fullmatch(value)
    if not numbered:
        return None
    one, other = (int(part) for part in numbered.groups() if part)
    return (one, other) if min(one, other) <= 12 else None
