"""MXNet RecordIO, the container of train.rec: where its records begin, what their headers say, their bytes.

The file is a chain, all numbers little-endian: uint32 magic, uint32 part << 29 | length, `length` bytes, and zeros
up to a multiple of 4. Part 0 is a whole record; where the data held the magic number at a multiple of 4, the writer
dropped those 4 bytes and cut: parts 1, 2 ..., 3, joined again with the magic between them. The data of a record are
the 24 bytes flag uint32, label float32, id uint64, id2 uint64, then `flag` float32 labels, then an image or nothing.
Source: the formats of dmlc-core (recordio.h) and Apache MXNet (recordio.py).

There is no checksum: a flipped bit inside a label or an image cannot be seen here.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.errors import Damaged, FairLabError, Stopped

MAGIC = 0xCED7230A
HEADER_BYTES = 24
NOTHING, JPEG, PNG, OTHER = range(4)
"""What follows the labels of a record, by its first bytes."""

_PART = struct.Struct("<II")
_LENGTH = (1 << 29) - 1
_BLOCK_BYTES = 4 << 20  # measured: below, the calls per block cost; above, nothing is gained
_AGAIN = "copy or download it again"

Progress = Callable[[int, int], None]
Stop = Callable[[], bool]


class _Descriptor:
    """A descriptor of this process, closed when nobody holds it any longer."""

    def __init__(self, path: Path) -> None:
        self.pid = os.getpid()
        self.number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def __del__(self) -> None:
        if hasattr(self, "number"):  # not when opening failed
            os.close(self.number)


class RecordFile:
    """A .rec file read at offsets: no position is shared, so threads, forks and pickled copies may read at once.

    Every process opens the file for itself, when it first reads. Raises FairLabError when there is no such file.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise FairLabError(f"{path} is not a file; choose the .rec file of the data set")
        self.path = path
        facts = path.stat()
        self.size, self._modified_ns = facts.st_size, facts.st_mtime_ns
        self._descriptor: _Descriptor | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_descriptor": None}

    def _open(self) -> _Descriptor:
        descriptor = self._descriptor
        if descriptor is None or descriptor.pid != os.getpid():
            descriptor = _Descriptor(self.path)
            facts = os.fstat(descriptor.number)
            if (facts.st_size, facts.st_mtime_ns) != (self.size, self._modified_ns):
                raise Damaged(f"{self.path} is not the file that was opened first; open the data set again")
            self._descriptor = descriptor
        return descriptor

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from byte `offset`; fewer only at the end. Raises FairLabError when the disk fails."""
        try:
            if not hasattr(os, "pread"):  # Windows
                with open(self.path, "rb") as handle:
                    handle.seek(offset)
                    return handle.read(size)
            descriptor = self._open()
            content = os.pread(descriptor.number, size, offset)
            while content and len(content) < size and offset + len(content) < self.size:  # a system may give less
                more = os.pread(descriptor.number, size - len(content), offset + len(content))
                if not more:
                    break
                content += more
        except OSError as error:
            raise FairLabError(f"could not read {self.path}: {error.strerror or error}") from error
        return content

    def data(self, offset: int, size: int) -> bytes:
        """Data of the record that takes bytes offset .. offset + size of the file. Raises Damaged."""
        raw = self.read(offset, size)
        if len(raw) == size >= _PART.size:  # nearly all records: whole, in one piece
            magic, length = _PART.unpack_from(raw)
            if magic == MAGIC and size == 8 + (length + 3 & ~3) and not any(raw[8 + length :]):
                return raw[8 : 8 + length]
        data, end = self._join(offset, offset + size, lambda at, n: raw[at - offset : at - offset + n])
        if end != offset + size:
            raise Damaged(
                f"the record at byte {offset} of {self.path} has changed since the file was opened; open it again"
            )
        return data

    def record_at(self, offset: int) -> tuple[bytes, int]:
        """Data of the record that begins at byte `offset`, and the byte behind it. Raises Damaged."""
        return self._join(offset, self.size, self.read)

    def _join(self, offset: int, limit: int, fetch: Callable[[int, int], bytes]) -> tuple[bytes, int]:
        """Read a record part by part with `fetch(byte, count)`; nothing of it may lie behind `limit`."""
        this = f"the record at byte {offset} of {self.path}"
        parts: list[bytes] = []
        at = offset
        while True:
            head = fetch(at, _PART.size)
            if len(head) < _PART.size:
                raise Damaged(
                    f"{this} is cut off: its header at byte {at} needs 8 bytes, but the file ends at {limit}; {_AGAIN}"
                )
            magic, word = _PART.unpack(head)
            kind, length = word >> 29, word & _LENGTH
            end = at + 8 + (length + 3 & ~3)
            if magic != MAGIC:
                raise Damaged(f"{this} should show the magic number {MAGIC:#x} at byte {at}, not {magic:#x}; {_AGAIN}")
            if kind not in ((2, 3) if parts else (0, 1)):
                right = "2 or 3 must follow" if parts else "0 or 1 must come first"
                raise Damaged(f"{this} has its parts out of order: {right}, but byte {at} holds part {kind}; {_AGAIN}")
            if end > limit:
                raise Damaged(f"{this} is cut off: it would run to byte {end}, but the file ends at {limit}; {_AGAIN}")
            body = fetch(at + 8, end - at - 8)
            if len(body) != end - at - 8 or any(body[length:]):
                raise Damaged(f"{this} should be padded with zeros up to byte {end}; {_AGAIN}")
            parts.append(body[:length])
            at = end
            if kind in (0, 3):
                return _PART.pack(MAGIC, 0)[:4].join(parts), end


@dataclass(frozen=True)
class Scan:
    """Every record of a file, in the file's order; arrays of N rows."""

    offsets: np.ndarray
    """(N,) int64: byte of the file where the record begins."""
    sizes: np.ndarray
    """(N,) int64: bytes it takes in the file, up to the next one."""
    keys: np.ndarray
    """(N,) int64: the id in its header, which is its key in the .idx; negative when beyond 2^63."""
    flags: np.ndarray
    """(N,) uint32: how many labels follow the header; 0 = the header's own."""
    labels: np.ndarray
    """(N, 2) float32: first and second label; NaN where there is no second."""
    contents: np.ndarray
    """(N,) uint8: NOTHING, JPEG, PNG or OTHER behind the labels."""

    def __len__(self) -> int:
        return len(self.offsets)


