"""Who belongs to which group: from a table of attributes, any of which can be "the groups"."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fairlab.data.formats.text_lists import Row, read_rows, wrong
from fairlab.data.listing import Problem, problem
from fairlab.errors import FairLabError
from fairlab.reading.table_text import composed, one_of, plain, ranges_of_dates, without_point_zero
from fairlab.settings.study import Source
from fairlab.tables import ANY, Table

KEYS = {
    **dict.fromkeys(
        ("identity", "id", "identity_id", "person", "person_id", "subject", "subject_id", "class_id"), "identity"
    ),
    **dict.fromkeys(("image", "file", "img_path", "image_path", "path", "filename", "img"), "image"),
}
"""Names of the first column in the tables of this field, e.g. FairFace's `file`."""
PLURAL = {"identity": "identities", "image": "images"}
UNKNOWN = "unknown"
USUAL = ("group", "race", "ethnicity")
"""Attributes that are the groups when nobody says which."""
MAX_VALUES = 10_000
"""An attribute with more values is a name or a measurement, not something that groups people."""
_FEW = 100


def headed_rows(path: Path) -> tuple[list[str], list[Row]]:
    """(names of the columns, rows as long as those) of a table whose first line names its columns.

    Raises FairLabError when it cannot be read, Damaged naming the line where a field lacks or is too many: a row that
    was shifted by one would give people other people's attributes.
    """
    _, rows = read_rows(path)
    line, header = rows[0]
    names = [name.strip() for name in header]
    while names and not names[-1]:  # a separator at the end of the line
        names.pop()
    if not all(names):
        raise wrong(path, line, "a column has no name")
    doubled = next((name for name in names if names.count(name) > 1), "")
    if doubled:
        raise wrong(path, line, f"two columns are named {doubled!r}")
    body: list[Row] = []
    for number, fields in rows[1:]:
        if not any(fields):  # an empty line of a spreadsheet
            continue
        if len(fields) < len(names) or any(fields[len(names) :]):
            raise wrong(path, number, f"{len(fields)} fields, expected {len(names)} as in the first line")
        body.append((number, fields[: len(names)]))
    return names, body


def mend_ranges(path: Path, names: list[str], rows: list[Row]) -> list[Problem]:
    """Put ranges (ages) back in place that a spreadsheet made dates of; the problems to report."""
    problems: list[Problem] = []
    for place in range(1, len(names)):
        dates = ranges_of_dates(fields[place] for _, fields in rows)
        lines = [number for number, fields in rows if fields[place] in dates]
        if not lines:
            continue
        for _, fields in rows:
            fields[place] = dates.get(fields[place], fields[place])
        shown = ", ".join(f"{date} is {range_}" for date, range_ in list(dates.items())[:3])
        what = (
            f"values of {names[place]!r} in {path.name} that a spreadsheet turned into dates, read as ranges ({shown})"
        )
        problems += problem(what, [f"line {line}" for line in lines])
    return problems


def once(path: Path, rows: list[Row], place: int) -> tuple[list[Row], list[str]]:
    """(rows without repeated ones, lines that were), told apart by field `place`. Raises Damaged when two differ."""
    seen: dict[str, list[str]] = {}
    kept, again = [], []
    for line, fields in rows:
        key = fields[place]
        if not key:
            raise wrong(path, line, "the name of an image or identity is empty")
        if key not in seen:
            seen[key] = fields
            kept.append((line, fields))
        elif seen[key] != fields:
            raise wrong(path, line, f"{key!r} has two different rows")
        else:
            again.append(f"line {line}")
    return kept, again


