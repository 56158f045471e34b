"""A table of soft group shares, CSV or parquet, as any classifier's user has it: a row per image, a column per group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.data.attributes import KEYS
from fairlab.data.dataset import Dataset
from fairlab.data.formats.column_tables import ColumnTable
from fairlab.data.formats.table_headers import Header, read_header
from fairlab.data.shares import TOLERANCE
from fairlab.errors import Damaged, FairLabError
from fairlab.files import ordinary
from fairlab.reading.characters import fault_among
from fairlab.reading.table_text import composed, one_of, plain
from fairlab.tables import ALL_GROUPS

PREFIX = "share/"
NUMBER = "image_id"
IMAGE = (NUMBER, *(name for name, key in KEYS.items() if key == "image"))


def read_shares(path: Path, data: Dataset) -> tuple[tuple[str, ...], np.ndarray]:
    """(groups, shares (N, G) of all N images of `data`, NaN for those that the table does not name or has no numbers for).

    Columns: image_id (the data set's numbers) or image, path, file ... (where an image lies, its whole path, or its name);
    share/<group> for two groups or more, or one named as each group of the data. Other columns are not read. Raises
    FairLabError, Damaged naming line and column for: a cell that is no number of 0..1, a row that does not add up to 1
    within TOLERANCE, an image that the data set does not have, and an image with two rows.
    """
    path = ordinary(path.expanduser().absolute())
    if not path.is_file():
        raise FairLabError(f"there is no file {path}; expected a CSV or parquet table of soft group shares")
    header = read_header(path, [*IMAGE, *map(plain, data.groups)])
    image = next((name for want in IMAGE for name in header.names if plain(name) == want), None)
    if image is None:
        raise FairLabError(f"{path} needs a column image_id, image or path; it has: {one_of(header.names)}")
    columns = _columns(path, header, data)
    table = ColumnTable(path, header, [image, *columns.values()])
    values = np.stack([numbers_of(table, name) for name in columns.values()], axis=1)
    _check(table, list(columns.values()), values)
    rows = rows_by_number(table, image, data) if plain(image) == NUMBER else rows_by_place(table, image, data)
    check_once(table, image, rows)
    shares = np.full((len(data.images), len(columns)), np.nan)
    shares[rows] = values
    if np.isnan(shares[:, 0]).all():
        raise Damaged(f"{path} has no row with shares")
    return tuple(columns), shares


def _columns(path: Path, header: Header, data: Dataset) -> dict[str, str]:
    """Group -> its column; the data's groups first, spelled as there."""
    groups = {plain(group): group for group in data.groups}
    found: dict[str, str] = {}
    for name in header.names:
        group = name[len(PREFIX) :].strip() if name.lower().startswith(PREFIX) else ""
        if group:
            group = groups.get(plain(group), group)
            if group in found:
                raise Damaged(f"{path}: the columns {found[group]!r} and {name!r} are both of the group {group!r}")
            found[group] = name
    if not found:
        named = {groups[plain(name)]: name for name in header.names if plain(name) in groups}
        lacking = [group for group in data.groups if group not in named]
        if lacking:
            raise FairLabError(
                f"{path} needs columns {PREFIX}<group>, or one for each group of data set {data.dataset_id}; it lacks "
                f"{lacking[0]!r} and has: {one_of(header.names)}"
            )
        found = named
    if len(found) < 2:
        raise FairLabError(f"{path} has shares of {len(found)} group; expected columns {PREFIX}<group> of two or more")
    if ALL_GROUPS in found:
        raise Damaged(
            f"{path}: a group is called {ALL_GROUPS!r}, which FairLab uses for all groups together; rename it"
        )
    if fault := fault_among(list(found)):
        raise Damaged(f"{path}: the groups {fault}; rename it")
    order = dict.fromkeys([*(group for group in data.groups if group in found), *found])
    return {group: found[group] for group in order}


def numbers_of(table: ColumnTable, name: str, what: str = "a number from 0 to 1") -> np.ndarray:
    """(rows,) of a column, NaN where a cell is empty. Raises Damaged naming the first line that is not `what`."""
    values = table.numbers(name)
    if values is not None:
        return values
    cells = table.texts(name)
    for row in range(table.rows):
        text = cells.of(row).strip()
        if text and not _is_number(text):
            raise table.wrong(row, f"{name} is {text[:40]!r}, expected {what}")
    raise table.wrong(0, f"{name} is empty in every row; expected {what} in some")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check(table: ColumnTable, names: list[str], values: np.ndarray) -> None:
    """Raise Damaged for the first row that has some empty cells, a value beyond 0..1, or another sum than 1."""
    empty = np.isnan(values)
    part = empty.any(1) & ~empty.all(1)
    beyond = ~empty & ((values < 0) | (values > 1))
    total = values.sum(1)
    off = ~empty.any(1) & (np.abs(total - 1) > TOLERANCE)
    bad = np.flatnonzero(part | beyond.any(1) | off)
    if not len(bad):
        return
    row = int(bad[0])
    if part[row]:
        raise table.wrong(row, f"{names[int(empty[row].argmax())]} is empty and others are not; expected all or none")
    if beyond[row].any():
        place = int(beyond[row].argmax())
        raise table.wrong(row, f"{names[place]} is {values[row, place]:g}, expected a number from 0 to 1")
    raise table.wrong(row, f"{' + '.join(names)[:200]} is {total[row]:.4g}, expected 1 (within {TOLERANCE:g})")


def rows_by_number(table: ColumnTable, column: str, data: Dataset) -> np.ndarray:
    """Rows of the data set by its own numbers of images."""
    numbers = numbers_of(table, column)
    whole = ~np.isnan(numbers) & (numbers == np.floor(numbers)) & (numbers >= 0) & (numbers < len(data.images))
    if not whole.all():
        row = int(np.argmin(whole))
        raise table.wrong(
            row,
            f"{column} is {numbers[row]:g}, and data set {data.dataset_id} has images 0 to {len(data.images) - 1:,}",
        )
    return numbers.astype(np.int64)


def rows_by_place(table: ColumnTable, column: str, data: Dataset) -> np.ndarray:
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
    if (found < 0).any():
        unknown = np.flatnonzero((found < 0)[cells.codes])
        row = int(unknown[0])
        raise table.wrong(
            row,
            f"{column} is {cells.of(row)[:80]!r}, which is not an image of data set {data.dataset_id} (its images are named "
            f"as {places.iloc[0]!r})",
        )
    return found[cells.codes]


def check_once(table: ColumnTable, column: str, rows: np.ndarray) -> None:
    """Raise Damaged for an image with two rows."""
    order = np.argsort(rows, kind="stable")
    again = order[1:][rows[order[1:]] == rows[order[:-1]]]
    if len(again):
        row = int(again.min())
        first = int(np.argmax(rows == rows[row]))
        raise table.wrong(
            row, f"{column} names the image of {table.places([first])[0]} again; expected one row per image"
        )
