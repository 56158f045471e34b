"""Large tables, CSV or parquet, read column by column: a million rows in seconds, and the place of each row kept.

Cells that repeat (names, identities, groups) are held once, as codes and values. What a table may not have is an error
with file and line (in parquet: row). Line breaks and other control characters are in no cell, so a lost quote that
swallows lines is seen, whatever the column.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from fairlab.data.formats.spreadsheets import is_disarmed, restored
from fairlab.data.formats.table_headers import Header, plain_errors
from fairlab.errors import Damaged, FairLabError
from fairlab.reading.table_text import EMPTY, MAX_TEXT, decoded, trimmed, without_point_zero

MAX_BYTES = 4 << 30
MAX_ROWS = 20_000_000
"""What fits into the memory of a usual computer: a row takes some 450 bytes while it is read."""
MAX_CELLS = 400_000_000
MAX_TRANSCODED = 512 << 20
"""Bytes of a table in UTF-16 or UTF-32, which is held whole: a spreadsheet's million rows stay below."""
_DECIMAL_COMMA = r"^([+-]?(\d+(,\d*)?|,\d+)([eE][+-]?\d+)?)?$"
_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # a tab may be in a name


@dataclass(frozen=True, eq=False)
class Texts:
    """A column of text: row i holds values[codes[i]]; each value stands once."""

    codes: np.ndarray
    values: list[str]

    @classmethod
    def joined(cls, codes: np.ndarray, values: Sequence[str]) -> Texts:
        """From `values` of which some may be equal."""
        index = {value: at for at, value in enumerate(dict.fromkeys(values))}
        if len(index) < len(values):
            codes = np.array([index[value] for value in values], np.int32)[codes]
        return cls(codes, list(index))

    def of(self, row: int) -> str:
        """The text of a row."""
        return self.values[self.codes[row]]


