"""The catalogue: only an index, so that anything may happen to it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fairlab.errors import FairLabError, Refused
from fairlab.files import write_manifest
from fairlab.store import database
from fairlab.store.runs import create_run, write_status
from fairlab.tables import METRICS
from fairlab.workspace import Workspace, open_workspace
from tests.store.test_runs import record


def test_runs_come_in_and_go_out_with_their_folders(lab: Workspace) -> None:
    assert database.list_runs(lab).empty
    for name in ("one", "two"):
        create_run(lab, record(lab, name))
        write_status(lab.run(name), "queued", reason="")
    assert database.list_runs(lab)["run_id"].tolist() == ["one", "two"]
    shutil.rmtree(lab.run("one"))
    assert database.list_runs(lab)["run_id"].tolist() == ["two"]


def test_rebuilding_gives_the_same_catalogue(tiny: Workspace, tmp_path: Path) -> None:
    shutil.copytree(tiny.home, tmp_path / "copy")
    lab = open_workspace(tmp_path / "copy")
    runs, names = database.list_runs(lab), None
    names = runs["run_id"].tolist()
    numbers = database.metrics(lab, names, runs["dataset"].iloc[0])
    database.rebuild(lab)
    pd.testing.assert_frame_equal(database.list_runs(lab), runs)
    pd.testing.assert_frame_equal(database.metrics(lab, names, runs["dataset"].iloc[0]), numbers)
    assert len(numbers) > 50


@pytest.mark.parametrize("content", [b"not a database at all, really", b"SQLite format 3\x00" + b"\x07" * 4000])
def test_a_damaged_catalogue_is_set_aside_and_made_again(lab: Workspace, content: bytes) -> None:
    create_run(lab, record(lab))
    write_status(lab.run("a-run"), "queued", reason="")
    lab.catalogue_file.write_bytes(content)
    assert database.list_runs(lab)["run_id"].tolist() == ["a-run"]
    assert lab.catalogue_file.with_name("catalogue.sqlite.damaged").read_bytes() == content


def test_a_newer_catalogue_is_refused_with_both_numbers(lab: Workspace) -> None:
    database.sync(lab)
    with sqlite3.connect(lab.catalogue_file) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(Refused, match="has version 99, this FairLab reads up to 2"):
        database.sync(lab)


def _restored(lab: Workspace, content: bytes) -> None:
    for suffix in ("-wal", "-shm"):
        lab.catalogue_file.with_name("catalogue.sqlite" + suffix).unlink(missing_ok=True)
    lab.catalogue_file.write_bytes(content)


def test_flipped_bits_and_cuts_of_the_catalogue_never_reach_the_user(lab: Workspace) -> None:
    """100 cuts, 100 flips in the pages that hold its structure: the same list, or one sentence of ours."""
    names = [f"run-{number}" for number in range(6)]
    for name in names:
        create_run(lab, record(lab, name))
        write_status(lab.run(name), "queued", reason="")
    database.sync(lab)
    original, dice = lab.catalogue_file.read_bytes(), random.Random(0)
    for number in range(200):
        damaged = bytearray(original)
        if number % 2:
            damaged = damaged[: dice.randrange(len(original))]
        else:
            damaged[dice.randrange(1000)] ^= 1 << dice.randrange(8)
        _restored(lab, bytes(damaged))
        try:
            assert sorted(database.list_runs(lab)["run_id"]) == names
        except Refused as error:
            assert "this FairLab reads up to" in str(error)  # noqa: PT017 - the flip hit the version


def test_numbers_that_are_not_those_recorded_are_left_out(lab: Workspace) -> None:
    """While an evaluation replaces them, or after the disk changed them; the new manifest brings them back."""
    create_run(lab, record(lab))
    write_status(lab.run("a-run"), "done", reason="")
    results = lab.run("a-run") / "results" / "faces"
    results.mkdir(parents=True)
    row = ("a-run", "test", "all", "mean_accuracy", "", 0.9, float("nan"), 0.95, 10, 10)
    pd.DataFrame([row], columns=list(METRICS)).to_parquet(results / "metrics.parquet")
    write_manifest(results, ["metrics.parquet"])
    found = database.metrics(lab, ["a-run", *map(str, range(40_000))], "faces")
    assert found.drop(columns="low").to_numpy().tolist() == [[*row[:6], *row[7:]]]
    assert found["low"].isna().all()
    pd.DataFrame([(*row[:5], 0.1, *row[6:])], columns=list(METRICS)).to_parquet(results / "metrics.parquet")
    database.rebuild(lab)
    assert database.metrics(lab, ["a-run"], "faces").empty
    write_manifest(results, ["metrics.parquet"])
    assert database.metrics(lab, ["a-run"], "faces")["value"].tolist() == [0.1]
    assert database.metrics(lab, ["a-run"], "other-faces").empty


def test_a_run_that_cannot_be_read_is_said_once_and_the_others_listed(
    lab: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("good", "bad"):
        create_run(lab, record(lab, name))
        write_status(lab.run(name), "queued", reason="")
    (lab.run("bad") / "run.json").write_bytes(b"{")
    (lab.runs_folder / "half").mkdir()
    for _ in range(3):
        assert database.list_runs(lab)["run_id"].tolist() == ["good"]
    assert [line.getMessage().partition(":")[0] for line in caplog.records] == ["run bad is left out of the catalogue"]
    shutil.rmtree(lab.run("bad"))
    create_run(lab, record(lab, "bad"))
    assert database.list_runs(lab)["run_id"].tolist() == ["bad", "good"]


def test_a_full_disk_is_one_sentence(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(database, "_fill", full)
    with pytest.raises(FairLabError, match=r"catalogue\.sqlite cannot be used: database or disk is full"):
        database.sync(lab)


def _damage_and_list(home: Path, failures: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    lab = open_workspace(home)
    for _ in range(10):
        try:
            assert database.list_runs(lab)["run_id"].tolist() == ["a-run"]
        except Exception as error:
            failures.put(repr(error))


def test_many_who_find_it_damaged_make_it_once(lab: Workspace) -> None:
    """The later ones must not set the first one's new catalogue aside."""
    create_run(lab, record(lab))
    write_status(lab.run("a-run"), "queued", reason="")
    for _ in range(5):
        _restored(lab, b"garbage" * 1000)
        failures = _together(_damage_and_list, lab)
        assert failures == []
        assert lab.catalogue_file.with_name("catalogue.sqlite.damaged").read_bytes() == b"garbage" * 1000