def scan(path: Path, progress: Progress | None = None, stop: Stop | None = None) -> Scan:
    """Find and check all records of a .rec file in one pass from its first to its last byte.

    `progress(done_bytes, total_bytes)` is called about twice a second, and so is `stop()`; when that is true, Stopped
    is raised. Raises FairLabError (no file) or Damaged, naming the first byte that is wrong: the chain of heads
    must reach the file's end exactly, every record must hold its header and labels, and be filled up with zeros.

    The file is read from front to back, with an .idx too: faces are a few kB, so a disk that visits the heads alone
    reads ahead over all the rest (measured with 7 kB records: 2.6 GB/s from disk for both), and reading everything
    proves the chain. No Python object is kept per record, but for the few that are split.
    """
    file = RecordFile(path)
    if file.size == 0:
        raise Damaged(f"{path} is empty: a .rec file holds at least one record; {_AGAIN}")
    runs: list[Scan] = []
    at, due = 0, 0.0
    while at < file.size:
        if time.monotonic() >= due:
            if stop is not None and stop():
                raise Stopped(f"reading {path} was stopped")
            if progress is not None:
                progress(at, file.size)
            due = time.monotonic() + 0.5
        at += _scan_block(file, at, runs)
    if progress is not None:
        progress(file.size, file.size)
    return Scan(*(np.concatenate([getattr(run, field.name) for run in runs]) for field in fields(Scan)))


