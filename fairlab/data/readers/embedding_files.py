"""Embeddings that another program wrote: .npy, .npz or parquet, with the names of their images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fairlab.data.formats import npy_arrays
from fairlab.data.formats.npy_arrays import MAX_BYTES, Declared
from fairlab.data.formats.table_headers import PARQUET, Header, plain_errors
from fairlab.data.listing import SHOWN, Problem
from fairlab.data.names.tables import IDENTITY, IMAGE, Names, chosen_columns, names_in, read_names
from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.reading.mistaken import check_file

VECTORS = ("embedding", "embeddings", "vector", "vectors", "features", "feature")
TABLES = (".csv", ".txt")
"""Endings of the id table that is looked for beside a file without names."""
_FLOATS = (2, 4, 8)  # bytes
_ROWS = 8192
_FEWEST = 3  # numbered columns that are a vector; two may be two of anything
_SMALL, _RATIO = 64 << 20, 100  # as in npz files: a parquet file that unpacks to more of either is a bomb


@dataclass(frozen=True, eq=False)
class EmbeddingFile:
    """vectors: (N, D) float32 as stored, not normalised; a .npy of float32 stays on the disk (mapped).

    table: a row per vector: location (its name), and identity, group, attribute.<name> where they are known.
    """

    vectors: np.ndarray
    table: pd.DataFrame
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def detect_embeddings(path: Path | str) -> str:
    """Why `path` is a file of embeddings, as half a sentence; "" when it is not. Reads headers only; never raises."""
    path = Path(path)
    try:
        if path.suffix.lower() == ".npy" and path.is_file():
            return _said(_matrix(path, [npy_arrays.npy_header(path)]).shape)
        if path.suffix.lower() == ".npz" and path.is_file():
            return _said(_matrix(path, npy_arrays.npz_headers(path)).shape)
        if path.suffix.lower() in PARQUET and path.is_file():
            with plain_errors(path, "a parquet file"), pa.OSFile(str(path), "rb") as handle:
                file = pq.ParquetFile(handle)
                return _said(_parquet_shape(path, file, _vector_columns(path, file.schema_arrow)))
    except FairLabError:
        pass
    return ""


def _said(shape: Sequence[int]) -> str:
    return f"{shape[0]:,} vectors of {shape[1]:,} numbers"


def read_embeddings(path: Path | str, id_table: Path | str | None = None, nameless: bool = False) -> EmbeddingFile:
    """Read embeddings and the names of their images.

    .npy: (N, D) of float16, 32 or 64, with an id table: `id_table`, or a .csv or .txt of the same stem beside it. .npz:
    one such array, and arrays (N,) called image, identity, group or as an attribute. parquet: a column of lists, or
    columns of numbers called e0, e1, ..., and the same columns. An `id_table` for a file that has names itself is looked
    up by name. nameless: keep rows whose identity is empty. Raises FairLabError, Damaged, Refused for what is not whole, not finite, a pickle or too large.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FairLabError(f"there is no file {path}; expected a .npy, .npz or .parquet of embeddings")
    check_file(path, "a file of embeddings")
    notes: list[str] = []
    if path.suffix.lower() == ".npy":
        header = _matrix(path, [npy_arrays.npy_header(path)])
        stored, names = npy_arrays.npy_array(path, header), None
    elif path.suffix.lower() == ".npz":
        stored, names = _from_npz(path, notes)
    elif path.suffix.lower() in PARQUET:
        stored, names = _from_parquet(path, notes)
    else:
        raise FairLabError(f"{path} is not a file of embeddings that FairLab reads; expected .npy, .npz or .parquet")
    names = _with_table(path, names, Path(id_table).expanduser() if id_table else None)
    if len(names.frame) != len(stored):
        raise Damaged(f"{path} has {len(stored):,} vectors, but {names.path} has {len(names.frame):,} rows")
    vectors, zero = _as_float32(path, stored, names.frame["location"])
    problems: list[Problem] = []
    if len(zero):
        examples = tuple(names.frame["location"].iloc[zero[:SHOWN]])
        problems.append(Problem("vectors of zeros, which have no direction and so no score", len(zero), examples))
    table = names.frame
    if not nameless:
        vectors, table = _of_known_people(path, vectors, table, problems)
    return EmbeddingFile(vectors, table, tuple(problems), tuple(notes))


def _of_known_people(
    path: Path, vectors: np.ndarray, table: pd.DataFrame, problems: list[Problem]
) -> tuple[np.ndarray, pd.DataFrame]:
    """Without the rows whose identity is empty: taken for one person, or for a person each, their pairs would be wrong.

    Raises Damaged when none is left.
    """
    if "identity" not in table:
        return vectors, table
    nobody = (table["identity"] == "").to_numpy(dtype=bool)
    if not nobody.any():
        return vectors, table
    if nobody.all():
        raise Damaged(
            f"{path}: the column of identities is empty in every row; leave the column out if no identity is known"
        )
    examples = tuple(table["location"][nobody].head(SHOWN))
    problems.append(Problem("vectors with an empty identity, left out", int(nobody.sum()), examples))
    return vectors[~nobody], table[~nobody].reset_index(drop=True)