def _sync_for_ever(home: Path) -> None:
    lab = open_workspace(home)
    while True:
        for name in ("a-run", "b-run"):
            (lab.run(name) / "run.json").touch()
        database.sync(lab)


def test_a_killed_writer_leaves_a_sound_catalogue(lab: Workspace) -> None:
    """60 kills."""
    for name in ("a-run", "b-run"):
        create_run(lab, record(lab, name))
        write_status(lab.run(name), "queued", reason="")
    for _ in range(60):
        child = multiprocessing.get_context("fork").Process(target=_sync_for_ever, args=(lab.home,), daemon=True)
        child.start()
        time.sleep(0.01 + random.random() * 0.04)
        child.kill()
        child.join()
        assert database.list_runs(lab)["run_id"].tolist() == ["a-run", "b-run"]
    assert database.health(lab).startswith("ok")
    assert not lab.catalogue_file.with_name("catalogue.sqlite.damaged").exists()


def _add_for_ever(home: Path, said: Any) -> None:
    lab, number = open_workspace(home), 0
    while True:
        name = f"{os.getpid()}-{number}"
        create_run(lab, record(lab, name))
        database.sync(lab)
        said.send(name)
        number += 1


def test_what_a_killed_writer_acknowledged_is_in_the_catalogue(lab: Workspace) -> None:
    """100 kills: each run that it said to be entered is there, whole, without looking at the folders again."""
    database.sync(lab)
    acknowledged: set[str] = set()
    context = multiprocessing.get_context("fork")
    for _ in range(100):
        shutil.rmtree(lab.runs_folder)  # quick lists; the catalogue forgets them at its next look
        lab.runs_folder.mkdir()
        acknowledged.clear()
        listen, said = context.Pipe(duplex=False)
        child = context.Process(target=_add_for_ever, args=(lab.home, said), daemon=True)
        child.start()
        said.close()
        time.sleep(0.01 + random.random() * 0.03)
        child.kill()
        child.join()
        with contextlib.suppress(EOFError):
            while True:
                acknowledged.add(listen.recv())
        with contextlib.closing(sqlite3.connect(lab.catalogue_file)) as connection:
            rows = {
                name for (name,) in connection.execute("SELECT run_id FROM runs WHERE title = 'Title' AND stamp != ''")
            }
            assert acknowledged <= rows
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not lab.catalogue_file.with_name("catalogue.sqlite.damaged").exists()


RELEASED = {
    1: (
        "CREATE TABLE runs (run_id TEXT PRIMARY KEY, study TEXT, title TEXT, role TEXT, method TEXT, preset TEXT, "
        "created_at TEXT, parents TEXT, config TEXT, code_version TEXT, seed INTEGER, dataset TEXT, stamp TEXT);"
        'CREATE TABLE metrics (run_id TEXT, protocol TEXT, "group" TEXT, metric TEXT, operating_point TEXT, value REAL, '
        "low REAL, high REAL, genuine_pairs INTEGER, impostor_pairs INTEGER);"
        "CREATE INDEX metrics_of_run ON metrics (run_id);"
        "INSERT INTO runs VALUES ('gone', 's', 'Old', 'teacher', 'm', 'p', '2026-01-01', '[]', '{}', '0', 0, 'd', 'x');"
        "INSERT INTO metrics VALUES ('gone', 'test', 'all', 'mean_accuracy', '', 0.5, 0.4, 0.6, 1, 1);"
    ),
}
RELEASED[2] = (
    RELEASED[1].replace("impostor_pairs INTEGER", "impostor_pairs INTEGER, dataset TEXT").replace("1, 1)", "1, 1, 'd')")
)
"""The schema of every released version, as it was written then, with one run that is no more."""