def read_table(path: Path) -> tuple[str, pd.DataFrame, list[Problem]]:
    """(key, table indexed by it, all text, problems): key is "identity" or "image". Raises FairLabError naming the file."""
    names, rows = headed_rows(path)
    place = next((number for number, name in enumerate(names) if plain(name) in KEYS), None)
    if place is None:
        raise FairLabError(
            f"{path} needs a column 'identity' or 'image' (or {', '.join(sorted(set(KEYS) - {'identity', 'image'}))}); "
            f"it has: {one_of(names)}"
        )
    problems = mend_ranges(path, names, rows)
    table = Table(**dict.fromkeys(names, ANY)).build(fields for _, fields in once(path, rows, place)[0])
    ids = without_point_zero(table[names[place]].tolist())
    return KEYS[plain(names[place])], table.assign(**{names[place]: ids}).set_index(names[place]), problems


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
    key, table, mended = read_table(path)
    columns = [str(name) for name in table]
    if not columns:
        raise FairLabError(f"{path} has no column of an attribute beside its {PLURAL[key]}")
    attribute = source.attribute or columns[0]
    attribute = next((name for name in columns if plain(name) == plain(attribute)), attribute)
    if attribute not in columns:
        raise FairLabError(f"{path} has no column {attribute!r}; it has: {one_of(columns)}")
    wanted = composed(images["identity"] if key == "identity" else images["location"])
    table.index = composed(table.index)
    rows = table.index.get_indexer(wanted)
    for short in (wanted.str.rpartition("/")[2], wanted.str.rpartition("/")[2].str.rpartition(".")[0]):
        rows = rows if (rows >= 0).any() else table.index.get_indexer(short)  # the table may hold bare names
    if not (rows >= 0).any():
        raise FairLabError(f"{path} names none of the data's {PLURAL[key]}, for example {wanted.iloc[0]!r} is missing")
    images = images.copy()
    for name in columns:
        values = table[name].to_numpy(dtype=object)[rows]
        values[rows < 0] = UNKNOWN
        images[f"attribute.{name}"] = values
    images["group"] = images[f"attribute.{attribute}"].replace("", UNKNOWN)
    missing = wanted[rows < 0].drop_duplicates().tolist()
    return (
        images,
        attribute,
        mended + problem(f"{PLURAL[key]} missing from {path.name}, in group {UNKNOWN!r}", missing),
    )


def with_columns(
    images: pd.DataFrame, source: Source, usual: Sequence[str] = USUAL, any_other: bool = False
) -> tuple[pd.DataFrame, str, list[Problem]]:
    """`images` whose data bring attributes, `attribute.<name>`, with the group of every row; (images, attribute, problems).

    The groups are those of a table if `source` names one, else `source.attribute`, else the first of `usual` there is,
    else, when `any_other`, the first attribute of a few words; else all images are one group. Raises FairLabError.
    """
    columns = [name.removeprefix("attribute.") for name in map(str, images) if name.startswith("attribute.")]
    if source.groups_table or not columns:
        return with_groups(images, source, "")
    chosen = source.attribute
    if chosen and chosen not in columns:
        raise FairLabError(f"the data have no attribute {chosen!r}; they have: {', '.join(columns)}")
    by_name = {name.lower(): name for name in reversed(columns)}
    chosen = chosen or next((by_name[name] for name in usual if name in by_name), "")
    if not chosen and any_other:
        chosen = next((name for name in columns if _groups_people(images[f"attribute.{name}"])), "")
    if not chosen:
        return images.assign(group=source.group), "group", []
    groups = images[f"attribute.{chosen}"].replace("", UNKNOWN)
    lacking = images["location"][(groups == UNKNOWN).to_numpy(bool)].tolist()
    return images.assign(group=groups), chosen, problem(f"images without {chosen}, in group {UNKNOWN!r}", lacking)


def _groups_people(values: pd.Series) -> bool:
    """Two or more words, not numbers, each for several images."""
    distinct = values[values != ""].unique()
    words = pd.to_numeric(pd.Series(distinct, dtype=object), errors="coerce").isna().all()
    return bool(words) and 2 <= len(distinct) <= min(_FEW, max(2, len(values) // 2))
