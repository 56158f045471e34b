"""The catalogue: an SQLite index over the run folders, for quick lists. It holds nothing that they do not.

`rebuild` makes it again from them, so losing or damaging it loses nothing. SQL is only here and in store.schema.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from fairlab.errors import Damaged, FairLabError
from fairlab.files import explain, private_file
from fairlab.reading.structured import parse_json
from fairlab.store.marks import STANDING, Entry, asked, marks_of, news, standing_of, told
from fairlab.store.results import rows_of
from fairlab.store.runs import read_run
from fairlab.store.schema import MIGRATIONS, WAIT_S, connect, prepared
from fairlab.tables import BOOL, LIVE_RUNS, METRICS, NUMBER, RUNS, TEXT
from fairlab.workspace import Workspace

log = logging.getLogger(__name__)
AT_ONCE = 500
"""Runs entered in one transaction, so that others wait for seconds at most when thousands are new."""


T = TypeVar("T")
RUN_COLUMNS = "run_id, study, title, role, method, preset, created_at, parents, config, code_version, seed, dataset"
METRIC_COLUMNS = ", ".join(f'"{name}"' for name in METRICS)
DAMAGED = (
    "malformed", "not a database", "no such table", "no such column", "already exists", "decode", "values for",
    "disk I/O error",
)  # fmt: skip
"""Parts of SQLite's messages for a file that is not, or no longer, our catalogue; the last when somebody sets it aside
while we open it, and then the second look finds the new one."""


def _look(workspace: Workspace, work: Callable[[sqlite3.Connection], T]) -> T:
    """As _use, for work that only looks: on a full disk it looks at a catalogue in memory, made from the run folders."""
    path = workspace.catalogue_file
    if not _no_room(path.parent):
        return _use(workspace, work)
    with _memory_lock:
        if path not in _memory:
            log.warning("the disk is full: the catalogue of %s is kept in memory meanwhile", workspace.home)
            _memory[path] = prepared(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False), path)
        return work(_memory[path])


_memory: dict[Path, sqlite3.Connection] = {}
_memory_lock = threading.Lock()
LEAST_ROOM = 1 << 20
"""Bytes that SQLite needs for its journal and the index of it."""


def _no_room(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < LEAST_ROOM
    except OSError:
        return False


def _use(workspace: Workspace, work: Callable[[sqlite3.Connection], T]) -> T:
    """Do `work` with a connection to the catalogue at today's schema; a damaged file is made again, once.

    Raises FairLabError when the file cannot be used: busy for WAIT_S, disk full, no permission.
    """
    path = workspace.catalogue_file
    try:
        private_file(path)  # SQLite's further files take its mode
    except OSError as error:
        raise FairLabError(explain(error, path)) from error
    try:
        try:
            return _connected(path, work)
        except sqlite3.DatabaseError as error:
            if not any(words in str(error) for words in DAMAGED) or _no_room(path.parent):
                raise
            _set_aside(workspace, str(error))
            return _connected(path, work)
    except (sqlite3.Error, Timeout) as error:
        if "locked" in str(error) or isinstance(error, Timeout):
            raise FairLabError(f"the catalogue {path} is busy; try again in a moment") from error
        raise FairLabError(f"the catalogue {path} cannot be used: {error}") from error


def _connected(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    connection = connect(path)
    try:
        return work(connection)
    finally:
        connection.close()  # also rolls back what was not committed


def _set_aside(workspace: Workspace, reason: str) -> None:
    """Keep a damaged catalogue under another name and make it again; of several processes only one does."""
    path = workspace.catalogue_file
    with FileLock(path.with_name("catalogue.lock"), timeout=WAIT_S):
        try:
            if _connected(path, _sound):
                return  # another process was quicker
        except sqlite3.DatabaseError:
            pass
        aside = path.with_name(path.name + ".damaged")
        log.warning(
            "the catalogue %s was damaged (%s): kept as %s and made again from the run folders",
            path,
            reason,
            aside.name,
        )
        try:
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            os.replace(path, aside)
        except OSError as error:
            raise FairLabError(explain(error, path)) from error
        _connected(path, lambda connection: _fill(connection, workspace))


def _sound(connection: sqlite3.Connection) -> bool:
    connection.execute(f"SELECT {RUN_COLUMNS}, stamp, seen, said FROM runs").fetchall()  # noqa: S608 - constants
    connection.execute("SELECT genuine_pairs, dataset FROM metrics").fetchall()
    if connection.execute("SELECT token FROM edition").fetchone() is None:
        return False
    return str(connection.execute("PRAGMA integrity_check").fetchone()[0]) == "ok"


def sync(workspace: Workspace) -> None:
    """Bring the catalogue up to date with the run folders: new and changed runs in, vanished ones out."""
    _use(workspace, lambda connection: _fill(connection, workspace))


def _fill(connection: sqlite3.Connection, workspace: Workspace, anew: bool = False) -> None:
    """Enter what differs from the folders, some runs at a time; with `anew` everything, in one transaction."""
    while anew or _differs(connection, workspace):
        connection.execute("BEGIN IMMEDIATE")
        if anew:
            connection.execute("DELETE FROM runs")
            connection.execute("DELETE FROM metrics")
        marks, known = marks_of(workspace), {} if anew else _picture(connection, workspace).known
        for name in known.keys() - marks.keys():
            _forget(connection, name)
        entries = list(islice(news(workspace, marks, known), None if anew else AT_ONCE))  # now nobody else writes
        for entry in entries:
            _enter(connection, workspace, entry, known.get(entry.run_id))
        connection.execute("UPDATE edition SET token = hex(randomblob(8))")
        connection.execute("COMMIT")
        if anew or len(entries) < AT_ONCE:
            return


def _differs(connection: sqlite3.Connection, workspace: Workspace) -> bool:
    marks, known = marks_of(workspace), _picture(connection, workspace).known
    return bool(known.keys() - marks.keys()) or any(True for _ in news(workspace, marks, known))


@dataclass(frozen=True)
class _Picture:
    """The catalogue's runs in memory, oldest first, as of an edition of it: every writer gives it another token."""

    token: str
    known: dict[str, Entry]
    table: pd.DataFrame
    standing: list[dict[str, Any]]


