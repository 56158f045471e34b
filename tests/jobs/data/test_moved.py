"""A workspace that is moved or deleted while runs work in it is not made anew at its old place."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import psutil
import pytest

from fairlab.files import make_folder, place_folder, read_json, write_json
from fairlab.machine import staying
from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.queue import launch
from fairlab.settings.study import changed
from fairlab.store.locks import no_starts
from fairlab.store.runs import read_status, state
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import copied_home


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


@pytest.mark.skipif(os.name == "nt", reason="Windows moves no folder with open files")
def test_a_real_run_stops_and_the_old_place_stays_empty(tiny: Workspace, tmp_path: Path) -> None:
    """Today the worker made the old place anew, and what it left there no deletion reached."""
    lab = open_workspace(copied_home(tiny.home, tmp_path / "home"))
    dials = {"arms": (), "students": (), "grid.relatives": (), "student.training.epochs": 20_000}
    plan = expand(changed(load_preset("tiny"), dials), "tiny", lab)
    name = launch.start(lab, plan)[0]
    folder, end = lab.run(name), time.monotonic() + 120
    while not list(folder.glob("checkpoints/*/manifest.json")):
        assert time.monotonic() < end, state(folder)
        time.sleep(0.1)
    pid = read_json(folder / "process.json")["pid"]
    new = open_workspace(os.rename(lab.home, tmp_path / "moved") or tmp_path / "moved")
    while not gone(pid):
        assert time.monotonic() < end
        time.sleep(0.1)
    time.sleep(1.0)
    assert not lab.home.exists()
    log = (new.run(name) / "log.txt").read_text()
    assert "the workspace was moved" in log
    assert "Traceback" not in log
    if sys.platform == "linux":
        assert read_status(new.run(name))["status"] == "stopped"
        assert "the workspace was moved" in state(new.run(name)).reason


@pytest.mark.parametrize("instead", [False, True])
def test_nothing_is_written_at_the_old_place(tmp_path: Path, instead: bool) -> None:
    lab = open_workspace(tmp_path / "home")
    run = lab.run("r")
    run.mkdir()
    (run / "temporary").mkdir()
    with staying.held(lab.home, run):
        write_json(run / "a.json", {})
        assert not staying.moved()
        os.rename(lab.home, tmp_path / "moved")
        if instead:  # another folder of that name is not this one
            lab.home.mkdir()
        assert staying.moved()
        for write in (
            lambda: write_json(run / "b.json", {}),
            lambda: make_folder(run / "x" / "y"),
            lambda: place_folder(tmp_path / "moved/runs/r/temporary", run / "placed"),
            lambda: no_starts(lab).__enter__(),
        ):
            with pytest.raises(staying.Moved, match="the workspace was moved"):
                write()
        assert lab.home.exists() == instead
        assert not instead or not list(lab.home.iterdir())
        write_json(tmp_path / "elsewhere.json", {})  # another place is no matter of theirs
        if sys.platform == "linux":
            assert staying.now_at(run) == tmp_path / "moved" / "runs" / "r"
            shutil.rmtree(tmp_path / "moved")
            assert staying.now_at(run) is None
    write_json(run / "c.json", {})
