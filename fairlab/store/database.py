"""The catalogue: an SQLite index over the run folders, for quick lists. It holds nothing that they do not.

`rebuild` makes it again from them, so losing or damaging it loses nothing. The only place with SQL.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pandas as pd
from filelock import FileLock, Timeout

from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.files import MANIFEST, explain, read_manifest, sha256
from fairlab.store.results import judged_by, judged_on, manifests, protocol_folder, results_folder
from fairlab.store.runs import read_run, read_status, state
from fairlab.tables import METRICS, RUNS
from fairlab.workspace import Workspace

log = logging.getLogger(__name__)
WAIT_S = 30.0


def _first_schema(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE runs (run_id TEXT PRIMARY KEY, study TEXT, title TEXT, role TEXT, method TEXT, preset TEXT, "
        "created_at TEXT, parents TEXT, config TEXT, code_version TEXT, seed INTEGER, dataset TEXT, stamp TEXT)"
    )
    connection.execute(
        'CREATE TABLE metrics (run_id TEXT, protocol TEXT, "group" TEXT, metric TEXT, operating_point TEXT, value REAL, '
        "low REAL, high REAL, genuine_pairs INTEGER, impostor_pairs INTEGER)"
    )
    connection.execute("CREATE INDEX metrics_of_run ON metrics (run_id)")


def _numbers_by_dataset(connection: sqlite3.Connection) -> None:
    """A run may be judged on several data sets; the rows are read again from the run folders."""
    connection.execute("DELETE FROM runs")
    connection.execute("DELETE FROM metrics")
    connection.execute("ALTER TABLE metrics ADD COLUMN dataset TEXT")


MIGRATIONS: list[Callable[[sqlite3.Connection], None]] = [_first_schema, _numbers_by_dataset]
"""Step n brings the catalogue from version n to n + 1; released steps are never changed."""


T = TypeVar("T")
RUN_COLUMNS = "run_id, study, title, role, method, preset, created_at, parents, config, code_version, seed, dataset"
METRIC_COLUMNS = ", ".join(f'"{name}"' for name in METRICS)
DAMAGED = ("malformed", "not a database", "no such table", "no such column", "already exists", "decode", "values for")
"""Parts of SQLite's messages for a file that is not, or no longer, our catalogue."""


def _use(workspace: Workspace, work: Callable[[sqlite3.Connection], T]) -> T:
    """Do `work` with a connection to the catalogue at today's schema; a damaged file is made again, once.

    Raises FairLabError when the file cannot be used: busy for WAIT_S, disk full, no permission.
    """
    path = workspace.catalogue_file
    try:
        try:
            return _connected(path, work)
        except sqlite3.DatabaseError as error:
            if not any(words in str(error) for words in DAMAGED):
                raise
            _set_aside(workspace, str(error))
            return _connected(path, work)
    except (sqlite3.Error, Timeout) as error:
        if "locked" in str(error) or isinstance(error, Timeout):
            raise FairLabError(f"the catalogue {path} is busy; try again in a moment") from error
        raise FairLabError(f"the catalogue {path} cannot be used: {error}") from error


def _connected(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    connection = _connect(path)
    try:
        return work(connection)
    finally:
        connection.close()  # also rolls back what was not committed


def _set_aside(workspace: Workspace, reason: str) -> None:
    """Keep a damaged catalogue under another name and make it again; of several processes only one does."""
    path = workspace.catalogue_file
    with FileLock(workspace.home / "catalogue.lock", timeout=WAIT_S):
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
    connection.execute(f"SELECT {RUN_COLUMNS}, stamp FROM runs").fetchall()  # noqa: S608 - constants
    connection.execute("SELECT genuine_pairs, dataset FROM metrics").fetchall()
    return str(connection.execute("PRAGMA integrity_check").fetchone()[0]) == "ok"


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
    try:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            _to_wal(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        version = _version(connection)
        if version > len(MIGRATIONS):
            raise Refused(
                f"the catalogue {path} has version {version}, this FairLab reads up to {len(MIGRATIONS)}; update FairLab"
            )
        if version < len(MIGRATIONS):
            connection.execute("BEGIN IMMEDIATE")  # one migrates, the others wait here and then find it done
            version = _version(connection)
            if 0 < version < len(MIGRATIONS):
                _keep(path, version)
            for number in range(version, len(MIGRATIONS)):
                MIGRATIONS[number](connection)
            connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _keep(path: Path, version: int) -> None:
    """A copy of the catalogue as it was before its schema changes, for whoever goes back to an older FairLab."""
    with closing(sqlite3.connect(path)) as now, closing(sqlite3.connect(f"{path}.version{version}")) as kept:
        now.backup(kept)


def _to_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging. SQLite does not wait its turn for that, so it is asked again."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _stamp(folder: Path) -> str:
    """Changes whenever a run's record or results change."""
    marks = []
    for path in (folder / "run.json", *manifests(folder)):
        try:
            found = path.stat()
            marks.append(f"{found.st_mtime_ns}.{found.st_size}")
        except OSError:
            marks.append("")  # not there yet, or deleted at this moment
    return "|".join(marks)


def sync(workspace: Workspace) -> None:
    """Bring the catalogue up to date with the run folders: new and changed runs in, vanished ones out."""
    _use(workspace, lambda connection: _fill(connection, workspace))


def _fill(connection: sqlite3.Connection, workspace: Workspace, anew: bool = False) -> None:
    """Enter what differs from the folders, in one transaction; with `anew` everything."""
    if not anew and not any(_differences(connection, workspace)):
        return
    connection.execute("BEGIN IMMEDIATE")
    if anew:
        connection.execute("DELETE FROM runs")
        connection.execute("DELETE FROM metrics")
    changed, gone = _differences(connection, workspace)  # looked at again: now nobody else writes
    for name in gone:
        _forget(connection, name)
    for name, stamp in changed.items():
        _enter(connection, workspace, name, stamp)
    connection.execute("COMMIT")


def _differences(connection: sqlite3.Connection, workspace: Workspace) -> tuple[dict[str, str], set[str]]:
    """New and changed runs with their stamps, and the ids of runs whose folder is gone."""
    known = dict(connection.execute("SELECT run_id, stamp FROM runs").fetchall())
    present = {path.parent.name: _stamp(path.parent) for path in workspace.runs_folder.glob("*/run.json")}
    changed = {name: stamp for name, stamp in present.items() if known.get(name) != stamp and _told.get(name) != stamp}
    return changed, set(known) - set(present)


_told: dict[str, str] = {}
"""Runs that cannot be read, with their stamps: said once in the log, tried again when their files change."""


def _forget(connection: sqlite3.Connection, run_id: str) -> None:
    connection.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))
    connection.execute("DELETE FROM metrics WHERE run_id = ?", (run_id,))


