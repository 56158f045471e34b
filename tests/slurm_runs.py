"""Runs for a cluster of the tests: real ones, and ones that a script carries out instead of FairLab."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.queue import launch
from fairlab.queue.engines import slurm
from fairlab.settings.base import PathText
from fairlab.settings.placement import Placement, Slurm
from fairlab.settings.user import config_folder, set_user_settings
from fairlab.store.queue import Turn, write_turn
from fairlab.store.remote import read_job
from fairlab.store.runs import RunRecord, create_run, state, write_status
from fairlab.workspace import Workspace
from tests.conftest import ROOT
from tests.slurm_cluster import Cluster, until

HOSTILE = "it's $(touch gone) `touch gone`; touch gone & %j \"ü"
"""A folder's name that does harm wherever it reaches a shell, and means something in Slurm's own file names."""
DONE = 'echo "{\\"status\\": \\"done\\"}" > told && mv told status.json'
"""What a stand-in does at last, to have done its run."""


def ask_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a limit to how often Slurm is asked; the nodes use this FairLab."""
    monkeypatch.setattr(slurm, "EVERY_S", 0.2)
    monkeypatch.setattr(slurm, "AWAY_S", 0.2)
    monkeypatch.setattr(slurm, "PATIENCE", 0)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("FAIRLAB_CONFIG", tempfile.mkdtemp(prefix="fairlab-config-", dir=os.environ["FAIRLAB_CONFIG"]))


class Standing(Placement):
    """A placement of a run that a program carries out instead of Python."""

    python: PathText = ""


def on_slurm(python: str = "", **settings: object) -> Placement:
    kind, more = (Standing, {"python": python}) if python else (Placement, {})
    return kind(engine="slurm", slurm=Slurm.model_validate({"cpus": 1, **settings}), **more)


def stand_in(folder: Path, script: str) -> str:
    """A program instead of Python on the nodes: gets `-m fairlab --home HOME work RUN`, in the run's folder."""
    path = folder / "stand-in"
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)
    return str(path)


def quick(lab: Workspace, name: str, placement: Placement, *parents: RunRecord, role: str = "teacher") -> RunRecord:
    """Queue a run for a stand-in."""
    some_run = expand(load_preset("tiny"), "tiny", lab).runs[0].record
    names = tuple(parent.run_id for parent in parents)
    record = replace(some_run, run_id=name, folder=lab.run(name), parents=names, role=role)
    create_run(lab, record)
    if isinstance(placement, Standing):
        _stands_in(name, placement.python)
        placement = Placement.model_validate(placement.model_dump(exclude={"python"}))
    write_turn(record.folder, Turn(placement=placement))
    write_status(record.folder, "queued", reason="")
    return record


def _stands_in(run_id: str, program: str) -> None:
    """The user's one Python for all nodes becomes a script that hands each run, its last word, to its own program."""
    folder = config_folder()
    (folder / "stand-ins").mkdir(parents=True, exist_ok=True, mode=0o700)
    link = folder / "stand-ins" / run_id
    link.unlink(missing_ok=True)  # a module's tests may come in two turns, each with a cluster of its own
    link.symlink_to(program)
    python = folder / "python"
    python.write_text(f'#!/bin/bash\nexec "{folder}/stand-ins/${{!#}}" "$@"\n')
    python.chmod(0o755)
    set_user_settings({"slurm.python": str(python)})


def jobs(cluster: Cluster) -> list[str]:
    """Numbers of the jobs that wait or run."""
    return cluster.ask("squeue", "-h", "-o", "%i").split()


def seen(lab: Workspace, folder: Path, *wanted: str, seconds: float = 60, saying: str = "") -> str:
    """Look, as an app does, until the run stands so; gives the reason."""

    def look() -> bool:
        launch.dispatch(lab)
        return state(folder).status in wanted and saying in state(folder).reason

    try:
        until(look, seconds)
    except AssertionError as error:
        raise AssertionError((state(folder), read_job(folder), log(folder))) from error
    return state(folder).reason


def log(folder: Path) -> str:
    """What the run's processes printed."""
    path = folder / "log.txt"
    return path.read_text() if path.exists() else "no log"
