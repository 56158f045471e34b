"""The Slurm engine against a real Slurm of two nodes: what is handed over, killed, requeued, refused, and what is said of it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairlab.jobs import on_cluster
from fairlab.plan.grid import expand
from fairlab.plan.plan import Plan
from fairlab.presets import load_preset
from fairlab.queue import launch
from fairlab.settings.study import changed
from fairlab.settings.user import set_user_settings
from fairlab.store.remote import read_job
from fairlab.store.runs import RunRecord, read_status, state
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import ROOT, copied_home
from tests.slurm_cluster import Cluster, running, until
from tests.slurm_runs import HOSTILE, ask_often, jobs, log, on_slurm, quick, seen, stand_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    yield from running()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    ask_often(monkeypatch)


def tiny_study(lab: Workspace, **dials: object) -> Plan:
    few = {"concatenation": False, "plain_student": False, "grid.maps": "none"}
    return expand(changed(load_preset("tiny"), {**few, **dials}), "tiny", lab)


@pytest.fixture(scope="module")
def endless(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """A run that stays for longer than the minute it asked for; it waits while other tests work."""
    lab = open_workspace(tmp_path_factory.mktemp("endless") / "home")
    record = quick(lab, "endless", on_slurm(time_limit="1", python=stand_in(lab.home, "trap '' TERM; sleep 300")))
    launch.dispatch(lab)
    set_user_settings({"slurm.python": ""})
    return record


@pytest.fixture(scope="module")
def finished(cluster: Cluster, endless: RunRecord, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The tiny study, carried out by the cluster while nobody looked. Do not change it: copy it."""
    with pytest.MonkeyPatch.context() as mine:
        mine.setenv("PYTHONPATH", str(ROOT))
        lab = open_workspace(tmp_path_factory.mktemp("slurm") / HOSTILE)
        plan = tiny_study(lab)
        launch.start(lab, plan, on_slurm())
        handed_over = [job for run in plan.runs if (job := read_job(run.record.folder)) is not None]
        assert len(handed_over) == len(plan.runs), "a run was not handed over at once"
        for path in lab.home.glob("catalogue.sqlite*"):  # this machine's list; no worker may make another
            path.unlink()
        until(lambda: not set(jobs(cluster)) & {job.job for job in handed_over}, 300)
        return lab


@pytest.fixture
def copy(finished: Workspace, tmp_path: Path) -> Workspace:
    copied_home(finished.home, tmp_path / "copy")
    return open_workspace(tmp_path / "copy")


def long_student(lab: Workspace, epochs: int = 4000) -> Path:
    """Start a student that trains for minutes, and give its folder."""
    dials = {"arms": (), "students": (), "grid.maps": "none", "student.training.epochs": epochs}
    plan = expand(changed(load_preset("tiny"), dials), "tiny", lab)
    launch.start(lab, plan, on_slurm())
    return next(run.record.folder for run in plan.runs if run.record.role == "student")


def trains(folder: Path, attempt: int = 1) -> Callable[[], bool]:
    """Has it a checkpoint, and has this attempt made a step?"""

    def look() -> bool:
        events = folder / "events.jsonl"
        mine = events.exists() and f'"attempt": {attempt},' in events.read_text()
        return mine and bool(list((folder / "checkpoints").glob("step-*")))

    return look


def steps(folder: Path, attempt: int) -> list[int]:
    """The steps that an attempt made."""
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if line["attempt"] == attempt]


def reached(folder: Path) -> str:
    names = (path.name for path in (folder / "checkpoints").glob("step-*"))
    return max(name for name in names if ".tmp." not in name)  # one is being written


def test_a_whole_study_is_done_while_no_app_looks(finished: Workspace) -> None:
    """All runs were handed over at once, each held back by Slurm until its parents were done."""
    for record in (run.record for run in tiny_study(finished).runs):
        assert state(record.folder).status == "done", log(record.folder)
        assert "done" in log(record.folder)
        assert read_job(record.folder) is not None
        assert read_status(record.folder)["attempt"] == 1
    assert not (finished.home / "catalogue.sqlite").exists(), "a worker opened the catalogue, on shared storage"
    assert not list(finished.home.parent.rglob("gone"))
    assert not list(finished.runs_folder.rglob("gone"))


