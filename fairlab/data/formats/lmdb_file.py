"""LMDB's data.mdb read in place: which keys there are and where the bytes of their values lie.

A file of pages: two meta pages (the one with the later transaction counts), branch and leaf pages of a B+ tree, and runs of
overflow pages for values that fit no page. liblmdb itself maps the file to memory and trusts it: a flipped bit in a page
number ends the process. Here every number is checked, and only the main database of a file is read.
Source: the structures MDB_meta, MDB_db, MDB_page and MDB_node of OpenLDAP's lmdb (mdb.c), data version 1, 64 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from fairlab.data.formats.recordio import RecordFile
from fairlab.errors import Damaged, FairLabError

MAGIC, VERSION = 0xBEEFC0DE, 1
_HEAD = 16
_META = struct.Struct("<IIQQ")
_DB = struct.Struct("<IHHQQQQQ")
_NODE = struct.Struct("<HHHH")
_BRANCH, _LEAF, _OVERFLOW = 1, 2, 4
_BIG, _SUB, _DUPLICATES = 1, 2, 4
_SIZES = tuple(1 << power for power in range(8, 17))
_MAX_DEPTH = 32
_NO_PAGE = (1 << 64) - 1
_AGAIN = "copy or download it again"


class Entry(NamedTuple):
    """A key and where its value lies in the file."""

    key: bytes
    offset: int
    size: int


class LmdbFile:
    """A data.mdb, read by pages. Raises FairLabError, Damaged."""

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, RecordFile(path)
        first = self._meta(self.file.read(0, 4096))
        if first is None:
            raise Damaged(f"{path} is not an LMDB file of version {VERSION}: its first page has a different signature")
        self.page = first[3]
        second = self._meta(self.file.read(self.page, 4096))
        metas = [meta for meta in (first, second) if meta is not None and meta[3] == self.page]
        _, self.root, self.entries, _ = max(metas)

    @staticmethod
    def _meta(content: bytes) -> tuple[int, int, int, int] | None:
        """(transaction, root, entries, page size) of a meta page; None for another page."""
        if len(content) < _HEAD + _META.size + 2 * _DB.size + 16:
            return None
        magic, version, _, _ = _META.unpack_from(content, _HEAD)
        free, main = (_DB.unpack_from(content, _HEAD + _META.size + place * _DB.size) for place in (0, 1))
        if magic != MAGIC or version & 0xFFFF != VERSION or free[0] not in _SIZES:
            return None
        transaction = struct.unpack_from("<Q", content, _HEAD + _META.size + 2 * _DB.size + 8)[0]
        return transaction, main[7], main[6], free[0]

    def items(self, tick: Callable[[int], None]) -> Iterator[Entry]:
        """Every key in its order; `tick(entries)` is called for each page. Raises Damaged."""
        done = 0
        waiting = [(self.root, 0)] if self.root != _NO_PAGE else []
        pages = self.file.size // self.page
        seen: set[int] = set()
        while waiting:
            number, depth = waiting.pop()
            if number >= pages or number in seen or depth > _MAX_DEPTH:
                raise self._damaged(number, "is outside the file, or belongs to two branches")
            seen.add(number)
            tick(done)
            content = self.file.read(number * self.page, self.page)
            flags, lower, upper = struct.unpack_from("<HHH", content, 10)
            if not _HEAD <= lower <= upper <= self.page or (lower - _HEAD) % 2:
                raise self._damaged(number, "has invalid bounds")
            places = struct.unpack_from(f"<{(lower - _HEAD) // 2}H", content, _HEAD)
            if flags & _BRANCH:
                waiting += [(self._child(number, content, place), depth + 1) for place in reversed(places)]
            elif flags & _LEAF and not flags & 0x60:
                for place in places:
                    yield self._entry(number, content, place)
                    done += 1
            else:
                raise self._damaged(number, "is neither a branch nor a leaf")
        if done != self.entries:
            raise Damaged(f"{self.path} has {done:,} keys, but its header says {self.entries:,}; {_AGAIN}")

    def _child(self, number: int, content: bytes, place: int) -> int:
        if place + _NODE.size > len(content):
            raise self._damaged(number, "has a node outside the page")
        low, high, flags, _ = _NODE.unpack_from(content, place)
        return low | high << 16 | flags << 32

    def _entry(self, number: int, content: bytes, place: int) -> Entry:
        if place + _NODE.size > len(content):
            raise self._damaged(number, "has a node outside the page")
        low, high, flags, length = _NODE.unpack_from(content, place)
        begin, size = place + _NODE.size + length, low | high << 16
        if flags & (_SUB | _DUPLICATES):
            raise FairLabError(f"{self.path} holds several databases or several values per key; only one is read")
        inside = 8 if flags & _BIG else size
        if begin + inside > len(content):
            raise self._damaged(number, "has a node that extends past its end")
        offset = number * self.page + begin
        if flags & _BIG:
            page = int.from_bytes(content[begin : begin + 8], "little")
            offset = page * self.page + _HEAD
            if offset + size > self.file.size or page < 2:
                raise self._damaged(number, "has a value outside the file")
        return Entry(content[place + _NODE.size : begin], offset, size)

    def _damaged(self, number: int, text: str) -> Damaged:
        return Damaged(f"{self.path}, page {number}: it {text}; {_AGAIN}")
