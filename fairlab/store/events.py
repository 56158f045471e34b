"""Readings of a run as lines that are only ever appended; a torn last line is left for later."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import pandas as pd

from fairlab.errors import Damaged, FairLabError
from fairlab.files import explain
from fairlab.reading.structured import parse_json
from fairlab.tables import EVENTS

FILE = "events.jsonl"


class EventWriter:
    """Appends readings to a run's events.jsonl; each line reaches the system before write() returns."""

    def __init__(self, folder: Path, attempt: int) -> None:
        self.path, self.attempt = folder / FILE, attempt
        self._file: IO[str] | None = None

    def __enter__(self) -> EventWriter:
        try:
            self._file = open(self.path, "a", encoding="utf-8")
            if _torn(self.path):
                self._file.write("\n")  # the killed attempt's half line stays a line of its own and is skipped
        except OSError as error:
            raise FairLabError(explain(error, self.path)) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, step: int, epoch: int, time_s: float, values: Mapping[str, float]) -> None:
        """One reading: `step` from 1, `epoch` from 0, seconds of work so far, names and values."""
        if self._file is None:
            raise ValueError("the event writer is not open; use it in a with statement")
        line = {"attempt": self.attempt, "step": step, "epoch": epoch, "time_s": time_s, "values": dict(values)}
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            raise FairLabError(explain(error, self.path)) from error


def _torn(path: Path) -> bool:
    """True when the file's last line was not finished."""
    with open(path, "rb") as handle:
        if handle.seek(0, os.SEEK_END) == 0:
            return False
        handle.seek(-1, os.SEEK_END)
        return handle.read(1) != b"\n"


def _whole(line: Any) -> bool:
    """True for a reading: a line of JSON that was damaged on the disk may still be JSON."""
    return (
        isinstance(line, dict)
        and isinstance(line.get("step"), int)
        and abs(line["step"]) < 2**53
        and all(isinstance(line.get(name), int | float) for name in ("epoch", "time_s"))
        and isinstance(line.get("values"), dict)
        and all(isinstance(value, int | float) for value in line["values"].values())
    )


def read_new(folder: Path, offset: int = 0, most: int = -1) -> tuple[list[dict[str, Any]], int]:
    """Whole lines from byte `offset` on, and the offset to go on from. Lines that are no readings are skipped.

    most: bytes read at once, if there is a whole line among them; -1: to the end.
    A file that has become shorter than `offset` is another one (the run was deleted and made again): from its start.
    """
    path = folder / FILE
    if not path.exists():
        return [], 0
    with open(path, "rb") as handle:
        offset = offset if offset <= handle.seek(0, os.SEEK_END) else 0
        handle.seek(offset)
        content = handle.read(most)
        if most > 0 and b"\n" not in content:
            content += handle.readline()
    end = content.rfind(b"\n") + 1
    lines = []
    for raw in content[:end].split(b"\n"):
        try:
            line = parse_json(raw, FILE)
        except Damaged:
            continue
        if _whole(line):
            lines.append(line)
    return lines, offset + end


class Curves:
    """A run's readings as they grow, thinned for drawing: only what is new is read, and memory does not grow with it.

    Of each name at most twice MOST readings stay: steps are cut into equal cells, one reading in each, the last one
    written (also of a step that was done twice). Up to MOST readings none is lost. Safe for several threads.
    """

    MOST = 2000
    BLOCK = 8 << 20

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._offset, self._file = 0, (0, 0)
        self._width: dict[str, int] = {}
        self._cells: dict[str, dict[int, tuple[Any, ...]]] = {}
        self._table = EVENTS.build()

    def table(self) -> pd.DataFrame:
        """The readings until now, as tables.EVENTS, by name and step."""
        with self._lock:
            path = self.folder / FILE
            found = path.stat() if path.exists() else None
            file = (found.st_dev, found.st_ino) if found else (0, 0)
            if file != self._file or (found and found.st_size < self._offset):
                self._forget()  # the run was deleted and made again
                self._file = file
            if found and self._read():
                rows = [cells[at] for _, cells in sorted(self._cells.items()) for at in sorted(cells)]
                self._table = EVENTS.build(rows)
            return self._table

    def _read(self) -> bool:
        """Take in what was appended; was there anything?"""
        before = self._offset
        while True:
            lines, after = read_new(self.folder, self._offset, self.BLOCK)
            for line in lines:
                self._add(line)
            if after == self._offset:
                return after != before
            self._offset = after

    def _add(self, line: dict[str, Any]) -> None:
        step, epoch, time_s = line["step"], line["epoch"], line["time_s"]
        for name, value in line["values"].items():
            cells = self._cells.setdefault(name, {})
            width = self._width.setdefault(name, 1)
            cells[step // width] = (self.folder.name, step, epoch, name, value, time_s)
            while len(cells) > 2 * self.MOST:
                width = self._width[name] = 2 * width
                cells = self._cells[name] = {at // 2: reading for at, reading in sorted(cells.items())}


def read_events(folder: Path) -> pd.DataFrame:
    """All readings of a run, as tables.EVENTS; of a step done twice (after a resume) the last one counts."""
    lines, _ = read_new(folder)
    latest: dict[tuple[int, str], tuple[Any, ...]] = {}
    for line in lines:
        for name, value in line["values"].items():
            latest[line["step"], name] = (folder.name, line["step"], line["epoch"], name, value, line["time_s"])
    table = EVENTS.build(latest.values())
    return table.sort_values(["name", "step"], ignore_index=True)