def _enter(connection: sqlite3.Connection, workspace: Workspace, run_id: str, stamp: str) -> None:
    _forget(connection, run_id)
    try:
        record = read_run(workspace, run_id)
    except FairLabError as error:
        log.warning("run %s is left out of the catalogue: %s", run_id, error)
        _told[run_id] = stamp
        return
    values = {
        "run_id": run_id,
        "study": record.study,
        "title": record.title,
        "role": record.role,
        "method": record.method,
        "preset": record.preset,
        "created_at": record.created_at,
        "parents": json.dumps(record.parents),
        "config": record.config.model_dump_json(exclude_none=True),
        "code_version": record.code_version,
        "seed": record.seed,
        "dataset": record.dataset,
        "stamp": stamp,
    }
    marks = ", ".join(f":{name}" for name in values)
    connection.execute(f"INSERT INTO runs ({', '.join(values)}) VALUES ({marks})", values)  # noqa: S608 - constants
    for dataset in judged_on(record.folder):
        further = judged_by(record.folder, dataset)
        folders = [protocol_folder(record.folder, dataset, protocol) for protocol in further]
        for table in map(_numbers, (results_folder(record.folder, dataset), *folders)):
            if table is None:
                continue
            rows = table.assign(dataset=dataset).astype(object).where(table.notna().assign(dataset=True), None)
            connection.executemany(
                "INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows.itertuples(index=False, name=None)
            )


def _numbers(results: Path) -> pd.DataFrame | None:
    """One data set's metrics.parquet, None when there are none or they are not what the results' manifest recorded.

    While an evaluation replaces them they may not fit; its new manifest, written last, brings us back here.
    """
    if not (results / MANIFEST).exists():
        return None
    path = results / "metrics.parquet"
    try:
        if read_manifest(results)["files"][path.name]["sha256"] != sha256(path):
            raise Damaged(f"{path} is not what its manifest recorded")
        return pd.read_parquet(path)[list(METRICS)]
    except (FairLabError, OSError, ValueError, KeyError) as error:
        log.warning("the numbers of run %s cannot be read: %s", results.parent.name, error)
        return None


def rebuild(workspace: Workspace) -> None:
    """Make the catalogue again from the run folders, in one transaction: others see the old one until then."""
    _told.clear()
    _use(workspace, lambda connection: _fill(connection, workspace, anew=True))


def list_runs(workspace: Workspace) -> pd.DataFrame:
    """All runs, oldest first: tables.RUNS, with stage, progress (0..1), eta_s, rate and unit of those that work."""
    order = f"SELECT {RUN_COLUMNS} FROM runs ORDER BY created_at, run_id"  # noqa: S608 - constants

    def work(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
        _fill(connection, workspace)
        return connection.execute(order).fetchall()

    table = pd.DataFrame(_use(workspace, work), columns=RUN_COLUMNS.split(", "))
    live: list[dict[str, object]] = []
    for run_id in table["run_id"]:
        folder = workspace.run(run_id)
        try:
            view, said = state(folder), read_status(folder)
        except FairLabError:
            live.append({"status": "gone"})
            continue
        live.append(
            {
                "status": view.status,
                "reason": view.reason,
                "stage": view.stage,
                "progress": view.progress,
                "eta_s": view.eta_s,
                "rate": view.rate,
                "unit": view.unit,
                "finished_at": said.get("finished_at"),
                "train_s": said.get("train_s"),
                "bitwise": said.get("bitwise"),
            }
        )
    names = ["status", "reason", "stage", "progress", "eta_s", "rate", "unit", "finished_at", "train_s", "bitwise"]
    extra = pd.DataFrame(live, columns=names, index=table.index)
    for name in ("progress", "eta_s", "rate", "train_s"):
        extra[name] = pd.to_numeric(extra[name], errors="coerce")
    joined = table.join(extra)
    joined = joined[joined["status"] != "gone"].reset_index(drop=True)
    return joined[[*RUNS, *(name for name in joined if name not in RUNS)]]


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

    table = pd.DataFrame(_use(workspace, work), columns=list(METRICS))
    for name in ("value", "low", "high"):
        table[name] = table[name].astype(float)
    return table


def health(workspace: Workspace) -> str:
    """The catalogue's state in words."""

    def work(connection: sqlite3.Connection) -> tuple[str, int]:
        verdict = str(connection.execute("PRAGMA quick_check").fetchone()[0])
        return verdict, int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])

    verdict, count = _use(workspace, work)
    return f"{verdict}, version {len(MIGRATIONS)}, {count} runs"
