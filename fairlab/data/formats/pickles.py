"""What a pickle of bytes, flags and numpy arrays holds, found without running it and without loading its buffers.

A pickle is a program. An Unpickler with a list of allowed names still calls what it allows, allocates what a
file declares and grows its memo to any index. This machine knows only the operations that lists of bytes, flags
and numpy arrays are written with, in protocols 0 to 5, by Python 2 and 3 and numpy 1 and 2: a name is text to it,
a buffer is a place in the file, and the eight calls such pickles hold are rules. It imports nothing and calls
nothing that a file names, so there is no allow-list to get round.

Steps and their arguments are those of pickletools, but for buffers: pickletools.genops reads each into memory, and ends
with a UnicodeDecodeError at the images that Python 2 wrote in protocol 0 (it takes such strings for ASCII).
Source: CPython Lib/pickletools.py, which documents every operation.
"""

from __future__ import annotations

import codecs
import io
import math
import pickletools
import struct
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, NoReturn

import numpy as np

from fairlab.reading.pickle_machine import MARK, NUMBERS, Machine, Unreadable, wrong

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
_STEPS = {step.code.encode("latin-1"): step for step in pickletools.opcodes}
_BUFFERS = {  # step -> (format of the length before the buffer, text?); Python 2 wrote the first two
    "SHORT_BINSTRING": ("<B", False), "BINSTRING": ("<i", False), "SHORT_BINBYTES": ("<B", False),
    "BINBYTES": ("<I", False), "BINBYTES8": ("<Q", False), "BYTEARRAY8": ("<Q", False), "SHORT_BINUNICODE": ("<B", True),
    "BINUNICODE": ("<I", True), "BINUNICODE8": ("<Q", True),
}  # fmt: skip
_FORBIDDEN = {  # reach code, or objects and buffers outside the file
    "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER",
}  # fmt: skip


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
            wrong("it is truncated inside a buffer")
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
            wrong("one of its arrays has no content")
        if sum(side != 1 for side in self.shape) > 1:
            wrong(f"one of its arrays has the shape {self.shape}, not one row")
        length = math.prod(self.shape) * int(self.kind.code[1:])
        most = length if self.data.coding == "raw" else length * _MAX_ESCAPED
        if not length <= self.data.length <= most:
            wrong(f"an array of {length} bytes has a buffer of {self.data.length}")
        return self.data, length

    def numbers(self, file: BinaryIO) -> list[int]:
        """Its values. Raises Unreadable."""
        span, length = self.flat()
        assert self.kind is not None
        content = span.read(file)
        if len(content) != length:
            wrong(f"an array of {length} bytes has a buffer of {len(content)}")
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
    return _Pack(file, size).run()


