"""MATLAB files of version 5 to 7 (.mat): numbers, text, cells and structs, and nothing else.

A file is a head of 128 bytes and then elements: type and size as uint32 (or, for up to 4 bytes, as uint16 halves of
one), then the bytes, filled up to 8. An array holds, as elements, its flags, its dimensions, its name and its content;
a variable may be compressed by zlib. Source: "MAT-File Format" of The MathWorks, chapter Level 5.

Why not scipy.io.loadmat: it runs no code of such a file either, but a damaged file can end the process. Of the 200
flipped bits of this reader's test (a file of 624 bytes), scipy 1.17 ends five in a segmentation fault and one is not done
after 20 s. It also makes space for as many cells as a file declares: 184 bytes that claim 20,000 x 20,000 cells take 2.3 GB
and more than 20 s. A compressed variable is unpacked whatever its size: 0.3 MB take 257 MB. Here an array may not have
more items than bytes follow.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fairlab.errors import Damaged, FairLabError, Refused

MAX_BYTES = 256 << 20
"""Of the file, and of what it holds when it is unpacked."""
_DEPTH = 16
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "utf-8", 2: "utf-8", 16: "utf-8", 4: "utf-16", 17: "utf-16", 18: "utf-32"}
_MATRIX, _PACKED = 14, 15
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMERIC = range(6, 16)
_REFUSED = {3: "an object", 5: "a sparse array", 16: "a function", 17: "an object"}


@dataclass(frozen=True)
class Cells:
    """A cell array: its dimensions, and its items column by column."""

    shape: tuple[int, ...]
    items: list[Any]


@dataclass(frozen=True)
class Structs:
    """An array of structs: its dimensions, and a dict of fields for every one, column by column."""

    shape: tuple[int, ...]
    items: list[dict[str, Any]]


class _Wrong(Exception):
    """Why a file cannot be read, as the end of a sentence."""


def read_mat(path: Path) -> dict[str, Any]:
    """The variables of a file by name: numbers as arrays, text as str, Cells and Structs.

    Raises FairLabError when it cannot be read or is of another version, Refused for objects and functions, Damaged for a
    file that is not whole.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FairLabError(f"{path} is larger than {MAX_BYTES:,} bytes; expected a list of pairs")
        content = path.read_bytes()
    except OSError as error:
        raise FairLabError(f"could not read {path}: {error.strerror or error}") from error
    if content[:10] == b"MATLAB 7.3" or content[512:516] == b"\x89HDF" or content[:4] == b"\x89HDF":
        raise FairLabError(f"{path} is a MATLAB file of version 7.3 (HDF5); save it in MATLAB with save(..., '-v7')")
    mark = content[126:128]
    if mark not in (b"IM", b"MI") or content[124:126] not in (b"\0\1", b"\1\0"):
        raise Damaged(f"{path} is not a MATLAB file of version 5 to 7, whose head ends in IM or MI")
    try:
        return _Reader(path, "<" if mark == b"IM" else ">").variables(content[128:])
    except (_Wrong, UnicodeDecodeError, zlib.error, struct.error) as error:
        raise Damaged(f"{path} is damaged: {error}; copy or download it again") from error


