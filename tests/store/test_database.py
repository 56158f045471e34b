"""The catalogue: only an index, so that anything may happen to it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import psutil
import pytest

import fairlab.machine.mounts
from fairlab.errors import FairLabError, Refused
from fairlab.files import write_manifest
from fairlab.storage.doctor import examine
from fairlab.store import database, marks
from fairlab.store.results import TABLES, write_protocol, write_results
from fairlab.store.runs import create_run, read_status, record_process, write_status
from fairlab.tables import METRICS
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import copied_home
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
    copied_home(tiny.home, tmp_path / "copy")
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
    with pytest.raises(Refused, match="has version 99, this FairLab reads up to 3"):
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


def _listed(lab: Workspace) -> dict[str, str]:
    runs = database.list_runs(lab)
    return dict(zip(runs["run_id"], runs["status"], strict=True))


def _aged(folder: Path) -> None:
    """As if nothing had happened there for an hour: now the catalogue believes its mark."""
    for path in (*folder.iterdir(), folder):
        os.utime(path, (time.time() - 3600,) * 2)


@pytest.fixture
def believed(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Three ended runs that the catalogue knows and whose folders it need not read again."""
    monkeypatch.setattr(marks, "TICK_S", 0.2)
    for name in ("one", "two", "three"):
        create_run(lab, record(lab, name))
        write_status(lab.run(name), "done", reason="", train_s=5.0)
        _aged(lab.run(name))
    time.sleep(0.25)
    assert _listed(lab) == dict.fromkeys(("one", "two", "three"), "done")
    return lab