def _matrix(path: Path, headers: Sequence[Declared]) -> Declared:
    """The one (N, D) array of floats among those declared. Raises Damaged, saying what there is."""
    found = [header for header in headers if len(header.shape) == 2 and header.dtype.kind == "f"]
    found = [header for header in found if header.dtype.itemsize in _FLOATS and min(header.shape) > 0]
    if len(found) != 1:
        there = ", ".join(f"{one.name} ({' x '.join(map(str, one.shape)) or 'one'} {one.dtype})" for one in headers)
        raise Damaged(
            f"{path} holds {there or 'nothing'}; expected one array of vectors x numbers in float16, float32 or float64"
        )
    if found[0].dtype.itemsize != 4 and 4 * found[0].shape[0] * found[0].shape[1] > MAX_BYTES:
        raise Refused(f"{path} would take more than {MAX_BYTES:,} bytes of memory; save its vectors as float32")
    return found[0]


def _from_npz(path: Path, notes: list[str]) -> tuple[np.ndarray, Names | None]:
    headers = npy_arrays.npz_headers(path)
    matrix = _matrix(path, headers)
    count, texts = matrix.shape[0], {}
    for header in headers:
        if header is matrix:
            continue
        known = header.name.lower() in (*IMAGE, *IDENTITY, "group", "groups")
        if len(header.shape) != 1 or header.dtype.kind not in "USiufb" or (header.shape[0] != count and not known):
            notes.append(f"the array {header.name!r} does not have one entry per vector and is not used")
        elif header.shape[0] != count:
            raise Damaged(f"{path} has {count:,} vectors, but {header.shape[0]:,} of {header.name!r}")
        else:
            texts[header.name] = _texts(path, npy_arrays.npz_array(path, header), header.name)
    chosen = chosen_columns(list(texts))
    names = None
    if "location" in chosen:
        frame = pd.DataFrame({what: texts[name] for what, name in chosen.items()})
        names = Names(path, frame, lambda rows: [f"row {row + 1}" for row in rows])
    elif texts:
        notes.append(f"there are no image names, so these arrays are not used: {', '.join(texts)}")
    return npy_arrays.npz_array(path, matrix), names


def _texts(path: Path, array: np.ndarray, name: str) -> np.ndarray:
    """(N,) objects: the texts of an array of text, bytes or numbers. Raises Damaged for what is no text."""
    with npy_arrays.plain_errors(path):
        values = [item.decode() if isinstance(item, bytes) else str(item) for item in array.tolist()]
    for row, value in enumerate(values):
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]", value):
            raise Damaged(f"{path}: {name} of row {row + 1} is not text: {value[:40]!r}")
    return np.array(values, dtype=object)


def _vector_columns(path: Path, schema: pa.Schema) -> list[str]:
    """The column of lists, or the columns of single numbers in their order. Raises Damaged."""
    lists = [field.name for field in schema if _is_vector(field.type)]
    named = [name for name in lists if name.lower() in VECTORS] or lists
    if len(named) == 1:
        return named
    series: dict[str, dict[int, str]] = {}
    for field in schema:
        match = re.fullmatch(r"(.*?)(\d{1,6})", field.name)
        if match and (pa.types.is_floating(field.type) or pa.types.is_integer(field.type)):
            series.setdefault(match[1], {})[int(match[2])] = field.name
    for numbered in sorted(series.values(), key=len, reverse=True):
        order = sorted(numbered)
        whole = len(order) >= _FEWEST and order[0] in (0, 1) and order[-1] - order[0] == len(order) - 1
        if whole and not lists and not {"p1", "p2"} <= set(schema.names):  # a pair table may have numbered models
            return [numbered[at] for at in order]
    raise Damaged(
        f"{path} has {len(lists) or 'no'} columns of lists of numbers; expected one, called embedding, or columns e0, "
        f"e1, ...; it has: {', '.join(schema.names)[:200]}"
    )


def _is_vector(kind: pa.DataType) -> bool:
    some = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return some and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))


def _is_unread(kind: pa.DataType) -> bool:
    return pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _parquet_shape(path: Path, file: pq.ParquetFile, columns: list[str]) -> tuple[int, int]:
    """(N, D) by the file's own account and its first row. Raises Damaged, and Refused for a size that cannot be true.

    The account of single columns would tell more, but pyarrow ends the process when it is damaged.
    """
    rows, kind = file.metadata.num_rows, file.schema_arrow.field(columns[0]).type
    if len(columns) > 1 or not _is_vector(kind):
        dims = len(columns)
    elif pa.types.is_fixed_size_list(kind):
        dims = kind.list_size
    else:
        first = next(file.iter_batches(1, columns=columns, use_pandas_metadata=False), None)
        dims = len(first.column(0)[0]) if first is not None and first.column(0)[0].is_valid else 0
    if rows <= 0 or dims <= 0:
        raise Damaged(f"{path} has {rows:,} rows of {dims:,} numbers; expected vectors of one length")
    size, claimed = path.stat().st_size, 4 * rows * dims
    if claimed > MAX_BYTES or claimed > max(_SMALL, _RATIO * size):
        raise Refused(f"{path} claims {claimed:,} bytes of vectors out of {size:,}")
    return rows, dims


