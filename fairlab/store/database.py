"""The catalogue: an SQLite index over the run folders, for quick lists. It holds nothing that they do not.

`rebuild` makes it again from them, so losing or damaging it loses nothing. The only place with SQL.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from fairlab.errors import FairLabError, Refused
from fairlab.files import explain
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


MIGRATIONS: list[Callable[[sqlite3.Connection], None]] = [_first_schema]
"""Step n brings the catalogue from version n to n + 1; released steps are never changed."""


@contextmanager
def _open(workspace: Workspace) -> Iterator[sqlite3.Connection]:
    """A connection to the catalogue at today's schema; a damaged file is set aside and made again."""
    path = workspace.catalogue_file
    try:
        connection = _connect(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            raise FairLabError(f"the catalogue {path} is busy; try again in a moment") from error
        aside = path.with_name(path.name + ".damaged")
        log.warning(
            "the catalogue %s was damaged (%s): kept as %s and made again from the run folders", path, error, aside.name
        )
        try:
            os.replace(path, aside)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        except OSError as problem:
            raise FairLabError(explain(problem, path)) from problem
        connection = _connect(path)
    try:
        yield connection
    finally:
        connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        version = _version(connection)
        if version > len(MIGRATIONS):
            raise Refused(
                f"the catalogue {path} has version {version}, this FairLab reads up to {len(MIGRATIONS)}; update FairLab"
            )
        if version < len(MIGRATIONS):
            connection.execute("BEGIN IMMEDIATE")  # one migrates, the others wait here and then find it done
            for number in range(_version(connection), len(MIGRATIONS)):
                MIGRATIONS[number](connection)
            connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _stamp(folder: Path) -> str:
    """Changes whenever a run's record or results change."""
    files = (folder / "run.json", folder / "results" / "manifest.json")
    return "|".join(str(path.stat().st_mtime_ns) if path.exists() else "" for path in files)


def sync(workspace: Workspace) -> None:
    """Bring the catalogue up to date with the run folders: new and changed runs in, vanished ones out."""
    with _open(workspace) as connection:
        known = dict(connection.execute("SELECT run_id, stamp FROM runs").fetchall())
        present = {
            path.parent.name: path.parent
            for path in workspace.runs_folder.glob("*/run.json")
            if ".tmp." not in path.parent.name
        }
        changed = [(name, folder, _stamp(folder)) for name, folder in present.items()]
        changed = [item for item in changed if known.get(item[0]) != item[2]]
        gone = set(known) - set(present)
        if not changed and not gone:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            for name in gone:
                _forget(connection, name)
            for name, folder, stamp in changed:
                _enter(connection, workspace, name, folder, stamp)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def _forget(connection: sqlite3.Connection, run_id: str) -> None:
    connection.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))
    connection.execute("DELETE FROM metrics WHERE run_id = ?", (run_id,))


def _enter(connection: sqlite3.Connection, workspace: Workspace, run_id: str, folder: Path, stamp: str) -> None:
    _forget(connection, run_id)
    try:
        record = read_run(workspace, run_id)
    except FairLabError as error:
        log.warning("run %s is left out of the catalogue: %s", run_id, error)
        return
    config = record.config.model_dump_json(exclude_none=True)
    connection.execute(
        "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            run_id,
            record.study,
            record.title,
            record.role,
            record.method,
            record.preset,
            record.created_at,
            json.dumps(record.parents),
            config,
            record.code_version,
            record.seed,
            record.dataset,
            stamp,
        ),
    )
    path = folder / "results" / "metrics.parquet"
    if path.exists():
        try:
            table = pd.read_parquet(path)[list(METRICS)]
        except (OSError, ValueError, KeyError) as error:
            log.warning("the numbers of run %s cannot be read: %s", run_id, error)
            return
        rows = table.astype(object).where(table.notna(), None).itertuples(index=False, name=None)
        connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def rebuild(workspace: Workspace) -> None:
    """Throw the catalogue away and make it again from the run folders."""
    for suffix in ("", "-wal", "-shm"):
        try:
            workspace.catalogue_file.with_name(workspace.catalogue_file.name + suffix).unlink(missing_ok=True)
        except OSError as error:
            raise FairLabError(explain(error, workspace.catalogue_file)) from error
    sync(workspace)


def list_runs(workspace: Workspace) -> pd.DataFrame:
    """All runs, oldest first: tables.RUNS, with stage, progress (0..1), eta_s, rate and unit of those that work."""
    sync(workspace)
    columns = "run_id, study, title, role, method, preset, created_at, parents, config, code_version, seed, dataset"
    with _open(workspace) as connection:
        table = pd.DataFrame(
            connection.execute(f"SELECT {columns} FROM runs ORDER BY created_at, run_id").fetchall(),  # noqa: S608 - constants
            columns=[name.strip() for name in columns.split(",")],
        )
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


def metrics(workspace: Workspace, run_ids: Sequence[str]) -> pd.DataFrame:
    """Stored numbers of these runs, as tables.METRICS."""
    sync(workspace)
    marks = ", ".join("?" * len(run_ids))
    with _open(workspace) as connection:
        rows = connection.execute(f"SELECT * FROM metrics WHERE run_id IN ({marks})", list(run_ids)).fetchall()  # noqa: S608
    table = pd.DataFrame(rows, columns=list(METRICS))
    for name in ("value", "low", "high"):
        table[name] = table[name].astype(float)
    return table


def health(workspace: Workspace) -> str:
    """The catalogue's state in words."""
    with _open(workspace) as connection:
        verdict = str(connection.execute("PRAGMA quick_check").fetchone()[0])
        count = int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])
    return f"{verdict}, version {len(MIGRATIONS)}, {count} runs"
