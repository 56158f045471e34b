"""A table of soft group shares, CSV or parquet, as any classifier's user has it: a row per image, a column per group."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fairlab.data.dataset import Dataset
from fairlab.data.formats.column_tables import ColumnTable
from fairlab.data.formats.table_headers import Header, read_header
from fairlab.data.image_rows import IMAGE, check_once, image_column, numbers_of, rows_of
from fairlab.data.shares import TOLERANCE
from fairlab.errors import Damaged, FairLabError
from fairlab.files import ordinary
from fairlab.reading.characters import fault_among
from fairlab.reading.table_text import one_of, plain
from fairlab.tables import ALL_GROUPS

PREFIX = "share/"
WANTED = "numbers from 0 to 1"


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
    image = image_column(path, header)
    columns = _columns(path, header, data)
    table = ColumnTable(path, header, [image, *columns.values()])
    values = np.stack([numbers_of(table, name, WANTED) for name in columns.values()], axis=1)
    _check(table, list(columns.values()), values)
    rows = rows_of(table, image, data)
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
