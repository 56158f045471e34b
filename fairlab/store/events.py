"""Readings of a run as lines that are only ever appended; a torn last line is left for later."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import pandas as pd

from fairlab.errors import FairLabError
from fairlab.files import explain
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
        and all(isinstance(line.get(name), int | float) for name in ("epoch", "time_s"))
        and isinstance(line.get("values"), dict)
        and all(isinstance(value, int | float) for value in line["values"].values())
    )


def read_new(folder: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Whole lines from byte `offset` on, and the offset to go on from. Lines that are no readings are skipped.

    A file that has become shorter than `offset` is another one (the run was deleted and made again): from its start.
    """
    path = folder / FILE
    if not path.exists():
        return [], 0
    with open(path, "rb") as handle:
        offset = offset if offset <= handle.seek(0, os.SEEK_END) else 0
        handle.seek(offset)
        content = handle.read()
    end = content.rfind(b"\n") + 1
    lines = []
    for raw in content[:end].split(b"\n"):
        try:
            line = json.loads(raw)
        except (ValueError, RecursionError):
            continue
        if _whole(line):
            lines.append(line)
    return lines, offset + end


def read_events(folder: Path) -> pd.DataFrame:
    """All readings of a run, as tables.EVENTS; of a step done twice (after a resume) the last one counts."""
    lines, _ = read_new(folder)
    latest: dict[tuple[int, str], tuple[Any, ...]] = {}
    for line in lines:
        for name, value in line["values"].items():
            latest[line["step"], name] = (folder.name, line["step"], line["epoch"], name, value, line["time_s"])
    table = pd.DataFrame(list(latest.values()), columns=list(EVENTS))
    return table.sort_values(["name", "step"], ignore_index=True)
