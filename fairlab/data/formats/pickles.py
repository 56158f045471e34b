"""What a pickle of bytes, flags and numpy arrays holds, found without running it and without loading its buffers.

A pickle is a program. An Unpickler with a list of allowed names still calls what it allows, allocates what a
file declares and grows its memo to any index. This machine knows only the operations that lists of bytes, flags
and numpy arrays are written with, in protocols 0 to 5, by Python 2 and 3 and numpy 1 and 2: a name is text to it,
a buffer is a place in the file, and the eight calls such pickles hold are rules. It imports nothing and calls
nothing that a file names, so there is no allow-list to get round.
Source: CPython Lib/pickletools.py, which documents every operation.
"""

from __future__ import annotations

import codecs
import io
import math
import struct
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, NoReturn

import numpy as np

MAX_BUFFER_BYTES = 32 << 20
_FEW_BUFFERS, _LEAST_BYTES = 10_000, 40  # no image takes fewer bytes: a file of empty entries holds none
MAX_STEPS = 4_000_000  # a numpy array in protocol 0 takes some 45 steps, bytes take 3
_MAX_LINE = 1000  # bytes of a number or name; a buffer written as a line may be as long as escapes make it
_MAX_ESCAPED = 6  # bytes that one byte may be written as: \u00ff

_NAMES = {
    **{("_codecs", "encode"): "encode", ("numpy", "ndarray"): "ndarray", ("numpy", "dtype"): "dtype"},
    **{(module, name): name for module in ("builtins", "__builtin__") for name in ("bytes", "bytearray", "bool")},
    **{(f"numpy.{core}.multiarray", name): name for core in ("core", "_core") for name in ("_reconstruct", "scalar")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): "_frombuffer" for core in ("core", "_core")},
}
_NUMBERS = ("b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")
_MARK = object()

_BUFFERS = {  # operation -> (format of the length before the buffer, text?); Python 2 wrote U and T
    b"U": ("<B", False), b"T": ("<i", False), b"C": ("<B", False), b"B": ("<I", False), b"\x8e": ("<Q", False),
    b"\x96": ("<Q", False), b"\x8c": ("<B", True), b"X": ("<I", True), b"\x8d": ("<Q", True),
}  # fmt: skip
_INTEGERS = {b"J": "<i", b"K": "<B", b"M": "<H"}
_CONSTANTS: dict[bytes, Any] = {b"N": None, b"\x88": True, b"\x89": False, b")": ()}
_FORBIDDEN = {  # reach code, or objects and buffers outside the file
    b"i": "INST", b"o": "OBJ", b"\x81": "NEWOBJ", b"\x92": "NEWOBJ_EX", b"P": "PERSID", b"Q": "BINPERSID",
    b"\x82": "EXT1", b"\x83": "EXT2", b"\x84": "EXT4", b"\x97": "NEXT_BUFFER", b"\x98": "READONLY_BUFFER",
}  # fmt: skip


class Unreadable(Exception):
    """What is wrong with a pickle, without the file's name."""


class Forbidden(Unreadable):
    """The pickle wants something that is never done for a file; the message begins "the pickle ..."."""


@dataclass(frozen=True, slots=True)
class Span:
    """A buffer: its place in the file and how its bytes are written there ("raw", "utf8", "line", "quoted")."""

    start: int
    length: int
    coding: str
    text: bool = False

    def read(self, file: BinaryIO | io.RawIOBase) -> bytes:
        """The bytes it stands for. Raises Unreadable."""
        file.seek(self.start)
        written = file.read(self.length)
        if written is None or len(written) != self.length:
            _wrong("it is truncated inside a buffer")
        try:
            if self.coding == "quoted":
                return bytes(codecs.escape_decode(written)[0])
            if self.coding == "utf8":
                return written.decode().encode("latin-1")
            if self.coding == "line":
                return written.decode("raw-unicode-escape").encode("latin-1")
        except ValueError as error:
            raise Unreadable(f"its buffer at byte {self.start} cannot be decoded") from error
        return written


@dataclass(slots=True)
class Kind:
    """A numpy dtype: "b1", "u1", "i8" ... and its byte order."""

    code: str
    order: str = "|"


@dataclass(slots=True)
class Array:
    """A numpy array or scalar (shape ()); it has no buffer until its state is set."""

    kind: Kind | None = None
    shape: tuple[int, ...] = ()
    data: Span | None = None

    def flat(self) -> tuple[Span, int]:
        """(buffer, its length in bytes when decoded) of an array with one side at most that is not 1.

        Raises Unreadable when it has more such sides, or a buffer that cannot have that length.
        """
        if self.kind is None or self.data is None:
            _wrong("one of its arrays has no content")
        if sum(side != 1 for side in self.shape) > 1:
            _wrong(f"one of its arrays has the shape {self.shape}, not one row")
        length = math.prod(self.shape) * int(self.kind.code[1:])
        most = length if self.data.coding == "raw" else length * _MAX_ESCAPED
        if not length <= self.data.length <= most:
            _wrong(f"an array of {length} bytes has a buffer of {self.data.length}")
        return self.data, length

    def numbers(self, file: BinaryIO) -> list[int]:
        """Its values. Raises Unreadable."""
        span, length = self.flat()
        assert self.kind is not None
        content = span.read(file)
        if len(content) != length:
            _wrong(f"an array of {length} bytes has a buffer of {len(content)}")
        values: list[int] = np.frombuffer(content, np.dtype(self.kind.order + self.kind.code)).tolist()
        return values


