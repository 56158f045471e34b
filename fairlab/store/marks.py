"""How a glance at a run's folder tells whether anything that the lists show of it has changed.

For the catalogue (store.database): what it keeps of a run holds as long as the folder's mark does.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fairlab.errors import FairLabError
from fairlab.files import sentence_of
from fairlab.machine.temporaries import temporary
from fairlab.store.finding import SEPARATOR
from fairlab.store.labels import labels_of
from fairlab.store.results import manifests
from fairlab.store.runs import read_status, state
from fairlab.workspace import Workspace

STANDING = ["status", "reason", "stage", "progress", "eta_s", "rate", "unit", "finished_at", "train_s", "bitwise",
            "tags", "note", "star"]  # fmt: skip
TICK_S = 2.0
"""No file system's clock ticks more coarsely."""
SILENT_S = 60.0
"""The same for a run at work: its folder changes every few seconds, which is not worth a line in the catalogue."""


@dataclass(frozen=True)
class Entry:
    """What the catalogue knows of a run's files. stamp: of record and numbers; said: its row's changing part as JSON.

    seen: the folder's mark as long as it vouches for the others, or "": look again.
    """

    run_id: str
    stamp: str
    seen: str
    said: str


AS_WE_ARE = os.access in os.supports_effective_ids


def stamp_of(folder: Path) -> str:
    """Changes whenever a run's record or results change, or may no longer be read."""
    marks = []
    for path in (folder / "run.json", *manifests(folder)):
        try:
            found = path.stat()
            closed = "" if os.access(path, os.R_OK, effective_ids=AS_WE_ARE) else ".closed"
            marks.append(f"{found.st_mtime_ns}.{found.st_size}{closed}")
        except OSError:
            marks.append("")  # not there yet, or deleted at this moment
    return "|".join(marks)


def marks_of(workspace: Workspace) -> dict[str, str]:
    """Of every run folder a mark that changes with anything its row shows: three looks, however much lies below.

    Every file there is replaced whole, which changes the folder itself; writers of numbers further down touch it
    (store.results). The record and the last word are looked at too, in case somebody edits them where they lie.
    """
    home, marks = str(workspace.runs_folder), {}
    for name in os.listdir(home):
        folder = f"{home}/{name}"
        try:
            own, record = os.stat(folder), os.stat(f"{folder}/run.json")
        except OSError:
            continue  # no run, or deleted at this moment
        try:
            said = os.stat(f"{folder}/status.json")
            word = f"{said.st_ino}.{said.st_mtime_ns}.{said.st_ctime_ns}.{said.st_size}"
        except OSError:
            word = ""
        marks[name] = (
            f"{own.st_ino}.{own.st_mtime_ns}.{own.st_ctime_ns}|{record.st_mtime_ns}.{record.st_ctime_ns}|{word}"
        )
    return marks


def closed_folders(workspace: Workspace) -> dict[str, str]:
    """Run folders that are there and cannot be looked into now, with why: no list shows them, so they are named."""
    found = {}
    for name in os.listdir(workspace.runs_folder):
        folder = workspace.runs_folder / name
        try:
            os.stat(folder / "run.json")
        except FileNotFoundError:
            if why := _without_record(folder):
                found[name] = why
        except NotADirectoryError:
            if not temporary(name):
                found[name] = f"{folder} is a file; expected the folder of a run"
        except OSError as error:
            found[name] = f"{folder} cannot be read: {sentence_of(error)}"
    return found


def _without_record(folder: Path) -> str:
    """Why a folder among the runs has no run.json; "" for one that is being made, or was deleted at this moment."""
    if folder.is_symlink() and not folder.exists():
        return f"{folder} is a broken link"
    if (folder / "run.json").is_symlink():
        return f"{folder / 'run.json'} is a broken link"
    if (folder / "status.json").exists() or (folder / "log.txt").exists():
        return f"{folder / 'run.json'}, which describes the run, is missing"
    return ""


def settled(folder: Path, seconds: float) -> bool:
    """True when the last change is so long ago that a further one could not bear the same time."""
    paths = [path for path in (folder, folder / "run.json", folder / "status.json") if path.exists()]
    times = [at for path in paths for at in (path.stat().st_mtime, path.stat().st_ctime)]
    return all(abs(time.time() - at) > seconds for at in times)


def news(workspace: Workspace, marks: dict[str, str], known: dict[str, Entry]) -> Iterator[Entry]:
    """Entries of the runs that are new or have changed, given their marks."""
    for name, mark in marks.items():
        before = known.get(name)
        if before is not None and before.seen == mark:
            continue
        folder = workspace.runs_folder / name
        stamp = stamp_of(folder)
        if told.get(name) == stamp:
            continue
        said = last_word(folder)
        entry = Entry(name, stamp, mark if settled(folder, TICK_S if said else SILENT_S) else "", said)
        if entry != before:
            yield entry


told: dict[str, str] = {}
"""Runs that cannot be read, with their stamps: said once in the log, tried again when their files change."""


def last_word(folder: Path) -> str:
    """The changing part of a run's row as JSON, or "" while it runs: then its process is asked each time.

    Whoever is not running can only begin to by a change in the folder: a process that has died comes to life no more.
    """
    try:
        standing = standing_of(folder)
    except FairLabError:
        return ""
    return "" if standing["status"] == "running" else json.dumps(standing)


def standing_of(folder: Path) -> dict[str, object]:
    """How a run stands: the changing part of its row."""
    view, said = state(folder), read_status(folder)
    facts = {name: getattr(view, name) for name in ("status", "reason", "stage", "progress", "eta_s", "rate", "unit")}
    labels = labels_of(folder)
    own = {"tags": SEPARATOR.join(labels.tags), "note": labels.note, "star": labels.star}
    return {**facts, **{name: said.get(name) for name in ("finished_at", "train_s", "bitwise")}, **own}


def asked(workspace: Workspace) -> Iterator[tuple[str, str]]:
    for name in marks_of(workspace):
        with suppress(FairLabError):
            yield name, state(workspace.run(name)).status
