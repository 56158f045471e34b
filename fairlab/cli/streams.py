"""What leaves for a terminal: names as they are, without orders to it; and output that is closed, full or knows only ASCII.

Everything that is printed goes through here: print() by the wrapped streams, tables by the console (api.console).
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from fairlab.errors import FairLabError
from fairlab.reading.characters import printable


class OutputError(OSError):
    """The system's error where what is printed cannot be written; told from one about a file."""

    @property
    def sentence(self) -> str:
        return f"the output could not be written: {self.strerror}"


class Behind:
    """A text stream whose errors say that they are the output's. A broken pipe stays what it is."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        return self._told(lambda: self._stream.write(text))

    def flush(self) -> None:
        self._told(self._stream.flush)

    def _told(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(error.errno, error.strerror or str(error)) from error


class Plain(io.TextIOBase):
    """A text stream that passes no control characters on; rich, whose colours are such, writes to the stream behind it."""

    def __init__(self, behind: TextIO) -> None:
        self.rich_proxied_file: Any = Behind(behind)

    def write(self, text: str) -> int:
        self.rich_proxied_file.write(printable(text))
        return len(text)

    def flush(self) -> None:
        self.rich_proxied_file.flush()

    def isatty(self) -> bool:
        return self.rich_proxied_file.isatty()

    def fileno(self) -> int:
        return self.rich_proxied_file.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.rich_proxied_file.encoding

    @property
    def buffer(self) -> Any:
        return self.rich_proxied_file.buffer


def counter(text: str) -> None:
    """Replace the terminal's last line, on stderr."""
    stream = getattr(sys.stderr, "rich_proxied_file", sys.stderr)
    print(f"\r{printable(text)}", end="", file=stream, flush=True)


def begin() -> None:
    """Before any output: closed streams lead nowhere, letters that a terminal does not know become '?', names give no orders.

    Raises FairLabError when the folder that the command was started in is gone.
    """
    for number in range(3):  # or the next file that is opened, the catalogue perhaps, would be taken for one of these
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
        if not isinstance(stream, Plain):
            setattr(sys, name, Plain(stream))
    try:
        os.getcwd()
    except OSError as error:
        raise FairLabError(
            "the folder that this terminal is in has been deleted; change to another one (cd)"
        ) from error


def end() -> str:
    """Write what is still to be written; what is wrong with the output, "" when nothing is. A broken pipe is nothing."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _nowhere()
    except OutputError as error:
        _nowhere()
        return error.sentence
    except (OSError, ValueError) as error:
        _nowhere()
        return f"the output could not be written: {getattr(error, 'strerror', None) or error}"
    return ""


def _nowhere() -> None:
    """What is left in the buffer must not be tried again when Python ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