def _from_parquet(path: Path, notes: list[str]) -> tuple[np.ndarray, Names | None]:
    with plain_errors(path, "a parquet file"), pa.OSFile(str(path), "rb") as handle:
        file = pq.ParquetFile(handle, page_checksum_verification=True)
        schema = file.schema_arrow
        columns = _vector_columns(path, schema)
        rows, dims = _parquet_shape(path, file, columns)
        vectors, start = np.empty((rows, dims), np.float32), 0
        for batch in file.iter_batches(_ROWS, columns=columns, use_pandas_metadata=False):
            vectors[start : start + len(batch)] = _batch(path, batch.select(columns), dims, start)
            start += len(batch)
    if start != rows:
        raise Damaged(f"{path} declares {rows:,} rows, but has {start:,}")
    unread = [field.name for field in schema if _is_unread(field.type)]
    others = [name for name in schema.names if name not in (*columns, *unread)]
    if len(unread) > (unread == columns):
        notes.append(f"columns not used: {', '.join(name for name in unread if name not in columns)}")
    if "location" not in chosen_columns(others):
        notes += [f"there are no image names, so these columns are not used: {', '.join(others)}"] if others else []
        return vectors, None
    return vectors, names_in(path, Header(tuple(schema.names), "", 0), others)


def _batch(path: Path, batch: pa.RecordBatch, dims: int, start: int) -> np.ndarray:
    """(rows, D) numbers of some rows. Raises Damaged for a missing number or list, or one of another length."""
    batch.validate(full=True)
    if not _is_vector(batch.schema.field(0).type):
        parts = list(batch.columns)
    else:
        lists = batch.column(0)
        flat = lists.flatten()
        if lists.null_count or len(flat) != len(lists) * dims:
            raise Damaged(f"{path}, rows {start + 1} to {start + len(batch)}: not all vectors have {dims} numbers")
        if not pa.types.is_fixed_size_list(lists.type) and (np.diff(lists.offsets.to_numpy()) != dims).any():
            raise Damaged(f"{path}, rows {start + 1} to {start + len(batch)}: not all vectors have {dims} numbers")
        parts = [flat]
    if any(part.null_count for part in parts):
        raise Damaged(f"{path}, rows {start + 1} to {start + len(batch)}: a number is missing")
    with np.errstate(over="ignore"):
        arrays = [part.to_numpy(zero_copy_only=False).astype(np.float32) for part in parts]
    return arrays[0].reshape(-1, dims) if len(arrays) == 1 else np.stack(arrays, axis=1)


def _with_table(path: Path, own: Names | None, id_table: Path | None) -> Names:
    """The names of the vectors: their file's own, those of an id table row by row, or both, by name."""
    if own is None:
        beside = [path.with_suffix(ending) for ending in TABLES]
        table = id_table or next((item for item in beside if item.is_file()), None)
        if table is None:
            raise FairLabError(
                f"{path} does not say which image each vector belongs to; give an id table, or put one next to it: "
                f"{beside[0].name}"
            )
        return read_names(table)
    if id_table is None:
        return own
    said = read_names(id_table)
    rows = pd.Index(said.frame["location"]).get_indexer(own.frame["location"])
    if (rows < 0).any():
        first = own.frame["location"].iloc[int(np.argmax(rows < 0))]
        raise Damaged(f"{id_table} lacks {int((rows < 0).sum()):,} of the images of {path}, e.g. {first!r}")
    known = said.frame.iloc[rows].reset_index(drop=True)
    further = [name for name in own.frame if name not in known]
    return Names(path, pd.concat([known, own.frame[further]], axis=1), own.places)


def _as_float32(path: Path, stored: np.ndarray, names: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """((N, D) float32, rows of vectors of zeros). Raises Damaged for a number that is not finite, as float32."""
    as_is = stored.dtype == np.float32 and stored.dtype.isnative and stored.flags.c_contiguous
    vectors = stored if as_is else np.empty(stored.shape, np.float32)
    zero = []
    for start in range(0, len(stored), _ROWS):
        rows = slice(start, start + _ROWS)
        if not as_is:
            with np.errstate(over="ignore"):
                vectors[rows] = stored[rows]
        finite = np.isfinite(vectors[rows]).all(axis=1)
        if not finite.all():
            row = start + int(np.argmin(finite))
            raise Damaged(
                f"{path}, row {row + 1} ({names.iloc[row]}): the vector holds NaN, or a number beyond float32"
            )
        zero.append(start + np.flatnonzero(~vectors[rows].any(axis=1)))
    return vectors, np.concatenate(zero)
