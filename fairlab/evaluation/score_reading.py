"""Reading a table of scored pairs from a file: CSV, TSV or parquet, whatever its encoding, separator and decimal mark."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairlab.errors import Damaged, FairLabError
from fairlab.reading import column_names
from fairlab.reading.table_text import (
    EMPTY,
    MAX_TEXT,
    decoded,
    encoding_of,
    has_decimal_commas,
    split_header,
    trimmed,
    without_point_zero,
)

PARQUET = (".parquet", ".pq")
MAX_BYTES = 4 << 30
MAX_DECODED = 512 << 20
"""Bytes of a table in another encoding than UTF-8, which is held in memory as a whole."""
MAX_ROWS = 20_000_000
_HEAD_BYTES = 1 << 20


def read_frame(path: Path | str, wanted: Collection[str] = ()) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """(table, the line of each row, notes) of a CSV, TSV or parquet file (counted as if it had a line of names), texts as
    texts.

    wanted: further names of columns by which the separator is told. Rows without any cell are left out. Raises
    FairLabError, Damaged.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FairLabError(f"there is no file {path}; expected a CSV of scored pairs")
    if path.stat().st_size > MAX_BYTES:
        raise FairLabError(f"{path} has {path.stat().st_size:,} bytes, more than {MAX_BYTES:,}; divide the table")
    try:
        if path.suffix.lower() in PARQUET:
            frame = _parquet(path)
            return frame, np.arange(len(frame)) + 2, []
        return _text(path, {*column_names.ALL, *wanted})
    except UnicodeDecodeError:
        _decoded(path)  # says which line
        raise
    except pd.errors.ParserWarning as error:
        raise Damaged(
            f"{path}: every row has more cells than the header; put numbers with a decimal comma in quotes, or use a "
            f"separator such as ;"
        ) from error
    except (ValueError, OSError, pd.errors.ParserError) as error:
        what = str(error).strip().partition("\n")[0]
        raise Damaged(f"{path} cannot be read as a table: {what}") from error


def _parquet(path: Path) -> pd.DataFrame:
    """As pandas reads it, text as codes into distinct values: a small file can repeat a long text millions of times."""
    from pyarrow import parquet

    facts = parquet.read_metadata(path)
    if facts.num_rows > MAX_ROWS:
        raise FairLabError(f"{path} has {facts.num_rows:,} rows, more than {MAX_ROWS:,}; divide the table")
    texts = [field.name for field in parquet.read_schema(path) if str(field.type) in ("string", "large_string")]
    return pd.read_parquet(path, read_dictionary=texts)


def _decoded(path: Path) -> str:
    """The whole file as text, which takes several times its size. Raises FairLabError, Damaged."""
    size = path.stat().st_size
    if size > MAX_DECODED:
        raise FairLabError(
            f"{path} has {size:,} bytes and is not plain UTF-8: it holds zero bytes, or uses another encoding"
        )
    return decoded(path, path.read_bytes())


def _text(path: Path, wanted: set[str]) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    with open(path, "rb") as handle:
        head = handle.read(_HEAD_BYTES)
    encoding = encoding_of(head)
    text = None if encoding.startswith("utf-8") else _decoded(path)
    if text is None and b"\0" in head:
        text = _decoded(path)  # says which line is no text
    start = head.decode("utf-8-sig", "replace") if text is None else text[:_HEAD_BYTES]
    first = next((line for line in start.splitlines() if line.strip()), "")
    parted = split_header(first, wanted)
    separator = parted[0] if parted and len(parted[1]) > 1 else "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    options: dict[str, Any] = {"sep": separator, "dtype": str, "keep_default_na": False, "skip_blank_lines": False}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # else cells beyond the last column are dropped
        frame = pd.read_csv(path if text is None else io.StringIO(text), index_col=False, **options)
    frame.columns = frame.columns.map(lambda name: trimmed(str(name)))
    lines = np.arange(len(frame)) + 2  # the first row stands below the line of names
    blank = (frame.isna() | (frame == "")).to_numpy(bool).all(axis=1)
    notes = []
    if _open_end(path):
        notes.append(
            f"the last line ({len(frame) + 1}) has no line break: was the file cut off, perhaps inside a number?"
        )
    return frame[~blank].reset_index(drop=True), lines[~blank], notes


def _open_end(path: Path) -> bool:
    """Does a text file end in the middle of a line? A number that was cut is still a number, so nobody else sees it."""
    with open(path, "rb") as handle:
        handle.seek(-min(4, os.path.getsize(path)), os.SEEK_END)
        return handle.read().rstrip(b"\0")[-1:] not in (b"\r", b"\n")


def names(column: pd.Series) -> pd.Series:
    """A column of people or groups as text, "" where there is none. 3.0 is 3: whole numbers turn into floats where one is
    missing. "A " is "A"."""
    if column.dtype.kind == "f" and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, values = column.cat.codes.to_numpy(), [*column.cat.categories, ""]  # code -1: nothing
    else:
        codes, values = pd.factorize(column.astype("string").fillna("").astype(object))
    texts = [trimmed(str(value)) for value in values]
    longest = max(map(len, texts), default=0)
    if longest > MAX_TEXT:
        raise FairLabError(f"the column {column.name!r} has a cell of {longest:,} characters, more than {MAX_TEXT:,}")
    kept = ["" if text in EMPTY else text for text in without_point_zero(texts)]
    return pd.Series(np.array(kept, dtype=object)[codes], column.index)


def numbers(column: pd.Series) -> np.ndarray:
    """(P,) float64 of a column, NaN for what is no number; decimal commas are understood where all numbers have them."""
    if column.dtype.kind not in "fiub":
        texts = column.astype("string").fillna("").str.strip()
        if texts.str.contains(",", regex=False).any() and has_decimal_commas(texts):
            column = texts.str.replace(",", ".", regex=False)
        else:
            column = texts
    found: np.ndarray = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return found