_pictures: dict[Path, _Picture] = {}


def _picture(connection: sqlite3.Connection, workspace: Workspace) -> _Picture:
    """What the catalogue holds now, read anew only when somebody has written to it."""
    found, path = connection.execute("SELECT token FROM edition").fetchone(), workspace.catalogue_file
    if found is None:
        raise sqlite3.DatabaseError("malformed: the catalogue has no edition")
    before = _pictures.get(path)
    if before is not None and before.token == found[0]:
        return before
    order = f"SELECT {RUN_COLUMNS}, stamp, seen, said FROM runs ORDER BY created_at, run_id"  # noqa: S608 - constants
    rows = connection.execute(order).fetchall()
    known = {row[0]: Entry(row[0], *row[-3:]) for row in rows}
    table = RUNS.only(*RUN_COLUMNS.split(", ")).build(row[:-3] for row in rows)
    try:
        standing = parse_json(f"[{','.join(row[-1] or '{}' for row in rows)}]", str(path), list)
    except Damaged as error:
        raise sqlite3.DatabaseError(f"malformed: {error}") from error
    _pictures[path] = _Picture(found[0], known, table, standing)
    return _pictures[path]


def _forget(connection: sqlite3.Connection, run_id: str) -> None:
    connection.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))
    connection.execute("DELETE FROM metrics WHERE run_id = ?", (run_id,))


def _enter(connection: sqlite3.Connection, workspace: Workspace, entry: Entry, before: Entry | None) -> None:
    if before is not None and before.stamp == entry.stamp:
        connection.execute(
            "UPDATE runs SET seen = ?, said = ? WHERE run_id = ?", (entry.seen, entry.said, entry.run_id)
        )
        return
    _forget(connection, entry.run_id)
    try:
        record = read_run(workspace, entry.run_id)
    except FairLabError as error:
        log.warning("run %s is left out of the catalogue: %s", entry.run_id, error)
        told[entry.run_id] = entry.stamp
        return
    values = {
        "study": record.study,
        "title": record.title,
        "role": record.role,
        "method": record.method,
        "preset": record.preset,
        "created_at": record.created_at,
        "parents": json.dumps(record.parents),
        "config": json.dumps(record.config.model_dump(mode="json", exclude_none=True)),
        "code_version": record.code_version,
        "seed": record.seed,
        "dataset": record.dataset,
        **asdict(entry),
    }
    # Half a character, as a person may paste it, is no text for SQLite.
    values |= {name: str(values[name]).encode("utf-8", "replace").decode() for name in ("study", "title", "preset")}
    marks = ", ".join(f":{name}" for name in values)
    connection.execute(f"INSERT INTO runs ({', '.join(values)}) VALUES ({marks})", values)  # noqa: S608 - constants
    try:
        rows = list(rows_of(record.folder))
    except FairLabError as error:  # the run is there all the same; `fairlab doctor` names what is wrong
        log.warning("the numbers of run %s cannot be read: %s", entry.run_id, error)
        return
    connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def rebuild(workspace: Workspace) -> None:
    """Make the catalogue again from the run folders, in one transaction: others see the old one until then."""
    told.clear()
    _use(workspace, lambda connection: _fill(connection, workspace, anew=True))