class ColumnTable:
    """The wanted columns of a table file. `rows`: how many; names are those of the header."""

    def __init__(self, path: Path, header: Header, wanted: Sequence[str], text: Collection[str] = ()) -> None:
        """Read `wanted` columns; those also in `text` repeat few values. Raises FairLabError, Damaged."""
        doubled = [name for name in wanted if header.names.count(name) > 1]
        if doubled:
            raise Damaged(f"{path}: the column {doubled[0]!r} appears more than once")
        self.path, self.header = path, header
        self._utf8 = b"" if header.encoding.startswith("utf-8") else self._transcoded()
        self._kept: np.ndarray | None = None
        self._plain = False  # do rows and lines go together, with no blank line between?
        table = self._from_parquet(wanted) if not header.separator else self._from_text(wanted, text)
        self.rows = table.num_rows
        if self.rows == 0:
            raise Damaged(f"{path} has no rows")
        self._columns = dict(zip(wanted, table.columns, strict=True))
        self._raw: dict[str, tuple[np.ndarray, list[str]]] = {}
        self.open_end = bool(header.separator) and self._check_lines()
        if header.separator:
            self._without_empty_rows()
        self._restore = bool(header.separator) and all(is_disarmed(self._codes(name)[1]) for name in text)

    def _from_text(self, wanted: Sequence[str], text: Collection[str]) -> pa.Table:
        self._check_size(MAX_BYTES)
        header, kind = self.header, "a table"
        keys = [str(at) for at in range(len(header.names))]  # the header's own names may stand there twice
        chosen = [keys[header.names.index(name)] for name in wanted]
        types = {key: _DICTIONARY if name in text else pa.string() for key, name in zip(chosen, wanted, strict=True)}
        try:
            with pa.BufferReader(self._utf8) if self._utf8 else pa.OSFile(os.fspath(self.path), "rb") as handle:
                return pa.csv.read_csv(
                    handle,
                    pa.csv.ReadOptions(column_names=keys, skip_rows=header.line),
                    pa.csv.ParseOptions(
                        delimiter=header.separator,
                        quote_char='"' if header.quoted else False,
                        newlines_in_values=header.quoted,
                    ),
                    pa.csv.ConvertOptions(
                        column_types=types, include_columns=chosen, null_values=[], strings_can_be_null=False
                    ),
                )
        except (pa.ArrowException, OSError, MemoryError) as error:
            self._scan()  # says which line
            with plain_errors(self.path, kind):
                raise error

    def _check_size(self, most: int) -> None:
        size = self.path.stat().st_size
        if size > most:
            raise FairLabError(f"{self.path} has {size:,} bytes, more than {most:,}; divide the table")

    def _transcoded(self) -> bytes:
        """The whole file as UTF-8. Raises FairLabError, Damaged."""
        self._check_size(MAX_TRANSCODED)
        with plain_errors(self.path, "a table"):
            return decoded(self.path, self.path.read_bytes()).encode()

    def _open(self) -> BinaryIO:
        return io.BytesIO(self._utf8) if self._utf8 else open(self.path, "rb")

    def _from_parquet(self, wanted: Sequence[str]) -> pa.Table:
        with plain_errors(self.path, "a parquet file"), pa.OSFile(os.fspath(self.path), "rb") as handle:
            schema = pq.read_schema(handle)
            handle.seek(0)
            # Text as codes into its distinct values: a file of a few kilobytes can repeat a long text millions of times.
            coded = [field.name for field in schema if _is_text(field.type)]
            file = pq.ParquetFile(handle, page_checksum_verification=True, read_dictionary=coded)
            rows = file.metadata.num_rows
            if rows > MAX_ROWS or rows * len(wanted) > MAX_CELLS:
                raise FairLabError(
                    f"{self.path} has {rows:,} rows of {len(wanted):,} columns, more than {MAX_ROWS:,} rows or "
                    f"{MAX_CELLS:,} cells; divide it"
                )
            if any(name not in file.schema_arrow.names for name in wanted):
                raise Damaged(f"{self.path} is missing columns that its schema declares")
            table = file.read(columns=list(wanted), use_pandas_metadata=False).select(list(wanted))
            table.validate(full=True)
            return table

    def _without_empty_rows(self) -> None:
        """Leave out rows without any cell, as spreadsheets save them below a table. Raises Damaged when none is left."""
        if any(column[-1].as_py() for column in self._columns.values()):
            return
        filled = [pc.not_equal(pc.cast(column, pa.string()), "").to_numpy() for column in self._columns.values()]
        rows = np.logical_or.reduce(filled)
        if not rows.any():
            raise Damaged(f"{self.path} has no rows with cells")
        self._columns = {name: column.filter(pa.array(rows)) for name, column in self._columns.items()}
        self.keep(rows)

    # ---- where a row stands

    def _check_lines(self) -> bool:
        """See that no quote swallowed lines; True when the last line has no end, as in a file that was cut."""
        ends, last = 0, b""
        with self._open() as handle:
            while block := handle.read(1 << 22):
                ends, last = ends + block.count(b"\n"), block[-1:]
        open_end = last not in (b"\n", b"\r")
        self._plain = ends + open_end == self.header.line + self.rows
        if not self._plain:
            found = self._scan()
            if found != self.rows:
                raise Damaged(
                    f"{self.path} has {found:,} lines with cells, but {self.rows:,} were read; check its quotes"
                )
        return open_end

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """(line, cells) of every row, slowly. Raises Damaged."""
        number = self.header.line
        try:
            with io.TextIOWrapper(self._open(), encoding="utf-8-sig", newline="") as handle:
                for _ in range(self.header.line):
                    handle.readline()
                separator = self.header.separator
                if self.header.quoted:
                    reader = csv.reader(handle, delimiter=separator)
                else:
                    reader = csv.reader(handle, delimiter=separator, quoting=csv.QUOTE_NONE)
                for cells in reader:
                    if cells:
                        yield number + 1, cells
                    number = self.header.line + reader.line_num
        except UnicodeDecodeError as error:
            raise Damaged(
                f"{self.path}, after line {number}: this is not UTF-8 text; save the table as UTF-8"
            ) from error
        except csv.Error as error:
            raise Damaged(f"{self.path}, line {number + 1}: {error}") from error
        except OSError as error:
            raise FairLabError(f"could not read {self.path}: {error.strerror or error}") from error

    def _scan(self) -> int:
        """Count the rows one by one. Raises Damaged naming the first line that is wrong."""
        count, width = 0, len(self.header.names)
        for line, cells in self._lines():
            count += 1
            if len(cells) != width:
                raise Damaged(f"{self.path}, line {line}: {len(cells)} cells, expected {width} as in the header")
            if any(_CONTROL.search(cell) for cell in cells):
                raise Damaged(f"{self.path}, line {line}: a cell holds a line break or a control character")
        return count

    def places(self, rows: Iterable[int]) -> tuple[str, ...]:
        """Where rows stand: "line 12" of a text, "row 11" (from 1) of a parquet file."""
        rows = [int(row if self._kept is None else self._kept[row]) for row in rows]
        if not self.header.separator:
            return tuple(f"row {row + 1}" for row in rows)
        if self._plain or not rows:
            return tuple(f"line {self.header.line + 1 + row}" for row in rows)
        lines, last = {}, max(rows)
        for row, (line, _) in enumerate(self._lines()):
            lines[row] = line
            if row == last:
                break
        return tuple(f"line {lines[row]}" for row in rows)

    def keep(self, rows: np.ndarray) -> None:
        """From now on row i is the i-th of `rows` (P,) bool that is kept; for those who left out the others."""
        kept = np.flatnonzero(rows)
        self._kept = kept if self._kept is None else self._kept[kept]
        self.rows = len(kept)

    def wrong(self, row: int, message: str) -> Damaged:
        """The error to raise for a row."""
        return Damaged(f"{self.path}, {self.places([row])[0]}: {message}")

    # ---- what a column holds

    def _codes(self, name: str) -> tuple[np.ndarray, list[str]]:
        """A column's texts as they stand in the file. Raises Damaged for what is no text or holds control characters."""
        if name in self._raw:
            return self._raw[name]
        column = self._columns.pop(name)
        with plain_errors(self.path, f"a table with text in the column {name!r}"):
            if not pa.types.is_dictionary(column.type):
                column = _as_text(column).dictionary_encode()
            joined = column.unify_dictionaries().combine_chunks()
            values = pc.cast(joined.dictionary, pa.string()).to_pylist()
        indices = joined.indices
        if indices.null_count:
            indices, values = pc.fill_null(indices, len(values)), [*values, ""]
        codes, values = indices.to_numpy(zero_copy_only=False), ["" if value is None else value for value in values]
        if self._kept is not None:  # values of rows that were left out are no values of the table
            used, codes = np.unique(codes, return_inverse=True)
            values = [values[code] for code in used]
        long = next((code for code, value in enumerate(values) if len(value) > MAX_TEXT), None)
        if long is not None:
            message = f"{name} has {len(values[long]):,} characters, expected at most {MAX_TEXT:,}"
            raise self.wrong(int(np.argmax(codes == long)), message)
        bad = [code for code, value in enumerate(values) if _CONTROL.search(value)]
        if bad:
            raise self.wrong(int(np.argmax(codes == bad[0])), f"{name} holds a line break or a control character")
        self._raw[name] = codes, values
        return codes, values

    def texts(self, name: str) -> Texts:
        """A column of text, such as names of images, "" where a cell is empty. Raises Damaged."""
        codes, values = self._codes(name)
        return Texts.joined(
            codes, self._restored([value.strip() for value in values] if self.header.padded else values)
        )

    def ids(self, name: str) -> Texts:
        """A column of people, groups or labels: without blanks around them, 7.0 as 7 in a column of whole numbers, and ""
        also where a program wrote NaN, null or the like. Raises Damaged."""
        codes, values = self._codes(name)
        values = self._restored(without_point_zero([trimmed(value) for value in values]))
        return Texts.joined(codes, ["" if value in EMPTY else value for value in values])

    def _restored(self, values: list[str]) -> list[str]:
        return [restored(value) for value in values] if self._restore else values

    def numbers(self, name: str) -> np.ndarray | None:
        """(rows,) float64 of a column, NaN where a cell is empty; None when it is no column of numbers.

        It is one when more than half of the cells that are not empty hold a number. Raises Damaged for those that do not,
        and for what is not finite.
        """
        column = self._columns[name]
        if pa.types.is_boolean(column.type) or pa.types.is_nested(column.type):
            return None
        if not _is_text(column.type):
            if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
                return None
            empty = pc.is_null(column).to_numpy()
            values = pc.cast(column, pa.float64(), safe=False).to_numpy()
            self._finite(name, values, empty)
            return np.where(empty, np.nan, values)
        codes = None
        if pa.types.is_dictionary(column.type):
            codes, distinct = self._codes(name)
            column = pa.chunked_array([pa.array(distinct, pa.string())])
        with plain_errors(self.path, f"a table with text in the column {name!r}"):
            column = pc.utf8_trim_whitespace(pc.fill_null(_as_text(column), ""))
        empty = pc.equal(column, "").to_numpy()
        if empty.all():
            return None
        if pc.all(pc.match_substring_regex(column, _DECIMAL_COMMA)).as_py():
            column = pc.replace_substring(column, ",", ".")
        try:
            values = pc.cast(pc.if_else(pc.equal(column, ""), "nan", column), pa.float64()).to_numpy()
        except pa.ArrowInvalid:
            good = pc.match_substring_regex(column, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$").to_numpy()
            if 2 * good.sum() <= (~empty).sum():
                return None
            at = int(np.argmax(~good & ~empty))
            cell = column[at].as_py()[:40]
            hint = f" (write {cell.replace(',', '.')})" if re.fullmatch(r"[+-]?\d+,\d+", cell) else ""
            row = at if codes is None else int(np.argmax(codes == at))
            raise self.wrong(row, f"{name} is {cell!r}, expected a number{hint}") from None
        if codes is not None:
            values, empty = values[codes], empty[codes]
        self._finite(name, values, empty)
        self._columns.pop(name, None)  # text takes more room than numbers
        return values

    def _finite(self, name: str, values: np.ndarray, empty: np.ndarray) -> None:
        bad = ~np.isfinite(values) & ~empty
        if bad.any():
            row = int(np.argmax(bad))
            raise self.wrong(row, f"{name} is {values[row]}; expected a finite number, or nothing where there is none")


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of a parquet file as text; whole numbers without ".0", which pandas adds where some are missing."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        whole = pc.equal(pc.floor(column), column)
        if pc.all(whole, skip_nulls=True, min_count=0).as_py():
            column = pc.cast(column, pa.int64())
    return pc.cast(column, pa.string())
