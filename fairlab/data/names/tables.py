"""Which image is which row of a file of vectors: names, and identity, group and attributes where they are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.data.formats.column_tables import ColumnTable
from fairlab.data.formats.table_headers import Header, first_line, read_header
from fairlab.errors import Damaged, FairLabError

IMAGE = ("image", "images", "name", "names", "file", "files", "filename", "path", "paths", "location", "img_path", "key",
         "__index_level_0__")  # fmt: skip
IDENTITY = ("identity", "identities", "identity_id", "id", "ids", "subject", "subject_id", "person", "person_id", "label",
            "labels", "class", "class_id")  # fmt: skip
"""The labels of a training set are its people."""
GROUP = ("group", "groups")
_UNHEARD = "\x1f"  # parts nothing: the whole line is one name


@dataclass(frozen=True, eq=False)
class Names:
    """frame: location, and identity, group, attribute.<name> where known. places: where rows stand in the file."""

    path: Path
    frame: pd.DataFrame
    places: Callable[[Iterable[int]], Sequence[str]]

    def __post_init__(self) -> None:
        """Raises Damaged for an empty name and, naming both places, for a name that stands there twice."""
        names = self.frame["location"]
        empty = np.flatnonzero(names.to_numpy() == "")
        if len(empty):
            raise Damaged(f"{self.path}, {self.places(empty[:1])[0]}: an image name is empty")
        again = np.flatnonzero(names.duplicated())
        if len(again):
            name = names.iloc[again[0]]
            first = int(np.argmax(names.to_numpy() == name))
            there, here = self.places([first, again[0]])
            raise Damaged(
                f"{self.path}: the image {name!r} is in {there} and in {here}; every vector needs its own name"
            )


def meaning(name: str) -> str:
    """What a column of this name is in the table: location, identity, group or attribute.<name>."""
    for what, names in (("location", IMAGE), ("identity", IDENTITY), ("group", GROUP)):
        if name.lower() in names:
            return what
    return name if name.startswith("attribute.") else f"attribute.{name}"


def chosen_columns(names: Sequence[str]) -> dict[str, str]:
    """What it is -> name of the column; of several for one thing the first in the order of IMAGE, IDENTITY, GROUP.

    The others of them are attributes.
    """
    chosen: dict[str, str] = {}
    for what, known in (("location", IMAGE), ("identity", IDENTITY), ("group", GROUP)):
        found = sorted((name for name in names if name.lower() in known), key=lambda name: known.index(name.lower()))
        chosen.update({what: found[0]} if found else {})
    taken = set(chosen.values())
    for name in names:
        if name not in taken:
            what = meaning(name)
            chosen[what if what.startswith("attribute.") else f"attribute.{name}"] = name
    return chosen


def read_names(path: Path) -> Names:
    """A table of names: one name a line, or columns with a header that names image and, perhaps, identity, group, others.

    Raises FairLabError, Damaged with file and line.
    """
    if not path.is_file():
        raise FairLabError(f"there is no file {path}; expected a table with the image of every vector")
    header = read_header(path, (*IMAGE, *IDENTITY, *GROUP))
    if not any(name in (*IMAGE, *IDENTITY, *GROUP) for name in header.lower):
        separators = "\t" if path.suffix.lower() == ".txt" else ",;\t"
        line, text, encoding = first_line(path)
        if not header.separator or (len(header.names) > 1 and any(mark in text for mark in separators)):
            raise Damaged(
                f"{path} has several columns, but none is called image; it has: {', '.join(header.names)[:200]}"
            )
        header = Header(("image",), _UNHEARD, line - 1, quoted=path.suffix.lower() == ".csv", encoding=encoding)
    return names_in(path, header, header.names)


def names_in(path: Path, header: Header, columns: Sequence[str]) -> Names:
    """The names in some columns of a table. Raises FairLabError when none says which image a row is."""
    chosen = chosen_columns(columns)
    if "location" not in chosen:
        raise FairLabError(
            f"{path} has no column 'image' with the name of every vector; it has: {', '.join(columns)[:200]}"
        )
    table = ColumnTable(path, header, list(chosen.values()), list(chosen.values()))
    columns_read = {what: table.texts(name) if what == "location" else table.ids(name) for what, name in chosen.items()}
    frame = {what: np.array(texts.values, dtype=object)[texts.codes] for what, texts in columns_read.items()}
    return Names(path, pd.DataFrame({**frame}), table.places)