def purge(workspace: Workspace) -> None:
    """Leave nothing in the catalogue's files that its tables do not hold: for after somebody's data were deleted.

    Copies of damaged catalogues go too. Raises FairLabError while another process reads it for longer than WAIT_S.
    """
    for path in workspace.home.glob(f"{workspace.catalogue_file.name}.damaged*"):
        path.unlink(missing_ok=True)

    def work(connection: sqlite3.Connection) -> None:
        _fill(connection, workspace, anew=True)
        until = time.monotonic() + WAIT_S
        connection.execute("VACUUM")  # what was deleted before secure_delete was on
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > until:
                raise FairLabError(f"the catalogue {workspace.catalogue_file} is busy; try again in a moment")
            time.sleep(0.05)

    _use(workspace, work)


def list_runs(workspace: Workspace) -> pd.DataFrame:
    """All runs, oldest first: tables.LIVE_RUNS."""
    picture, standing = _now(workspace)
    kept = np.array([bool(facts) for facts in standing], dtype=bool)
    each = {name: pd.Series([facts.get(name) for facts in standing if facts], dtype=object) for name in STANDING}
    for name, values in each.items():
        if LIVE_RUNS.types[name] is TEXT:
            each[name] = values.fillna("")
        elif LIVE_RUNS.types[name] == NUMBER:
            each[name] = pd.to_numeric(values, errors="coerce")
        elif LIVE_RUNS.types[name] == BOOL:
            each[name] = values.map(bool)  # none: said before there were such claims
    return LIVE_RUNS.of({**picture.table[kept].reset_index(drop=True), **each})


def _now(workspace: Workspace) -> tuple[_Picture, list[dict[str, Any]]]:
    """All runs and how each stands: those at work are asked now, {} for those that cannot say."""

    def work(connection: sqlite3.Connection) -> _Picture:
        _fill(connection, workspace)
        return _picture(connection, workspace)

    picture = _look(workspace, work)
    standing = list(picture.standing)
    for number, entry in enumerate(picture.known.values()):
        if not entry.said:
            try:
                standing[number] = standing_of(workspace.run(entry.run_id))
            except FairLabError:
                standing[number] = {}  # deleted at this moment, or damaged: `fairlab doctor` names it
    return picture, standing


def statuses(workspace: Workspace) -> dict[str, str]:
    """How every run stands in a word, see store.runs.Live; those that cannot say are left out.

    Without a catalogue (its disk is full, others keep it busy) every folder is asked: what waits must go on.
    """
    try:
        picture, standing = _now(workspace)
    except FairLabError as error:
        log.warning("every run folder is asked how it stands: %s", error)
        return dict(asked(workspace))
    return {name: str(facts["status"]) for name, facts in zip(picture.known, standing, strict=True) if facts}


def children(workspace: Workspace, run_id: str) -> list[str]:
    """Ids of the runs that build on this one, sorted."""
    table = _now(workspace)[0].table
    return sorted(
        name
        for name, of in zip(table["run_id"], table["parents"], strict=True)
        if run_id in parse_json(of, "the catalogue", list)
    )


def metrics(workspace: Workspace, run_ids: Sequence[str], dataset_id: str) -> pd.DataFrame:
    """Stored numbers of these runs on one data set, as tables.METRICS."""
    wanted = json.dumps(list(run_ids))  # one parameter, however many runs

    def work(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
        _fill(connection, workspace)
        order = (
            f"SELECT {METRIC_COLUMNS} FROM metrics WHERE run_id IN (SELECT value FROM json_each(?)) AND dataset = ? "  # noqa: S608 - constants
            "ORDER BY run_id, rowid"
        )
        return connection.execute(order, (wanted, dataset_id)).fetchall()

    return METRICS.build(_look(workspace, work))


def health(workspace: Workspace) -> str:
    """The catalogue's state in words."""

    def work(connection: sqlite3.Connection) -> tuple[str, int]:
        verdict = str(connection.execute("PRAGMA quick_check").fetchone()[0])
        return verdict, int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])

    verdict, count = _look(workspace, work)
    return f"{verdict}, version {len(MIGRATIONS)}, {count} runs"
