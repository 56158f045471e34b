"""The catalogue's tables, and how a connection comes to have them: only store.database uses it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fairlab.errors import Refused

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


def _last_words(connection: sqlite3.Connection) -> None:
    """How runs at rest stand is kept too, with the mark of the folder that vouches for it."""
    connection.execute("ALTER TABLE runs ADD COLUMN seen TEXT DEFAULT ''")
    connection.execute("ALTER TABLE runs ADD COLUMN said TEXT DEFAULT ''")
    connection.execute("CREATE TABLE edition (token TEXT)")
    connection.execute("INSERT INTO edition VALUES (hex(randomblob(8)))")


MIGRATIONS: list[Callable[[sqlite3.Connection], None]] = [_first_schema, _numbers_by_dataset, _last_words]
"""Step n brings the catalogue from version n to n + 1; released steps are never changed."""


def connect(path: Path) -> sqlite3.Connection:
    return prepared(sqlite3.connect(path, timeout=WAIT_S, isolation_level=None), path)


def prepared(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """The connection with today's schema behind it."""
    try:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] not in ("wal", "memory"):
            _to_wal(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA secure_delete=ON")  # what is deleted leaves no bytes behind
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
