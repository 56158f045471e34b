"""A list of images or people, CSV or parquet, as a selection: a row per image or person, named as the data set names it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fairlab.data.attributes import KEYS
from fairlab.data.dataset import Dataset
from fairlab.data.formats.column_tables import ColumnTable
from fairlab.data.formats.table_headers import read_header
from fairlab.data.image_rows import IMAGE, rows_of
from fairlab.data.selections import ids_of_people
from fairlab.errors import FairLabError
from fairlab.files import ordinary
from fairlab.reading.table_text import one_of, plain

IDENTITY = tuple(name for name, key in KEYS.items() if key == "identity")


def read_ids(path: Path, data: Dataset) -> np.ndarray:
    """(N,) rising ids of the images that a table names; a row that stands there twice counts once.

    Columns, the first of these that is there: image_id (the data set's numbers), image, path, file ... (where an image lies),
    identity, person, subject ... (all images of that person). Other columns are not read. Raises FairLabError, Damaged with
    line and column for what the data set does not have.
    """
    path = ordinary(path.expanduser().absolute())
    if not path.is_file():
        raise FairLabError(f"there is no file {path}; expected a CSV or parquet table of images or people")
    wanted = (*IMAGE, *IDENTITY)
    header = read_header(path, list(wanted))
    column = next((name for want in wanted for name in header.names if plain(name) == want), None)
    if column is None:
        raise FairLabError(f"{path} needs a column image_id, image or identity; it has: {one_of(header.names)}")
    table = ColumnTable(path, header, [column])
    if plain(column) in IDENTITY:
        texts = table.texts(column)
        return ids_of_people(data, [texts.values[code].strip() for code in np.unique(texts.codes)])
    rows = rows_of(table, column, data)
    return np.unique(rows)