def test_stopped_from_the_app_it_saves_and_goes_on_later(copy: Workspace, cluster: Cluster) -> None:
    folder = long_student(copy)
    until(trains(folder))
    assert seen(copy, folder, "running") == ""
    asked = time.monotonic()
    launch.stop(copy, folder.name)
    assert seen(copy, folder, "stopped", seconds=60) == "stopped by the user"
    print(f"stopped after {time.monotonic() - asked:.2f} s")
    job = read_job(folder)
    assert job is not None
    until(lambda: job.job not in jobs(cluster))
    assert f"ExitCode={on_cluster.LEFT}:0" in cluster.ask("scontrol", "-o", "show", "job", job.job), (
        "children would begin"
    )
    before = reached(folder)
    launch.resume(copy, folder.name)
    until(lambda: reached(folder) > before)
    launch.stop(copy, folder.name, force=True)
    assert "stopped by the user" in seen(copy, folder, "stopped", seconds=60)


def test_before_its_time_limit_it_saves_and_queues_itself_again(copy: Workspace, cluster: Cluster) -> None:
    """USR1 is what Slurm sends then. At last somebody cancels the job behind the app's back: it saves, too."""
    folder = long_student(copy)
    until(trains(folder))
    job = read_job(folder)
    assert job is not None
    cluster.ask("scancel", "--signal=USR1", job.job)
    until(lambda: read_status(folder)["status"] == "queued", 60)
    before = reached(folder)
    assert "Slurm time limit was near" in seen(copy, folder, "queued")
    until(trains(folder, attempt=2))
    assert seen(copy, folder, "running") == ""
    cluster.ask("scancel", job.job)
    assert f"job {job.job} was cancelled in Slurm" in seen(copy, folder, "stopped", seconds=60)
    assert reached(folder) > before


def test_a_killed_node_loses_nothing_and_its_clock_does_not_matter(
    copy: Workspace, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """n2 lives a day ahead. Killed, Slurm gives the run to n1: time goes back a day, and it goes on to its end."""
    (tmp_path / "sitecustomize.py").write_text(
        "import datetime, os, time\n"
        "if os.environ.get('SLURMD_NODENAME') == 'n2':\n"
        "    import fairlab.workspace\n"
        "    here = time.time\n"
        "    time.time = lambda: here() + 86400\n"
        "    ahead = lambda: datetime.datetime.fromtimestamp(time.time(), datetime.UTC)\n"
        "    fairlab.workspace.now = lambda: ahead().isoformat(timespec='microseconds')\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    cluster.ask("scontrol", "update", "nodename=n1", "state=drain", "reason=test")
    folder = long_student(copy, epochs=60)
    until(trains(folder))
    cluster.ask("scontrol", "update", "nodename=n1", "state=resume")
    seen(copy, folder, "running")
    job = read_job(folder)
    assert job is not None
    assert job.node == "n2"
    tomorrow = read_status(folder)["started_at"]
    cluster.kill_node("n2")
    try:
        before, killed = reached(folder), time.monotonic()
        reason = seen(copy, folder, "queued")
        assert "requeued after its node failed" in reason
        assert "continues from its last checkpoint" in reason
        queued = time.monotonic() - killed
        until(trains(folder, attempt=2))
        print(f"requeued after {queued:.1f} s, trains again after {time.monotonic() - killed:.1f} s")
        at = int(before.removeprefix("step-"))
        assert at < min(steps(folder, 2)) <= at + 10  # a reading is over ten steps at most
        seen(copy, folder, "done", seconds=180)
    finally:
        cluster.start_node("n2")
        cluster.until_up("n2")
    status = read_status(folder)
    assert (status["attempt"], status["bitwise"]) == (2, True)
    assert status["finished_at"] < tomorrow


def test_a_run_over_its_time_limit_is_ended_and_says_which(endless: RunRecord) -> None:
    """By Slurm, which looks every half minute."""
    lab = open_workspace(endless.folder.parent.parent)
    assert "its time limit in Slurm (00:01:00) was reached" in seen(lab, endless.folder, "crashed", seconds=150)


def test_one_run_trains_on_two_nodes(copy: Workspace) -> None:
    """Two processes, one on each node, that meet over the address that Slurm knows the first by."""
    dials = {"arms": (), "students": (), "grid.maps": "none", "student.training.epochs": 5}
    plan = expand(changed(load_preset("tiny"), dials), "tiny", copy)
    launch.start(copy, plan, on_slurm(nodes=2).model_copy(update={"devices": 2}))
    folder = next(run.record.folder for run in plan.runs if run.record.role == "student")
    until(trains(folder), 120)
    assert seen(copy, folder, "running", "done") == ""
    job = read_job(folder)
    assert job is not None
    assert job.node == "n[1-2]"
    seen(copy, folder, "done", seconds=120)
    assert read_status(folder)["attempt"] == 1
