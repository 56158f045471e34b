"""A table of traits, CSV or parquet: a row per image, a column of numbers per trait, as quality tools write it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fairlab.data.attributes import KEYS
from fairlab.data.dataset import Dataset
from fairlab.data.formats.column_tables import ColumnTable
from fairlab.data.formats.table_headers import read_header
from fairlab.data.share_tables import IMAGE, NUMBER, PREFIX, check_once, numbers_of, rows_by_number, rows_by_place
from fairlab.errors import Damaged, FairLabError
from fairlab.files import ordinary
from fairlab.reading.characters import fault_among
from fairlab.reading.table_text import one_of, plain

MODEL = "norm"
"""The name of a trait that every model has of its own: the length of its embedding."""
MOST = 200
"""Traits that a data set may have; more would be a feature vector."""


def read_traits(path: Path, data: Dataset, names: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Values (N,) of every trait that the table has, NaN for images that it does not name and for empty cells.

    Columns: image_id (the data set's numbers) or image, path, file ... (where an image lies, its whole path, or its name); all
    others are traits, or those of `names`. Raises FairLabError, Damaged naming line and column for: a cell that is not a
    number, a column whose numbers are all equal, an image that the data set does not have, and an image with two rows.
    """
    path = ordinary(path.expanduser().absolute())
    if not path.is_file():
        raise FairLabError(f"there is no file {path}; expected a CSV or parquet table of traits")
    header = read_header(path, list(IMAGE))
    image = next((name for want in IMAGE for name in header.names if plain(name) == want), None)
    if image is None:
        raise FairLabError(f"{path} needs a column image_id, image or path; it has: {one_of(header.names)}")
    lacking = [name for name in names if name not in header.names]
    if lacking:
        raise FairLabError(f"{path} has no column {lacking[0][:80]!r}; it has: {one_of(header.names)}")
    columns = list(names) or [name for name in header.names if _is_trait(name, image)]
    _check_names(path, columns)
    table = ColumnTable(path, header, [image, *columns])
    rows = rows_by_number(table, image, data) if plain(image) == NUMBER else rows_by_place(table, image, data)
    check_once(table, image, rows)
    found = {}
    for name in columns:
        given = numbers_of(table, name, "a number (text that groups people is an attribute, not a trait)")
        known = given[~np.isnan(given)]
        if not len(known) or known.min() == known.max():
            what = f"{known[0]:g} in every row" if len(known) else "empty in every row"
            raise Damaged(f"{path}: the column {name!r} is {what}; a trait differs between images")
        found[name.strip()] = np.full(len(data.images), np.nan)
        found[name.strip()][rows] = given
    return found


def _is_trait(name: str, image: str) -> bool:
    """Any column but those that say which image, who, or soft group shares."""
    return name != image and plain(name) not in KEYS and plain(name) != NUMBER and not name.lower().startswith(PREFIX)


def _check_names(path: Path, columns: list[str]) -> None:
    if not columns:
        raise FairLabError(f"{path} has no column beside those that say which image it is; expected one per trait")
    if len(columns) > MOST:
        raise FairLabError(
            f"{path} has {len(columns)} columns of traits, expected {MOST} at most; name some: --columns"
        )
    if fault := fault_among(columns):
        raise Damaged(f"{path}: the columns {fault}; rename it")
    taken = next((name for name in columns if plain(name) == MODEL), "")
    if taken:
        raise Damaged(f"{path}: the column {taken!r} has the name of a model's own trait; rename it")
    doubled = next((name for name in columns if [plain(other) for other in columns].count(plain(name)) > 1), "")
    if doubled:
        raise Damaged(f"{path}: two columns are named {doubled!r}")
