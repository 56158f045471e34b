"""Tables of the workspace read as what they must be: every column there, of its type. By the file's own schema, so it is cheap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow.parquet import ParquetFile

from fairlab.errors import Damaged, FairLabError

TEXT, WHOLE, NUMBER, TRUTH = "text", "whole numbers", "numbers", "true or false"
KINDS = {
    **dict.fromkeys(("run_id", "protocol", "group", "metric", "operating_point", "identity", "dataset", "split", "source"), TEXT),
    **dict.fromkeys(("pair_id", "image_id", "image_a", "image_b", "fold", "template", "media"), WHOLE),
    **dict.fromkeys(("genuine_pairs", "impostor_pairs"), WHOLE),
    **dict.fromkeys(("value", "low", "high", "score", "x", "y", "weight"), NUMBER),
    "genuine": TRUTH,
}  # fmt: skip
"""What a column of tables.py holds, by its name; those that are not here may hold anything (location: a number or a path)."""
MOST_ROWS = 2_000_000_000


def check_schema(file: ParquetFile, columns: Sequence[str], path: Path) -> None:
    """Raise Damaged unless each of `columns` is there and of its type."""
    schema = file.schema_arrow
    if file.metadata.num_rows > MOST_ROWS:
        raise Damaged(f"{path} declares {file.metadata.num_rows:,} rows; no FairLab table is that large")
    for name in columns:
        if schema.get_field_index(name) < 0:
            raise Damaged(f"{path} has no column {name!r}")
        kind, found = KINDS.get(name), schema.field(name).type
        if kind is not None and not _fits(kind, found):
            raise Damaged(f"{path}: the column {name!r} holds {found}; expected {kind}")


def _fits(kind: str, found: pa.DataType) -> bool:
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_null(found):  # an empty table, or nothing in it is known
        return True
    if kind == TEXT:
        return bool(pa.types.is_string(found) or pa.types.is_large_string(found))
    if kind == WHOLE:
        return bool(pa.types.is_integer(found) and found != pa.uint64())
    if kind == NUMBER:
        return bool(pa.types.is_floating(found) or (pa.types.is_integer(found) and found != pa.uint64()))
    return bool(pa.types.is_boolean(found))


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A table of ours with at least `columns`. Raises FairLabError (not there, no permission), Damaged naming file and column."""
    try:
        with ParquetFile(path) as file:
            check_schema(file, columns, path)
        table = pd.read_parquet(path)
    except FairLabError:
        raise
    except FileNotFoundError as error:
        raise FairLabError(f"{path} does not exist; was its folder deleted?") from error
    except PermissionError as error:
        raise FairLabError(f"no permission to read {path}") from error
    except Exception as error:  # a damaged file makes the reader raise nearly anything
        raise Damaged(f"{path} is damaged: {str(error)[:200]}") from error
    for name in columns:
        if KINDS.get(name) in (TEXT, WHOLE, TRUTH) and bool(table[name].isna().any()):
            raise Damaged(f"{path}: the column {name!r} has empty cells; expected {KINDS[name]}")
    return table