class _Short:
    """The file as it is read for numbers and names, which are short."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def read(self, size: int) -> bytes:
        return self.file.read(min(size, _MAX_LINE))

    def readline(self) -> bytes:
        return self.file.readline(_MAX_LINE)


class _Pack(Machine):
    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__()
        self.file, self.size = file, size
        self.short: Any = _Short(file)  # the types of pickletools ask for more of a file than it uses
        self.buffers_left = _FEW_BUFFERS + size // _LEAST_BYTES

    def run(self) -> tuple[Any, int]:
        for _ in range(MAX_STEPS):
            code = self.file.read(1)
            if not code:
                wrong("it is truncated: the pickle has no end")
            step = _STEPS.get(code)
            if step is None:
                self.refuse(repr(code))
            if step.name == "STOP":
                if len(self.stack) != 1 or self.stack[0] is MARK:
                    wrong("its pickle ends too early")
                return self.stack[0], self.size - self.file.tell()
            if step.name in _BUFFERS:
                layout, text = _BUFFERS[step.name]
                self.buffer(self.length(layout), text)
            elif step.name == "STRING":
                self.quoted_line()
            elif step.name == "UNICODE":
                self.line_buffer("line", 0, text=True)
            elif self.allows(step.name):
                self.step(step.name, self.argument(step))
            else:
                self.refuse(step.name)
        wrong(f"its pickle takes more than {MAX_STEPS:,} steps")

    def argument(self, step: pickletools.OpcodeInfo) -> Any:
        if step.arg is None:
            return None
        try:
            value = step.arg.reader(self.short)
        except ValueError as error:
            at = self.file.tell()
            if at == self.size:
                wrong(f"it is truncated: its pickle ends inside {step.name}")
            what = "is not a number" if step.name in NUMBERS else "cannot be read"
            raise Unreadable(f"the argument of {step.name} before byte {at} {what} ({str(error)[:80]})") from error
        if isinstance(value, int) and abs(value) >= 1 << 64:
            wrong(f"the argument of {step.name} before byte {self.file.tell()} is larger than any number of a pack")
        return value

    def refuse(self, step: str) -> NoReturn:
        if step in _FORBIDDEN:
            raise Forbidden(f"the pickle uses {step}")
        wrong(f"byte {self.file.tell() - 1} ({step}) is not a step of such a pickle")

    def do_proto(self, version: int) -> None:
        if version > 5:
            wrong(f"its pickle has protocol {version}, and 5 is the newest")

    def do_frame(self, length: int) -> None:
        if length > self.size - self.file.tell():
            wrong("it is truncated: a frame of the pickle is longer than the file")

    def do_reduce(self) -> None:
        function, arguments = self.pop(2)
        self.stack.append(self.call(function, arguments))

    def do_build(self) -> None:
        (state,) = self.pop()
        self.build(self.last(), state)

    def length(self, layout: str) -> int:
        written = self.file.read(struct.calcsize(layout))
        if len(written) != struct.calcsize(layout):
            wrong("it is truncated inside the pickle")
        return int(struct.unpack(layout, written)[0])

    def buffer(self, length: int, text: bool) -> None:
        start = self.file.tell()
        if not 0 <= length <= self.size - start:
            wrong(f"it is truncated: a buffer of {length:,} bytes begins at byte {start} of {self.size:,}")
        if length > MAX_BUFFER_BYTES:
            wrong(f"a buffer has {length:,} bytes, and {MAX_BUFFER_BYTES:,} are the most for an image")
        self.place(Span(start, length, "utf8" if text else "raw", text))
        self.file.seek(start + length)

    def place(self, span: Span) -> None:
        """Put a buffer on the stack, unless there are more than a file of images can have."""
        self.buffers_left -= 1
        if self.buffers_left < 0:
            wrong(f"it has more entries than {self.size:,} bytes of images can be")
        self.stack.append(span)

    def line_buffer(self, coding: str, quotes: int, text: bool) -> bytes:
        start = self.file.tell()
        line = self.file.readline(MAX_BUFFER_BYTES * _MAX_ESCAPED)
        if not line.endswith(b"\n"):
            wrong("it is truncated, or a line of its pickle is too long")
        line = line[:-1]
        self.place(Span(start + quotes, len(line) - 2 * quotes, coding, text))
        return line

    def quoted_line(self) -> None:
        line = self.line_buffer("quoted", 1, text=False)
        if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
            wrong("a string in its pickle has no quotes")

    def word(self, value: Any) -> str:
        """A short text of the pickle: a name, a byte order, an encoding."""
        if not isinstance(value, Span) or value.length > _MAX_LINE:
            wrong("its pickle has something else where a word belongs")
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
                    wrong(f"{order[:9]!r} is not a byte order")
                target.order = order
            case (Array(data=None), (int(), tuple() as shape, Kind() as kind, int(), Span(text=False) as span)):
                target.kind, target.shape, target.data = kind, _shape(shape), span
            case _:
                raise Forbidden("the pickle sets the state of something that is not an array of whole numbers")


def _shape(sides: tuple[Any, ...]) -> tuple[int, ...]:
    if len(sides) > 4 or not all(isinstance(side, int) and 0 <= side <= MAX_BUFFER_BYTES for side in sides):
        wrong("one of its arrays has no proper shape")
    return sides
