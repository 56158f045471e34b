"""Readings as event files of TensorBoard, runs/<run>/tensorboard; TensorBoard itself is not needed to write them.

A file is a row of TFRecords (length, masked CRC-32C of it, data, masked CRC-32C of them; little-endian), each an Event in
protobuf (tensorflow/core/util/event.proto: 1 wall_time double, 2 step, 3 file_version, 5 summary, 7 session_log).

Why not torch.utils.tensorboard.SummaryWriter: a full disk ends it. Of a record that does not fit it leaves a part in the
file (10 of its bytes in the test), and after the disk has space again every further reading raises the same OSError; what
is written behind such a part would not be shown either. A reading must not get lost, so the part is cut off here. It also
needs tensorboard 2.21, 55 MB with what it needs in turn.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any

from fairlab.errors import Damaged, FairLabError
from fairlab.files import explain
from fairlab.jobs.loggers.base import LOGGERS
from fairlab.reading.structured import parse_json
from fairlab.settings.loggers import Loggers
from fairlab.store.events import FILE
from fairlab.store.runs import RunRecord

FOLDER = "tensorboard"
CASTAGNOLI = 0x82F63B78
"""The polynomial of CRC-32C, reflected (RFC 3720, appendix B.4)."""


@LOGGERS.register("tensorboard", title="TensorBoard", sentence="event files next to the run's readings")
class TensorBoardFiles:
    """A file for each attempt. Steps that a resumed run does again replace those that it had done."""

    def __init__(self, record: RunRecord, attempt: int, settings: Loggers) -> None:
        folder = record.folder / FOLDER
        self.path, self.attempt = folder / f"events.out.tfevents.{attempt:010d}.fairlab", attempt
        self.offset = 0
        if folder.is_dir() and (record.folder / FILE).exists():
            self.offset = _after_earlier(record, attempt)
        try:
            folder.mkdir(exist_ok=True)
            self.path.write_bytes(_record(_event(0, _bytes(3, b"brain.Event:2"))))
        except OSError as error:
            raise FairLabError(explain(error, self.path)) from error
        self._began = False

    def write(self, lines: Sequence[dict[str, Any]], offset: int) -> None:
        content = b""
        for line in lines:
            if not self._began and not content:  # session_log {1 status: START}: forget this step and all behind it
                content += _record(_event(line["step"], _bytes(7, _varint(1 << 3) + _varint(1))))
            content += _record(_event(line["step"], _bytes(5, _summary(line["values"]))))
        whole = None
        try:
            whole = self.path.stat().st_size
            with open(self.path, "ab") as file:
                file.write(content)
        except OSError as error:
            if whole is not None:
                with contextlib.suppress(OSError):  # half a record would hide all that are told after it
                    os.truncate(self.path, whole)
            raise FairLabError(explain(error, self.path)) from error
        self._began = self._began or bool(lines)

    def end(self, status: str) -> None: ...


def _after_earlier(record: RunRecord, attempt: int) -> int:
    """Where the lines of this attempt begin in events.jsonl."""
    place = 0
    with open(record.folder / FILE, "rb") as file:
        for line in file:
            try:
                number = parse_json(line, FILE).get("attempt")
            except Damaged:
                number = None
            if isinstance(number, int) and number >= attempt:
                break
            place += len(line)
    return place


def _summary(values: Mapping[str, float]) -> bytes:
    """Summary: 1 value* {1 tag, 2 simple_value float}."""
    pieces = (
        _bytes(1, name.encode()) + _varint(2 << 3 | 5) + struct.pack("<f", float(value))
        for name, value in values.items()
    )
    return b"".join(_bytes(1, piece) for piece in pieces)


def _event(step: int, content: bytes) -> bytes:
    number = _varint(2 << 3) + _varint(step) if step else b""  # 0 is what is not written
    return _varint(1 << 3 | 1) + struct.pack("<d", time.time()) + number + content


def _bytes(number: int, content: bytes) -> bytes:
    """A field of bytes."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", _masked(length)) + data + struct.pack("<I", _masked(data))


def _masked(data: bytes) -> int:
    """TFRecord's mask over CRC-32C: a checksum of data that hold checksums would be weak."""
    value = crc32c(data)
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ CASTAGNOLI * (value & 1)
        table.append(value)
    return table


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of the data."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 255] ^ value >> 8
    return value ^ 0xFFFFFFFF
