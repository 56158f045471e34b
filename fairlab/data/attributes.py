"""Who belongs to which group: from a table of attributes, any of which can be "the groups"."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from fairlab.config import Source
from fairlab.data.reading import Problem, problem
from fairlab.errors import FairLabError

KEYS = {"identity": "identity", "id": "identity", "image": "image", "file": "image", "img_path": "image"}
"""Names of the first column in the tables of this field, e.g. FairFace's `file`."""
PLURAL = {"identity": "identities", "image": "images"}
UNKNOWN = "unknown"


def read_table(path: Path) -> tuple[str, pd.DataFrame]:
    """(key, table indexed by it, all text): key is "identity" or "image". Raises FairLabError naming the file."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", sep=None, engine="python")
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise FairLabError(f"{path} cannot be read as a table: {error}") from error
    column = next((name for name in table if name.strip().lower() in KEYS), None)
    if column is None:
        raise FairLabError(f"{path} needs a column 'identity' or 'image'; it has: {', '.join(map(str, table))}")
    key = KEYS[column.strip().lower()]
    table[column] = table[column].str.strip()
    doubled = table.groupby(column).nunique().max(axis=1)
    if (doubled > 1).any():
        raise FairLabError(f"{path}: {doubled.index[doubled > 1][0]!r} has two different rows")
    return key, table.drop_duplicates(column).set_index(column)


def with_groups(images: pd.DataFrame, source: Source, named: str) -> tuple[pd.DataFrame, str, list[Problem]]:
    """`images` (identity, location, perhaps group) with the group of every row; (images, attribute, problems).

    named: what the data themselves call their groups, "" when they have none. A table's columns are kept as
    `attribute.<name>`; its column `source.attribute`, or the first, is the group.
    """
    if not source.groups_table:
        if not named:
            return images.assign(group=source.group), source.attribute or "group", []
        return images, source.attribute or named, []
    path = Path(source.groups_table).expanduser()
    key, table = read_table(path)
    columns = [str(name) for name in table]
    if not columns:
        raise FairLabError(f"{path} has no column of an attribute beside its {PLURAL[key]}")
    attribute = source.attribute or columns[0]
    if attribute not in columns:
        raise FairLabError(f"{path} has no column {attribute!r}; it has: {', '.join(columns)}")
    wanted = images["identity"] if key == "identity" else images["location"]
    rows = table.index.get_indexer(wanted)
    for short in (wanted.str.rpartition("/")[2], wanted.str.rpartition("/")[2].str.rpartition(".")[0]):
        rows = rows if (rows >= 0).any() else table.index.get_indexer(short)  # the table may hold bare names
    if not (rows >= 0).any():
        raise FairLabError(f"{path} names none of the data's {PLURAL[key]}, e.g. not {wanted.iloc[0]!r}")
    images = images.copy()
    for name in columns:
        values = table[name].to_numpy(dtype=object)[rows]
        values[rows < 0] = UNKNOWN
        images[f"attribute.{name}"] = values
    images["group"] = images[f"attribute.{attribute}"].replace("", UNKNOWN)
    missing = wanted[rows < 0].drop_duplicates().tolist()
    return images, attribute, problem(f"{PLURAL[key]} that {path.name} does not name, in group {UNKNOWN!r}", missing)
