"""The catalogue: only an index, so that anything may happen to it."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from fairlab.errors import Refused
from fairlab.store import database
from fairlab.store.runs import create_run, write_status
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
    numbers = database.metrics(lab, names)
    database.rebuild(lab)
    pd.testing.assert_frame_equal(database.list_runs(lab), runs)
    pd.testing.assert_frame_equal(database.metrics(lab, names), numbers)
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
    with pytest.raises(Refused, match="has version 99, this FairLab reads up to 1"):
        database.sync(lab)


def _many(home: Path, failures: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    lab = open_workspace(home)
    for number in range(40):
        try:
            (lab.run("a-run") / "run.json").touch()
            database.sync(lab)
            if number % 10 == 0:
                database.list_runs(lab)
        except Exception as error:
            failures.put(repr(error))


def test_eight_processes_at_once_see_no_lock(lab: Workspace) -> None:
    """R11 and R12: opened, migrated, written and read by all at once."""
    create_run(lab, record(lab))
    write_status(lab.run("a-run"), "queued", reason="")
    context = multiprocessing.get_context("fork")
    failures = context.Queue()
    children = [context.Process(target=_many, args=(lab.home, failures)) for _ in range(8)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert failures.empty(), failures.get()
    assert database.list_runs(lab)["run_id"].tolist() == ["a-run"]