class _Reader:
    def __init__(self, path: Path, order: str) -> None:
        self.path, self.order, self.left = path, order, MAX_BYTES

    def variables(self, content: bytes) -> dict[str, Any]:
        found: dict[str, Any] = {}
        at = 0
        while at < len(content):
            kind, body, at = self.element(content, at)
            if kind == _PACKED:
                kind, body, _ = self.element(self.unpack(body), 0)
            if kind != _MATRIX:
                raise _Wrong(f"an element of type {kind} is in the place of a variable")
            name, value = self.array(body, 0)
            if name in found:
                raise _Wrong(f"the variable {name!r} appears twice")
            found[name] = value
        if not found:
            raise _Wrong("it holds no variable")
        return found

    def unpack(self, body: bytes) -> bytes:
        machine = zlib.decompressobj()
        content = machine.decompress(body, self.left)
        if machine.unconsumed_tail:
            raise Refused(f"{self.path} is refused: it holds more than {MAX_BYTES:,} bytes when it is unpacked")
        if not machine.eof:
            raise _Wrong("a compressed variable is cut off")
        self.left -= len(content)
        return content

    def element(self, content: bytes, at: int) -> tuple[int, bytes, int]:
        """(type, bytes, place behind) of the element at a place."""
        if at + 8 > len(content):
            raise _Wrong("an element is cut off")
        kind, size = struct.unpack_from(self.order + "II", content, at)
        if kind >> 16:  # both in one word, the bytes in the other
            kind, size, begin, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if size > 4:
                raise _Wrong("a short element has more than 4 bytes")
        else:
            begin = at + 8
            end = begin + (size if kind == _PACKED else -(-size // 8) * 8)
        if begin + size > len(content):
            raise _Wrong(f"an element of {size:,} bytes extends past the end")
        return kind, content[begin : begin + size], min(end, len(content))

    def array(self, body: bytes, depth: int) -> tuple[str, Any]:
        """(name, value) of an array."""
        if not body:  # an empty item of a cell array
            return "", np.zeros((0, 0))
        if depth > _DEPTH:
            raise _Wrong(f"arrays are nested more than {_DEPTH} deep")
        kind, flags, at = self.element(body, 0)
        if kind != 6 or len(flags) != 8:
            raise _Wrong("an array does not begin with its flags")
        word = struct.unpack(self.order + "I", flags[:4])[0]
        sort, is_complex = word & 0xFF, bool(word & 0x800)
        if sort in _REFUSED:
            raise Refused(f"{self.path} is refused: it holds {_REFUSED[sort]}; expected numbers, text, cells, structs")
        kind, dims, at = self.element(body, at)
        if kind != 5 or len(dims) < 8 or len(dims) % 4:
            raise _Wrong("an array has no dimensions")
        shape = struct.unpack(f"{self.order}{len(dims) // 4}i", dims)
        kind, name, at = self.element(body, at)
        if kind != 1:
            raise _Wrong("an array has no name")
        if min(shape) < 0 or math.prod(shape) > len(body):
            raise _Wrong(f"an array of {' x '.join(map(str, shape))} has too few bytes")
        return name.decode("ascii"), self.content(sort, is_complex, shape, body, at, depth)

    def content(self, sort: int, is_complex: bool, shape: tuple[int, ...], body: bytes, at: int, depth: int) -> Any:
        count = math.prod(shape)
        if sort == _CELL:
            return Cells(shape, self.several(body, at, count, depth))
        if sort == _STRUCT:
            _, width, at = self.element(body, at)
            _, names, at = self.element(body, at)
            length = struct.unpack(self.order + "i", width)[0]
            if length < 1 or len(names) % length:
                raise _Wrong("a struct has no names of its fields")
            fields = [names[k : k + length].partition(b"\0")[0].decode("ascii") for k in range(0, len(names), length)]
            if len(set(fields)) < len(fields):
                raise _Wrong("two fields of a struct have one name")
            values = self.several(body, at, count * len(fields), depth)
            step = len(fields)
            return Structs(shape, [dict(zip(fields, values[k * step :], strict=False)) for k in range(count)])
        kind, data, at = self.element(body, at) if count or at < len(body) else (2, b"", at)
        if sort == _CHAR:
            if kind not in _TEXTS:
                raise _Wrong(f"text is of type {kind}")
            endian = "" if _TEXTS[kind] == "utf-8" else "-le" if self.order == "<" else "-be"
            text = data.decode(_TEXTS[kind] + endian)
            if len(text) != count:
                raise _Wrong(f"a text of {count} letters has {len(text)}")
            return text
        if sort not in _NUMERIC or kind not in _NUMBERS or is_complex:
            raise _Wrong(f"an array is of class {sort} and type {kind}, or complex")
        numbers = (
            np.frombuffer(data, np.dtype(self.order + _NUMBERS[kind]))
            if len(data) % int(_NUMBERS[kind][1]) == 0
            else data
        )
        if len(numbers) != count:
            raise _Wrong(f"an array of {count} numbers has {len(data):,} bytes")
        return np.asarray(numbers).reshape(shape, order="F")

    def several(self, body: bytes, at: int, count: int, depth: int) -> list[Any]:
        """`count` arrays, one behind the other."""
        if 8 * count > len(body) - at:
            raise _Wrong(f"{count:,} items cannot fit in {len(body) - at:,} bytes")
        values = []
        for _ in range(count):
            kind, item, at = self.element(body, at)
            if kind != _MATRIX:
                raise _Wrong(f"an element of type {kind} is in the place of an array")
            values.append(self.array(item, depth + 1)[1])
        return values