def _scan_block(file: RecordFile, base: int, runs: list[Scan]) -> int:
    """Append the records of the block that begins at byte `base` to `runs`; return how many bytes they take.

    A writer leaves no aligned magic inside data, so every aligned magic begins a record: those are found at once,
    and the chain of lengths proves it. Whatever does not fit the chain (split, over the block's end, written by
    somebody who does not split, damaged) is read one by one, strictly.
    """
    block = file.read(base, _BLOCK_BYTES)
    words = np.frombuffer(block, "<u4", len(block) // 4)
    found = np.flatnonzero(words[:-1] == MAGIC)
    heads = words[found + 1]
    starts, lengths = 4 * found, (heads & _LENGTH).astype(np.int64)
    ends = starts + 8 + (lengths + 3 & ~3)
    fits = (heads >> 29 == 0) & (ends <= len(block))
    fits[:-1] &= ends[:-1] == starts[1:]
    breaks = np.append(np.flatnonzero(~fits), len(found))
    at = 0
    while at < len(block):
        first = int(np.searchsorted(starts, at))
        behind = int(breaks[np.searchsorted(breaks, first)]) if first < len(found) and starts[first] == at else first
        if behind > first:
            run = slice(first, behind)
            runs.append(_headers(file.path, words, starts[run], lengths[run], base, ends[run] - starts[run]))
            at = int(ends[behind - 1])
        else:
            data, end = file.record_at(base + at)
            alone = np.frombuffer(bytes(8) + data + bytes(-len(data) % 4), "<u4")  # as if it were whole
            size = np.array([end - base - at])
            runs.append(_headers(file.path, alone, np.array([0]), np.array([len(data)]), base + at, size))
            at = end - base
    return at


def _headers(
    path: Path, words: np.ndarray, starts: np.ndarray, lengths: np.ndarray, base: int, sizes: np.ndarray
) -> Scan:
    """Read the headers of whole records that begin at bytes `starts` (n,) of `words`, a block from byte `base`."""

    def refuse(wrong: np.ndarray, text: Callable[[int], str]) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise Damaged(f"the record at byte {base + int(starts[row])} of {path} {text(row)}; {_AGAIN}")

    refuse(lengths < HEADER_BYTES, lambda row: f"holds {lengths[row]} bytes, but its header alone takes {HEADER_BYTES}")
    word = starts // 4 + 2
    flags = words[word]
    left = lengths - HEADER_BYTES - 4 * flags.astype(np.int64)
    refuse(left < 0, lambda row: f"holds {lengths[row]} bytes, too few for the {flags[row]} labels it declares")
    filled = -lengths % 4
    last = words[(starts + 8 + lengths + filled) // 4 - 1].astype(np.uint64)
    spill = last >> (8 * (4 - filled)).astype(np.uint64)  # uint64: a shift by 32 leaves nothing
    refuse(spill != 0, lambda row: f"should be padded with {filled[row]} zero bytes")
    final = len(words) - 1  # an index behind the record's end is never used, it must only exist
    first, second = words[np.minimum(word + 6, final)], words[np.minimum(word + 7, final)]
    labels = np.empty((len(starts), 2), np.float32)
    labels[:, 0] = np.where(flags > 0, first, words[word + 1]).view(np.float32)
    labels[:, 1] = np.where(flags > 1, second.view(np.float32), np.float32("nan"))
    begin = words[np.minimum(word + 6 + flags.astype(np.int64), final)]
    contents = np.full(len(starts), OTHER, np.uint8)
    contents[(begin & 0xFFFFFF == 0xFFD8FF) & (left >= 3)] = JPEG
    contents[(begin == 0x474E5089) & (left >= 4)] = PNG
    contents[left == 0] = NOTHING
    keys = words[word + 2].astype(np.int64) | words[word + 3].astype(np.int64) << 32
    return Scan(starts.astype(np.int64) + base, sizes.astype(np.int64), keys, flags, labels, contents)


def index_keys(index: Path, scanned: Scan) -> tuple[np.ndarray | None, str]:
    """Keys of the scanned records by the text file `index`, one `key<TAB>byte` a line in any order: ((N,) int64, "").

    (None, why) when the index does not name every record exactly once. Raises Damaged when the index is right but
    extends past the end: then records are missing from the .rec file.
    """
    if not index.is_file():
        return None, f"{index.name} is missing"
    try:
        table = pd.read_csv(index, sep="\t", header=None, dtype=np.int64, quoting=3, encoding="ascii")
    except (ValueError, OverflowError, OSError):  # pandas' own errors are ValueErrors
        return None, f"{index.name} does not have a key and a byte offset in every line"
    if table.shape[1] != 2:
        return None, f"{index.name} should have two columns, key and byte offset, not {table.shape[1]}"
    table = table.sort_values(1, kind="stable")
    keys, offsets = table[0].to_numpy(), table[1].to_numpy()
    common = min(len(offsets), len(scanned))
    end = int(scanned.offsets[-1] + scanned.sizes[-1])
    if (offsets[:common] != scanned.offsets[:common]).any() or len(offsets) != len(scanned):
        if common == len(scanned) and (offsets[:common] == scanned.offsets).all() and offsets[common] == end:
            raise Damaged(
                f"{index.with_suffix('.rec')} ends at byte {end} after {common} records, but {index.name} lists"
                f" {len(offsets)}; {_AGAIN}"
            )
        return None, _misfit(index.name, offsets, scanned.offsets, end)
    if keys.min() < 0 or len(np.unique(keys)) < len(keys):
        return None, f"{index.name} has a negative or duplicate key"
    return keys, ""


def _misfit(name: str, offsets: np.ndarray, records: np.ndarray, end: int) -> str:
    """Why sorted `offsets` (M,) of an .idx are not those of the `records` (N,) of a file that ends at `end`."""
    if offsets[0] < 0 or offsets[-1] >= end:
        return f"{name} names byte {offsets[0] if offsets[0] < 0 else offsets[-1]}, which is outside the file"
    wrong = ~np.isin(offsets, records)
    if wrong.any():
        return f"{name} names byte {offsets[np.argmax(wrong)]}, where no record begins"
    if (offsets[1:] == offsets[:-1]).any():
        return f"{name} names byte {offsets[np.argmax(offsets[1:] == offsets[:-1])]} twice"
    return f"{name} lists {len(offsets)} of {len(records)} records"