@dataclass(frozen=True, slots=True)
class _Name:
    name: str


def read_pickle(file: BinaryIO, size: int) -> tuple[Any, int]:
    """(what the pickle at the start of `file` holds, bytes after its end); `size`: the file's length in bytes.

    The result consists of None, bool, int, list, tuple, Span and Array. Raises Forbidden when the pickle wants
    more than that, Unreadable when it is no pickle or truncated. Memory: some 200 bytes per step of the pickle,
    MAX_STEPS at most, whatever sizes and indices the file declares.
    """
    return _Machine(file, size).run()


class _Machine:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.stack: list[Any] = []
        self.buffers_left = _FEW_BUFFERS + size // _LEAST_BYTES
        self.memo: dict[int, Any] = {}

    def run(self) -> tuple[Any, int]:
        for _ in range(MAX_STEPS):
            operation = self.file.read(1)
            if operation in _BUFFERS:
                length, text = _BUFFERS[operation]
                self.buffer(self.unpack(length), text)
            elif operation in _CONSTANTS:
                self.stack.append(_CONSTANTS[operation])
            elif operation in _INTEGERS:
                self.stack.append(self.unpack(_INTEGERS[operation]))
            elif operation == b".":
                if len(self.stack) != 1 or self.stack[0] is _MARK:
                    _wrong("its pickle ends too early")
                return self.stack[0], self.size - self.file.tell()
            elif operation in _FORBIDDEN:
                raise Forbidden(f"the pickle uses {_FORBIDDEN[operation]}")
            elif not operation:
                _wrong("it is truncated: the pickle has no end")
            else:
                self.step(operation)
        _wrong(f"its pickle takes more than {MAX_STEPS:,} steps")

    def step(self, operation: bytes) -> None:
        match operation:
            case b"q" | b"r" | b"p" | b"\x94":
                self.memo[self.index(operation)] = self.last()  # a dict: index 4 billion costs what index 0 does
            case b"h" | b"j" | b"g":
                index = self.index(operation)
                if index not in self.memo:
                    _wrong("its pickle names a value that it never had")
                self.stack.append(self.memo[index])
            case b"(":
                self.stack.append(_MARK)
            case b"a":
                self.extend(self.top(1))
            case b"e":
                self.extend(self.since_mark())
            case b"]":
                self.stack.append([])
            case b"l":
                self.stack.append(self.since_mark())
            case b"t":
                self.stack.append(tuple(self.since_mark()))
            case b"\x85" | b"\x86" | b"\x87":
                self.stack.append(tuple(self.top(operation[0] - 0x84)))
            case b"R":
                function, arguments = self.top(2)
                self.stack.append(self.call(function, arguments))
            case b"b":
                (state,) = self.top(1)
                self.build(self.last(), state)
            case b"\x93":
                self.name(*(self.word(part) for part in self.top(2)))
            case b"c":
                self.name(*(self.line().decode("latin-1") for _ in range(2)))
            case b"S":
                self.quoted_line()
            case b"V":
                self.line_buffer("line", 0, text=True)
            case b"I":
                line = self.line()
                self.stack.append(line == b"01" if line in (b"00", b"01") else self.number(line))
            case b"L":
                self.stack.append(self.number(self.line().removesuffix(b"L")))
            case b"\x8a":
                self.stack.append(int.from_bytes(self.exactly(min(self.unpack("<B"), 9)), "little", signed=True))
            case b"\x95":
                if self.unpack("<Q") > self.size - self.file.tell():
                    _wrong("it is truncated: a frame of the pickle is longer than the file")
            case b"\x80":
                version = self.unpack("<B")
                if version > 5:
                    _wrong(f"its pickle has protocol {version}, and 5 is the newest")
            case _:
                _wrong(f"byte {self.file.tell() - 1} ({operation!r}) is not a step of such a pickle")

    def exactly(self, count: int) -> bytes:
        content = self.file.read(count)
        if len(content) != count:
            _wrong("it is truncated inside the pickle")
        return content

    def unpack(self, layout: str) -> int:
        return int(struct.unpack(layout, self.exactly(struct.calcsize(layout)))[0])

    def line(self, limit: int = _MAX_LINE) -> bytes:
        line = self.file.readline(limit)
        if not line.endswith(b"\n"):
            _wrong("it is truncated, or a line of its pickle is too long")
        return line[:-1]

    def number(self, line: bytes) -> int:
        if not line.removeprefix(b"-").isdigit() or len(line) > 20:
            _wrong(f"{line[:20]!r} in its pickle is not a number")
        return int(line)

    def index(self, operation: bytes) -> int:
        """The place in the memo that an operation names."""
        if operation in b"pg":
            return self.number(self.line())
        return len(self.memo) if operation == b"\x94" else self.unpack("<B" if operation in b"qh" else "<I")

    def top(self, count: int) -> list[Any]:
        taken = self.stack[-count:]
        if len(taken) < count or any(value is _MARK for value in taken):
            _wrong("its pickle takes more than it has")
        del self.stack[-count:]
        return taken

    def last(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            _wrong("its pickle takes more than it has")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        taken: list[Any] = []
        while self.stack:
            value = self.stack.pop()
            if value is _MARK:
                return taken[::-1]
            taken.append(value)
        _wrong("its pickle takes more than it has")

    def extend(self, values: list[Any]) -> None:
        if not isinstance(self.last(), list):
            _wrong("its pickle appends to something that is not a list")
        self.stack[-1].extend(values)

    def buffer(self, length: int, text: bool) -> None:
        start = self.file.tell()
        if not 0 <= length <= self.size - start:
            _wrong(f"it is truncated: a buffer of {length:,} bytes begins at byte {start} of {self.size:,}")
        if length > MAX_BUFFER_BYTES:
            _wrong(f"a buffer has {length:,} bytes, and {MAX_BUFFER_BYTES:,} are the most for an image")
        self.place(Span(start, length, "utf8" if text else "raw", text))
        self.file.seek(start + length)

    def place(self, span: Span) -> None:
        """Put a buffer on the stack, unless there are more than a file of images can have."""
        self.buffers_left -= 1
        if self.buffers_left < 0:
            _wrong(f"it has more entries than {self.size:,} bytes of images can be")
        self.stack.append(span)

    def line_buffer(self, coding: str, quotes: int, text: bool) -> bytes:
        start = self.file.tell()
        line = self.line(MAX_BUFFER_BYTES * _MAX_ESCAPED)
        self.place(Span(start + quotes, len(line) - 2 * quotes, coding, text))
        return line

    def quoted_line(self) -> None:
        line = self.line_buffer("quoted", 1, text=False)
        if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
            _wrong("a string in its pickle has no quotes")

    def word(self, value: Any) -> str:
        """A short text of the pickle: a name, a byte order, an encoding."""
        if not isinstance(value, Span) or value.length > _MAX_LINE:
            _wrong("its pickle has something else where a word belongs")
        here = self.file.tell()
        word = value.read(self.file).decode("latin-1")
        self.file.seek(here)
        return word

    def name(self, module: str, name: str) -> None:
        if (module, name) not in _NAMES:
            raise Forbidden(f"the pickle asks for {module[:80]}.{name[:80]}")
        self.stack.append(_Name(_NAMES[module, name]))

    def call(self, function: Any, arguments: Any) -> Any:
        """What a call stands for: the eight that such pickles hold, in the forms they have there."""
        match (function, arguments):
            case (_Name("encode" | "bytearray"), (Span(text=True) as span, Span() as word)):
                if self.word(word) in ("latin1", "latin-1"):
                    return replace(span, text=False)
            case (_Name("bytearray"), (Span(text=False) as span,)):
                return span
            case (_Name("bytes" | "bytearray"), ()):
                return Span(0, 0, "raw")
            case (_Name("bool"), (int(flag),)):
                return bool(flag)
            case (_Name("_reconstruct"), (_Name("ndarray"), (0,), Span())):
                return Array()
            case (_Name("dtype"), (Span() as word, int(), int())):
                code = self.word(word)
                if code not in _NUMBERS:
                    raise Forbidden(f"the pickle holds a numpy array of {code[:20]!r}, not of whole numbers")
                return Kind(code)
            case (_Name("scalar"), (Kind() as kind, Span(text=False) as span)):
                return Array(kind, (), span)
            case (_Name("_frombuffer"), (Span(text=False) as span, Kind() as kind, tuple() as shape, Span())):
                return Array(kind, _shape(shape), span)
        what = f"{function.name} in a form of its own" if isinstance(function, _Name) else "something without a name"
        raise Forbidden(f"the pickle calls {what}")

    def build(self, target: Any, state: Any) -> None:
        """Set the state of a dtype or an array that `call` made, as numpy's __setstate__ does."""
        match (target, state):
            case (Kind(), (int(), Span() as word, None, None, None, int(), int(), int())):
                order = self.word(word)
                if order not in ("<", ">", "|", "="):
                    _wrong(f"{order[:9]!r} is not a byte order")
                target.order = order
            case (Array(data=None), (int(), tuple() as shape, Kind() as kind, int(), Span(text=False) as span)):
                target.kind, target.shape, target.data = kind, _shape(shape), span
            case _:
                raise Forbidden("the pickle sets the state of something that is not an array of whole numbers")


def _shape(sides: tuple[Any, ...]) -> tuple[int, ...]:
    if len(sides) > 4 or not all(isinstance(side, int) and 0 <= side <= MAX_BUFFER_BYTES for side in sides):
        _wrong("one of its arrays has no proper shape")
    return sides


def _wrong(message: str) -> NoReturn:
    raise Unreadable(message)