def _of_version(lab: Workspace, version: int) -> None:
    """Make the catalogue one of an older version."""
    for path in lab.home.glob("catalogue.sqlite*"):
        path.unlink()
    with contextlib.closing(sqlite3.connect(lab.catalogue_file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(RELEASED[version] + f"PRAGMA user_version={version};")


@pytest.mark.parametrize("version", RELEASED)
def test_a_catalogue_of_every_released_version_opens_and_a_copy_is_kept(lab: Workspace, version: int) -> None:
    """The runs of the folders are listed, the vanished one is not; the older file stays beside it as it was."""
    create_run(lab, record(lab))
    write_status(lab.run("a-run"), "queued", reason="")
    _of_version(lab, version)
    assert database.list_runs(lab)["run_id"].tolist() == ["a-run"]
    assert f"version {len(database.MIGRATIONS)}" in database.health(lab)
    kept = lab.catalogue_file.with_name(f"catalogue.sqlite.version{version}")
    assert kept.exists() == (version < len(database.MIGRATIONS))
    if kept.exists():
        with contextlib.closing(sqlite3.connect(kept)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (version,)
            assert connection.execute("SELECT run_id, stamp FROM runs").fetchall() == [("gone", "x")]


def _migrate_and_tell(home: Path, failures: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    """Open the catalogue; every migration that this process carries out is a line in a file."""

    def told(number: int, step: Callable[[sqlite3.Connection], None]) -> Callable[[sqlite3.Connection], None]:
        def carry_out(connection: sqlite3.Connection) -> None:
            with open(home / "migrations", "a") as file:
                file.write(f"{number}\n")
            time.sleep(0.02)
            step(connection)

        return carry_out

    database.MIGRATIONS[:] = [told(number, step) for number, step in enumerate(database.MIGRATIONS)]
    try:
        assert database.list_runs(open_workspace(home))["run_id"].tolist() == ["a-run"]
    except Exception as error:
        failures.put(repr(error))


def test_four_who_open_an_old_catalogue_at_once_migrate_it_once(lab: Workspace) -> None:
    """5 rounds; every step exactly once."""
    create_run(lab, record(lab))
    write_status(lab.run("a-run"), "queued", reason="")
    for _ in range(5):
        _of_version(lab, 1)
        (lab.home / "migrations").unlink(missing_ok=True)
        assert _together(_migrate_and_tell, lab, 4) == []
        steps = (lab.home / "migrations").read_text().split()
        assert steps == [str(number) for number in range(1, len(database.MIGRATIONS))]


def _migrate(home: Path) -> None:
    database.sync(open_workspace(home))


def test_a_kill_during_the_migration_costs_nothing(lab: Workspace) -> None:
    """50 kills: afterwards the old one is migrated, or the new one is there; never a damaged one, and a sound copy."""
    create_run(lab, record(lab))
    write_status(lab.run("a-run"), "queued", reason="")
    for _ in range(50):
        _of_version(lab, 1)
        child = multiprocessing.get_context("fork").Process(target=_migrate, args=(lab.home,), daemon=True)
        child.start()
        time.sleep(random.random() * 0.02)
        child.kill()
        child.join()
        with contextlib.closing(sqlite3.connect(lab.catalogue_file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("PRAGMA user_version").fetchone()[0] in (1, len(database.MIGRATIONS))
        assert database.list_runs(lab)["run_id"].tolist() == ["a-run"]
        with contextlib.closing(
            sqlite3.connect(lab.catalogue_file.with_name("catalogue.sqlite.version1"))
        ) as connection:
            assert connection.execute("SELECT run_id FROM runs").fetchall() == [("gone",)]
    assert not lab.catalogue_file.with_name("catalogue.sqlite.damaged").exists()


def _together(target: Callable[..., None], lab: Workspace, count: int = 8) -> list[str]:
    context = multiprocessing.get_context("fork")
    failures = context.Queue()
    children = [context.Process(target=target, args=(lab.home, failures)) for _ in range(count)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    return [] if failures.empty() else [failures.get()]


def _many(home: Path, failures: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    lab = open_workspace(home)
    for number in range(200):
        try:
            (lab.run("a-run") / "run.json").touch()
            database.sync(lab)
            if number % 50 == 0:
                database.list_runs(lab)
        except Exception as error:
            failures.put(repr(error))


def test_eight_processes_at_once_see_no_lock(lab: Workspace) -> None:
    """200 times each, 1,600 in all: opened, migrated, written and read by all at once."""
    create_run(lab, record(lab))
    write_status(lab.run("a-run"), "queued", reason="")
    began = time.monotonic()
    assert _together(_many, lab) == []
    print(f"1,600 in {time.monotonic() - began:.1f} s")
    assert database.list_runs(lab)["run_id"].tolist() == ["a-run"]
