"""Whose a temporary is: nobody deletes what another machine writes, and what the dead left goes, wherever it lies."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from fairlab.files import write_atomic
from fairlab.machine import temporaries
from fairlab.machine.temporaries import QUIET_S, beside, foreign, here, left_behind, mark, note_outside, sweep


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


def old(path: Path) -> None:
    for item in (path, *path.rglob("*")):
        os.utime(item, (time.time() - QUIET_S - 60,) * 2)


def test_what_another_machine_writes_is_left_alone_until_it_is_old(tmp_path: Path, dead: int) -> None:
    """Its process has a number that means nothing here, be it that of nobody or of somebody else."""
    theirs = [tmp_path / f"pixels.tmp.5.h00c0ffee.{pid}" for pid in (dead, os.getpid())]
    for folder in theirs:
        folder.mkdir()
        (folder / "pixels.npy").write_bytes(b"half")
    assert sweep(tmp_path) == 0
    assert sorted(foreign(tmp_path)) == sorted(theirs)
    for folder in theirs:
        old(folder)
        os.utime(folder / "pixels.npy")  # it is being written, though the folder's own time stands still
    assert sweep(tmp_path) == 0
    for folder in theirs:
        old(folder)
    assert sweep(tmp_path) == 2
    assert list(tmp_path.iterdir()) == []


def test_what_the_dead_of_this_machine_left_goes_at_once(tmp_path: Path, dead: int) -> None:
    ours = tmp_path / f"keep.json{mark()}"
    ours.write_text("mine")
    (tmp_path / f"keep.json.tmp.5.{here()}.{dead}").write_text("half")
    assert sweep(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [ours]


def test_the_same_machine_after_a_restart_is_another_place(monkeypatch: pytest.MonkeyPatch) -> None:
    first = here()
    here.cache_clear()
    monkeypatch.setattr(temporaries.platform, "node", lambda: "another")
    assert here() != first
    here.cache_clear()


@pytest.mark.parametrize(
    "name", ["a.json", "tmp.5", "a.tmp.x", "a.tmp.", "a.tmp.5.h1.3", "a.tmp.99999999999999999999x"]
)
def test_what_is_no_temporary_is_none(name: str) -> None:
    assert not left_behind(name, changed_at=0.0)


def test_what_a_killed_archive_left_outside_goes(tmp_path: Path, dead: int) -> None:
    """It holds templates of people and lies where nobody looks for it."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    left = elsewhere / f"study.tar.tmp.5.{here()}.{dead}"
    left.write_bytes(b"templates")
    (home / f"outside.tmp.5.{here()}.{dead}").write_bytes(os.fsencode(left))
    assert sweep(home) == 1
    assert not left.exists()


def test_a_note_names_only_its_own_temporary(tmp_path: Path, dead: int) -> None:
    """A workspace from elsewhere must not make a sweep delete files of the user."""
    precious = tmp_path / "thesis.tex"
    precious.write_text("years")
    for named in (precious, Path("/"), tmp_path / "x\0y"):
        (tmp_path / f"outside.tmp.5.{here()}.{dead}").write_bytes(os.fsencode(named))
        sweep(tmp_path)
    assert precious.read_text() == "years"


def test_while_it_is_written_it_is_noted(tmp_path: Path) -> None:
    out = tmp_path / "study.tar"

    def write(temporary: Path) -> None:
        assert temporary == beside(out)
        temporary.write_bytes(b"whole")

    note = note_outside(tmp_path, beside(out))
    write_atomic(out, write)
    assert os.fsdecode(note.read_bytes()) == str(beside(out))
    assert sweep(tmp_path) == 0, "this process lives"
