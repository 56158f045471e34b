"""Which image of a data set each row of a user's table is about: by number, by where it lies, or by name; each image once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.data.attributes import KEYS
from fairlab.data.dataset import Dataset
from fairlab.data.formats.column_tables import ColumnTable
from fairlab.data.formats.table_headers import Header
from fairlab.errors import FairLabError
from fairlab.reading.table_text import composed, one_of, plain

NUMBER = "image_id"
IMAGE = (NUMBER, *(name for name, key in KEYS.items() if key == "image"))
"""Names of the column that says which image, the first that a table has."""


def image_column(path: Path, header: Header) -> str:
    """The column that says which image. Raises FairLabError where there is none."""
    image = next((name for want in IMAGE for name in header.names if plain(name) == want), None)
    if image is None:
        raise FairLabError(f"{path} needs a column image_id, image or path; it has: {one_of(header.names)}")
    return image


def rows_of(table: ColumnTable, column: str, data: Dataset, skip_unknown: bool = False) -> np.ndarray:
    """(rows,) int64: the data set's image of every row.

    Raises Damaged, naming the line, for an image that the data set does not have; with skip_unknown it is -1, and all of them
    are an error.
    """
    found = (_by_number if plain(column) == NUMBER else _by_place)(table, column, data, skip_unknown)
    if (found < 0).all():
        raise FairLabError(f"{table.path}: no row names an image of data set {data.dataset_id}; column {column}")
    return found


def numbers_of(table: ColumnTable, name: str, wanted: str = "numbers") -> np.ndarray:
    """(rows,) of a column, NaN where a cell is empty. Raises Damaged naming the first line that is none of `wanted`."""
    values = table.numbers(name)
    if values is not None:
        return values
    cells = table.texts(name)
    for row in range(table.rows):
        text = cells.of(row).strip()
        if text and not is_number(text):
            raise table.wrong(row, f"{name} is {text[:40]!r}, expected {wanted.replace('numbers', 'a number')}")
    raise table.wrong(0, f"{name} is empty in every row; expected {wanted}")


def is_number(text: str) -> bool:
    """Is it one as Python reads numbers?"""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _by_number(table: ColumnTable, column: str, data: Dataset, skip_unknown: bool) -> np.ndarray:
    """Rows of the data set by its own numbers of images."""
    numbers = numbers_of(table, column)
    whole = ~np.isnan(numbers) & (numbers == np.floor(numbers)) & (numbers >= 0) & (numbers < len(data.images))
    if not whole.all() and not skip_unknown:
        row = int(np.argmin(whole))
        raise table.wrong(
            row,
            f"{column} is {numbers[row]:g}, and data set {data.dataset_id} has images 0 to {len(data.images) - 1:,}",
        )
    return np.where(whole, numbers, -1).astype(np.int64)


def _by_place(table: ColumnTable, column: str, data: Dataset, skip_unknown: bool) -> np.ndarray:
    """Rows of the data set by where images lie: as the data have it, below its folder, by file name, or without its end."""
    cells = table.texts(column)
    given = pd.Series(cells.values, dtype=object).str.replace("\\", "/", regex=False)
    root = str(data.info.get("images_from", {}).get("path", "")).rstrip("/")
    wanted = composed(given.str.removeprefix(f"{root}/") if root else given)
    places = composed(data.images["location"].astype(str).astype(object))
    names = places.str.rpartition("/")[2]
    found = np.full(len(wanted), -1, np.int64)
    for known in (places, names, names.str.rpartition(".")[0]):
        index = pd.Index(known)
        if not wanted.isin(index).any():
            continue
        if not index.is_unique:
            twice = wanted[wanted.isin(index[index.duplicated()])]
            if len(twice):
                row = int(np.argmax(cells.codes == twice.index[0]))
                raise table.wrong(
                    row,
                    f"{column} is {str(twice.iloc[0])[:80]!r}, the name of several images of data set "
                    f"{data.dataset_id}; write where each lies, e.g. {places.iloc[0]!r}",
                )
            index = index[~index.duplicated(keep=False)]
            rows = np.flatnonzero(~known.duplicated(keep=False))
        else:
            rows = np.arange(len(known))
        at = index.get_indexer(wanted)
        found = np.where(at >= 0, rows[at], -1)
        break
    if (found < 0).any() and not skip_unknown:
        unknown = np.flatnonzero((found < 0)[cells.codes])
        row = int(unknown[0])
        raise table.wrong(
            row,
            f"{column} is {cells.of(row)[:80]!r}, which is not an image of data set {data.dataset_id} (its images are named "
            f"as {places.iloc[0]!r})",
        )
    return found[cells.codes]


def check_once(table: ColumnTable, column: str, rows: np.ndarray) -> None:
    """Raise Damaged for an image with two rows; -1 is none."""
    order = np.argsort(rows, kind="stable")
    again = order[1:][(rows[order[1:]] == rows[order[:-1]]) & (rows[order[1:]] >= 0)]
    if len(again):
        row = int(again.min())
        first = int(np.argmax(rows == rows[row]))
        raise table.wrong(
            row, f"{column} names the image of {table.places([first])[0]} again; expected one row per image"
        )
