"""A table of traits, CSV or parquet: a row per image, a column per trait, of numbers or of texts."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from fairlab.data.attributes import KEYS
from fairlab.data.dataset import Dataset
from fairlab.data.formats.column_tables import ColumnTable, Texts
from fairlab.data.formats.table_headers import Header, read_header
from fairlab.data.image_rows import IMAGE, check_once, image_column, is_number, rows_of
from fairlab.data.traits import Trait
from fairlab.errors import Damaged, FairLabError
from fairlab.files import ordinary
from fairlab.reading.characters import fault_among
from fairlab.reading.table_text import one_of, plain

NAMES = (*IMAGE, *KEYS)
"""Columns that name images or people: they are no traits."""
LONGEST = 100
"""Characters of a trait's name."""


def read_traits(path: Path, data: Dataset, columns: Collection[str] = (), skip_unknown: bool = False) -> list[Trait]:
    """The traits of a table, of all N images of `data`: unknown where the table has no row or an empty cell.

    Columns: image_id (the data set's numbers) or image, path, file ... as for soft shares, and a trait in each other column,
    or in those of `columns` alone. skip_unknown: leave out rows of images that the data set does not have, as of a file that could
    not be read. Raises FairLabError, Damaged naming line and column for: a column that mixes numbers and
    texts, one that is the same in every row or empty, a name that is there twice, an unknown image, and an image with two rows.
    """
    path = ordinary(path.expanduser().absolute())
    if not path.is_file():
        raise FairLabError(f"there is no file {path}; expected a CSV or parquet table of traits")
    header = read_header(path, IMAGE)
    image = image_column(path, header)
    names = _names(path, header, columns)
    table = ColumnTable(path, header, [image, *names])
    rows = rows_of(table, image, data, skip_unknown)
    check_once(table, image, rows)
    return [_trait(table, name, rows, len(data.images)) for name in names]


def _names(path: Path, header: Header, columns: Collection[str]) -> list[str]:
    """The columns that are traits, in the table's order."""
    names = [name for name in header.names if plain(name) not in NAMES]
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise Damaged(f"{path}: the column {doubled!r} appears more than once")
    for wanted in columns:
        if wanted not in names:
            raise FairLabError(f"{path} has no column {wanted!r} of a trait; it has: {one_of(names)}")
    names = [name for name in names if not columns or name in columns]
    if not names:
        raise FairLabError(f"{path} has no column of a trait beside its images; it has: {one_of(header.names)}")
    if not all(name.strip() for name in names):
        raise Damaged(f"{path}: a column has no name")
    long = next((name for name in names if len(name) > LONGEST), None)
    if long is not None:
        raise Damaged(f"{path}: the column {long[:40]!r}... has a name of more than {LONGEST} characters")
    if fault := fault_among(names):
        raise Damaged(f"{path}: the columns {fault}; rename it")
    return names


def _trait(table: ColumnTable, name: str, rows: np.ndarray, count: int) -> Trait:
    numbers = table.numbers(name)
    if numbers is not None:
        here, numbers = rows[rows >= 0], numbers[rows >= 0]
        known = numbers[~np.isnan(numbers)]
        if len(known) and known.min() == known.max():
            raise _constant(table, name, f"{known[0]:g}")
        if not len(known):
            raise Damaged(f"{table.path}: the column {name!r} is empty; leave it out")
        values = np.full(count, np.nan)
        values[here] = numbers
        return Trait(name, "table", "", values)
    texts = table.ids(name)
    words = [text for text in texts.values if text]
    _check_words(table, name, texts)
    if len(words) < 2:
        raise (
            _constant(table, name, words[0])
            if words
            else Damaged(f"{table.path}: the column {name!r} is empty; leave it out")
        )
    values = np.full(count, "", dtype=object)
    values[rows[rows >= 0]] = np.array(texts.values, dtype=object)[texts.codes][rows >= 0]
    return Trait(name, "table", "", values)


def _check_words(table: ColumnTable, name: str, texts: Texts) -> None:
    """Raise Damaged for a column of texts of which some are numbers."""
    numeric = [code for code, text in enumerate(texts.values) if text and is_number(text)]
    word = next((text for text in texts.values if text and not is_number(text)), None)
    if numeric and word is not None:
        row = int(np.isin(texts.codes, numeric).argmax())
        raise table.wrong(
            row,
            f"{name} is the number {texts.of(row)[:40]} and {word[:40]!r} elsewhere; expected all numbers or all texts",
        )


def _constant(table: ColumnTable, name: str, value: str) -> Damaged:
    return Damaged(
        f"{table.path}: the column {name!r} is {value[:40]!r} in every row that has a value, which tells nothing; leave it out"
    )