def _reads(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs whose last word is read from now on."""
    asked: list[str] = []

    def read(folder: Path) -> dict[str, object]:
        asked.append(folder.name)
        return read_status(folder)

    monkeypatch.setattr(marks, "read_status", read)
    return asked


def test_ended_runs_are_not_read_again_and_a_change_is_seen_at_once(
    believed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _reads(believed, monkeypatch)
    assert _listed(believed)["two"] == "done"
    assert asked == []
    write_status(believed.run("two"), "failed", reason="why")
    runs = database.list_runs(believed).set_index("run_id")
    assert (runs.loc["two", "status"], runs.loc["two", "reason"], runs.loc["one", "train_s"]) == ("failed", "why", 5.0)
    assert set(asked) == {"two"}
    assert database.statuses(believed) == {"one": "done", "two": "failed", "three": "done"}


def test_two_changes_within_one_tick_of_the_clock_are_both_seen(lab: Workspace) -> None:
    """The second leaves every time as it was, as on a disk whose clock ticks once in two seconds."""
    create_run(lab, record(lab))
    folder = lab.run("a-run")
    for status in ("stopped", "failed", "stopped", "done"):
        before = [(path, path.stat()) for path in (folder, folder / "run.json")]
        write_status(folder, status, reason="")
        for path, found in before:
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
        assert _listed(lab) == {"a-run": status}


def test_a_hand_edit_in_place_is_seen(believed: Workspace) -> None:
    path = believed.run("one") / "status.json"
    path.write_bytes(path.read_bytes().replace(b"done", b"failed"))
    assert _listed(believed)["one"] == "failed"


def test_a_changed_result_is_seen(believed: Workspace) -> None:
    row = ("one", "test", "all", "mean_accuracy", "", 0.9, 0.8, 0.95, 10, 10)
    for value in (0.9, 0.7):
        table = pd.DataFrame([(*row[:5], value, *row[6:])], columns=list(METRICS))
        write_results(believed.run("one"), "faces", dict.fromkeys(TABLES, table))
        assert database.metrics(believed, ["one"], "faces")["value"].tolist() == [value]
        time.sleep(0.25)  # until the catalogue believes the folder's mark again
        database.sync(believed)
    further = dict.fromkeys((*TABLES, "pairs"), table)
    write_protocol(believed.run("one"), "faces", "all_pairs", further)
    assert len(database.metrics(believed, ["one"], "faces")) == 2


def test_a_restored_copy_is_seen_although_its_times_are_old(believed: Workspace, tmp_path: Path) -> None:
    shutil.copytree(believed.run("one"), tmp_path / "backup")  # keeps times
    write_status(believed.run("one"), "failed", reason="")
    assert _listed(believed)["one"] == "failed"
    shutil.rmtree(believed.run("one"))
    assert set(_listed(believed)) == {"two", "three"}
    shutil.copytree(tmp_path / "backup", believed.run("one"))
    assert _listed(believed)["one"] == "done"


def test_a_run_that_works_is_asked_each_time(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TICK_S", "SILENT_S"):
        monkeypatch.setattr(marks, name, 0.2)
    create_run(lab, record(lab))
    write_status(lab.run("a-run"), "running", reason="")
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    record_process(lab.run("a-run"), worker.pid)
    time.sleep(0.25)
    assert [_listed(lab)["a-run"] for _ in range(2)] == ["running"] * 2
    worker.kill()
    worker.wait()
    assert [_listed(lab)["a-run"] for _ in range(2)] == ["crashed"] * 2
    write_status(lab.run("a-run"), "queued", reason="")
    (lab.run("a-run") / "process.json").unlink()
    assert _listed(lab) == {"a-run": "queued"}


def _said_by_another(home: Path, status: str) -> None:
    lab = open_workspace(home)
    database.list_runs(lab)
    write_status(lab.run("two"), status, reason="")
    database.list_runs(lab)


def test_what_another_process_changes_and_enters_is_seen(believed: Workspace) -> None:
    for status in ("failed", "stopped", "done"):
        other = multiprocessing.get_context("fork").Process(target=_said_by_another, args=(believed.home, status))
        other.start()
        other.join()
        assert other.exitcode == 0
        assert _listed(believed)["two"] == status


def test_without_a_catalogue_every_folder_is_asked(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    create_run(lab, record(lab))
    write_status(lab.run("a-run"), "stopped", reason="")

    def full(*_: object) -> None:
        raise FairLabError("database or disk is full")

    monkeypatch.setattr(database, "_use", full)
    assert database.statuses(lab) == {"a-run": "stopped"}


def test_a_catalogue_of_version_2_goes_on_with_its_numbers(lab: Workspace) -> None:
    """As 0.1 made it: the columns that the third step adds are filled from the folders."""
    create_run(lab, record(lab))
    write_status(lab.run("a-run"), "done", reason="")
    database.sync(lab)
    with sqlite3.connect(lab.catalogue_file) as connection:
        connection.execute("ALTER TABLE runs DROP COLUMN seen")
        connection.execute("ALTER TABLE runs DROP COLUMN said")
        connection.execute("DROP TABLE edition")
        connection.execute(
            "INSERT INTO metrics (run_id, dataset, metric, value, genuine_pairs, impostor_pairs) "
            "VALUES ('a-run', 'faces', 'ser', 2, 0, 0)"
        )
        connection.execute("PRAGMA user_version=2")
    assert _listed(lab) == {"a-run": "done"}
    assert database.metrics(lab, ["a-run"], "faces")["value"].tolist() == [2.0]


def test_on_shared_storage_the_catalogue_lies_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = open_workspace(tmp_path / "home")
    mounts = [("/", "ext4"), (str(tmp_path), "nfs4"), (str(tmp_path / "hom"), "ext4")]  # the last only begins like it
    parts = [SimpleNamespace(mountpoint=point, fstype=kind) for point, kind in mounts]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: parts)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FAIRLAB_CATALOGUE", raising=False)
    fairlab.machine.mounts._mounted.cache_clear()
    create_run(lab, record(lab))
    assert list(_listed(lab)) == ["a-run"]
    assert lab.catalogue_file.parent.parent == tmp_path / "cache" / "fairlab"
    assert lab.catalogue_file.exists()
    assert not list(lab.home.glob("catalogue*"))
    assert f"in {lab.catalogue_file.parent}: the workspace is on nfs4" in examine(lab, devices=False)["catalogue"]
    fairlab.machine.mounts._mounted.cache_clear()


@pytest.mark.parametrize(
    ("kind", "shared"),
    [("nfs", True), ("fuse.sshfs", True), ("lustre", True), ("ext4", False), ("tmpfs", False), ("fuse.gvfsd", False)],
)
def test_which_file_systems_machines_share(kind: str, shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairlab.machine.mounts, "file_system", lambda _: kind)
    assert fairlab.machine.mounts.shared_by_machines(Path("/somewhere")) is shared


def test_a_folder_for_catalogues_can_be_named(lab: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRLAB_CATALOGUE", str(tmp_path / "lists"))
    create_run(lab, record(lab))
    assert list(_listed(lab)) == ["a-run"]
    assert len(list((tmp_path / "lists").glob("*/catalogue.sqlite"))) == 1
    assert open_workspace(tmp_path / "second").catalogue_file.parent != lab.catalogue_file.parent
