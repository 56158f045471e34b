"""Protobuf's wire format, one message at a time: enough to look through a stranger's file before a parser in C++ sees it.

A message is a row of fields. A field is the varint number << 3 | wire type, then a varint (0), 8 bytes (1), a varint
length and that many bytes (2), or 4 bytes (5). Nested messages stay views of the file until they are asked for, so
nothing is copied, and the caller bounds the depth. Source: protobuf.dev, "Encoding".

Two parsers must never see different things in one file. So where parsers may differ (a single field that appears twice, a
number that nobody declared, another wire type than declared, groups, varints beyond 64 bits) a file is refused; no
exporter writes these.

Why not `onnx.load_model_from_string`: it builds every message before anything can be checked, and a message of 2 bytes
takes 150 to 190. A file of 10 MB of empty nodes takes 744 MB, of empty attributes 971 MB, and files of 1 GB are read; here
both are refused after 96 MB. It also passes over numbers that nobody declared. What it saves is this file, not the walk in
onnx_file; it costs half a second of import and 36 MB of packages (onnx 1.23), also to those who only look at a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fairlab.errors import Damaged, Refused

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
"""Wire types."""
WIRES = {"varint": VARINT, "eight": EIGHT, "bytes": BYTES, "four": FOUR}
MOST_FIELDS = 500_000
"""In one file, read in 1.4 s. iResNet-100 exported by torch has 8,569."""
_PIECE = 1 << 20


@dataclass(frozen=True)
class Field:
    """One field of a message; `many` fields may stand any number of times, and their numbers may be packed into bytes."""

    name: str
    wire: int
    many: bool


@dataclass(frozen=True)
class Message:
    """The fields that a kind of message has, by number."""

    name: str
    fields: Mapping[int, Field]


def message(name: str, text: str) -> Message:
    """A message from text such as "1 node bytes*, 2 name bytes": number, name, wire type, * for many."""
    rows = (part.split() for part in text.split(","))
    fields = {int(number): Field(field, WIRES[wire.rstrip("*")], wire.endswith("*")) for number, field, wire in rows}
    return Message(name, fields)


class Reader:
    """Reads the messages of one file and gives up after `MOST_FIELDS` fields."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._left = MOST_FIELDS

    def read(self, data: memoryview, kind: Message) -> dict[str, list[Any]]:
        """Every field of `kind` by name, with its values in the file's order; a field that is not there has none.

        Varints are integers 0..2^64-1, all else (and packed numbers) views of `data`. Raises Damaged, Refused.
        """
        found: dict[str, list[Any]] = {field.name: [] for field in kind.fields.values()}
        at = 0
        while at < len(data):
            self._left -= 1
            if self._left < 0:
                raise Refused(f"{self.path} has more than {MOST_FIELDS} fields, far more than a face network needs")
            tag, at = self._varint(data, at)
            field = kind.fields.get(tag >> 3)
            if field is None:
                raise self.damaged(f"{kind.name} has no field {tag >> 3}")
            wire = tag & 7
            if wire != field.wire and not (wire == BYTES and field.many):
                raise self.damaged(f"{kind.name}.{field.name} is not written as it should be")
            values = found[field.name]
            if values and not field.many:
                raise self.damaged(f"{kind.name}.{field.name} appears twice")
            if wire == VARINT:
                value, at = self._varint(data, at)
                values.append(value)
                continue
            length = 4 if wire == FOUR else 8
            if wire == BYTES:
                length, at = self._varint(data, at)
            if length > len(data) - at:
                raise self.damaged(f"{kind.name}.{field.name} ends after its end")
            values.append(data[at : at + length])
            at += length
        return found

    def integers(self, values: list[Any], most: int) -> list[int]:
        """At most `most` signed 64-bit numbers of a varint field, packed or not. Raises Damaged."""
        numbers = [number for value in values for number in self._unpacked(value, most)]
        if len(numbers) > most:
            raise self.damaged(f"a list of numbers is longer than {most}")
        return [number - (1 << 64) if number >> 63 else number for number in numbers]

    def _unpacked(self, value: int | memoryview, most: int) -> Iterator[int]:
        if isinstance(value, int):
            yield value
            return
        at = 0
        for _ in range(most + 1):
            if at == len(value):
                return
            number, at = self._varint(value, at)
            yield number

    def _varint(self, data: memoryview, at: int) -> tuple[int, int]:
        """The number at byte `at`, and where it ends."""
        value = 0
        for place, byte in enumerate(data[at : at + 10]):
            value |= (byte & 127) << 7 * place
            if byte < 128:
                if value >> 64:
                    break
                return value, at + place + 1
        raise self.damaged("a number is cut off or longer than 64 bits")

    def damaged(self, reason: str) -> Damaged:
        """The error that names this file."""
        return Damaged(f"{self.path} is not a whole ONNX model ({reason}); copy or export it again")


def count(values: list[Any], wire: int) -> int:
    """How many numbers a `many` field of that wire type holds, packed or not, without decoding them."""
    return sum(1 if wire == VARINT and isinstance(value, int) else _packed(value, wire) for value in values)


def _packed(value: memoryview, wire: int) -> int:
    if wire != VARINT:  # a number that is not packed has just its own 4 or 8 bytes
        return len(value) // (4 if wire == FOUR else 8)
    pieces = (value[at : at + _PIECE] for at in range(0, len(value), _PIECE))
    return sum(int(np.count_nonzero(np.frombuffer(piece, np.uint8) < 128)) for piece in pieces)


def written(kind: Message, fields: Mapping[str, list[Any]]) -> bytes:
    """A message of the fields that `Reader.read` gives, in the order of their numbers. Raises nothing for such fields."""
    parts: list[bytes | memoryview] = []
    for number, field in sorted(kind.fields.items()):
        for value in fields[field.name]:
            if isinstance(value, int):
                parts += [_as_varint(number << 3 | VARINT), _as_varint(value)]
                continue
            wire = field.wire if field.wire != VARINT and not field.many else BYTES
            parts.append(_as_varint(number << 3 | wire))
            if wire == BYTES:  # numbers of a field of many may stand packed, one of them too
                parts.append(_as_varint(len(value)))
            parts.append(value)
    return b"".join(parts)


def _as_varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
