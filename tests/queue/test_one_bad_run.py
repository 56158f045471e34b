"""One bad run, one silent cluster, one half-made launch: what must not harm the others, nor keep anybody waiting."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from fairlab.cli import watch
from fairlab.errors import FairLabError, Refused
from fairlab.jobs import worker
from fairlab.machine import processes
from fairlab.plan import needs
from fairlab.plan.grid import expand
from fairlab.plan.schedule import Task, ends
from fairlab.presets import load_preset
from fairlab.queue import capacity, edit, launch, turns, waiting
from fairlab.queue.engines import slurm, slurm_commands
from fairlab.queue.engines.local import LocalEngine
from fairlab.queue.waiting import wait
from fairlab.settings.placement import Placement
from fairlab.settings.user import set_user_settings
from fairlab.store import remote, runs
from fairlab.store.queue import Turn, read_turn, write_turn
from fairlab.store.runs import RunRecord, create_run, live_process, read_status, record_process, state, write_status
from fairlab.workspace import Workspace, set_slots
from tests.conftest import command
from tests.slurm_runs import quick
from tests.waiting import STUDY, entered, waits


def waited(lab: Workspace, *records: RunRecord) -> bool:
    """wait(), which must come to its end within a few looks."""
    looks = iter(range(5))

    def look(_views: object) -> None:
        assert next(looks, None) is not None, "it waits for ever"

    return wait(lab, [record.run_id for record in records], look, every_s=0.01)


@pytest.mark.parametrize("why", ["failed", "held", "unreadable"])
def test_who_waits_for_what_can_never_begin_is_told_so(lab: Workspace, told: list[str], why: str) -> None:
    """However far behind it is; by Python and by the command line."""
    first = entered(lab, "First", status="failed" if why == "failed" else "queued")
    second = entered(lab, "Second", (first.run_id,))
    third = entered(lab, "Third", (second.run_id,))
    if why == "held":
        edit.hold(lab, [first.run_id])
    if why == "unreadable":
        (first.folder / "queue.json").write_text("{}")
    assert not waited(lab, third)
    assert not waited(lab, first, second, third)
    assert command(lab.home, "runs", "wait", third.run_id).returncode == 1
    assert command(lab.home, "watch", third.run_id).returncode == 0
    assert told == []


def test_who_waits_for_what_will_begin_goes_on_waiting(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a queue elsewhere that says why it waits, for a cluster that takes nothing now, for memory."""
    there = entered(lab, "There")
    write_turn(there.folder, Turn(placement=Placement(engine="slurm")))
    remote.write_job(there.folder, remote.Job("slurm", "7", remote.WAITING, "waits in the queue of slurm: Priority"))
    behind = entered(lab, "Behind", (there.run_id,))
    monkeypatch.setattr(slurm.SlurmEngine, "poll", lambda *_: None)
    for record in (there, behind):
        assert turns.any_goes_on(lab, [record.run_id])
        with pytest.raises(AssertionError, match="for ever"):
            waited(lab, record)


@pytest.mark.parametrize("how", ["python", "wait", "watch"])
def test_what_ends_while_one_looks_is_told(lab: Workspace, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """The run ends just after its queue was looked at, or just before: who waits for it hears that it is done."""
    record = entered(lab, "Ends", status="running")
    asked = turns.any_goes_on

    def ending(workspace: Workspace, names: list[str]) -> bool:
        write_status(record.folder, "done", reason="")
        return asked(workspace, names)

    for module in (waiting, watch):
        monkeypatch.setattr(module, "any_goes_on", ending)
    if how == "python":
        assert waited(lab, record)
        return
    words = ["runs", "wait"] if how == "wait" else ["watch"]
    told = command(lab.home, *words, record.run_id)
    assert told.returncode == 0
    assert "done" in told.stdout


def test_a_run_that_cannot_be_started_fails_alone(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system refuses: the log, a process. The next one starts, and whoever looks is not harmed."""
    set_slots(lab, 9)
    bad, good = entered(lab, "Bad"), entered(lab, "Good")
    (bad.folder / "log.txt").mkdir()
    submit = LocalEngine.submit

    def submit_or_say(engine: LocalEngine, lab: Workspace, record: RunRecord, placement: Placement) -> None:
        if record == bad:
            submit(engine, lab, record, placement)
        else:
            record_process(record.folder)

    monkeypatch.setattr(LocalEngine, "submit", submit_or_say)
    assert launch.dispatch(lab) == [good.run_id]
    assert state(bad.folder).status == "failed"
    assert state(bad.folder).reason.startswith("it could not be started: could not write")
    assert "log.txt" in state(bad.folder).reason


def test_stopped_in_its_first_second_it_is_stopped(lab: Workspace) -> None:
    """A real process that has not yet said that it runs: it sees the stop file, and must not die of the signal."""
    plan = expand(load_preset("tiny"), "tiny", lab)
    record = plan.runs[0].record
    create_run(lab, record)
    launch.enqueue(record.folder, Turn())
    assert launch.dispatch(lab) == [record.run_id]
    launch.stop(lab, record.run_id)
    end = time.monotonic() + 60
    while state(record.folder).status in ("queued", "running"):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert (state(record.folder).status, state(record.folder).reason) == ("stopped", "stopped by the user")
    assert not (record.folder / "stop").exists()


def test_a_run_that_ends_while_one_looks_has_not_crashed(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the reading of its status and that of its process it says "done" and ends."""
    record = entered(lab, "Ends", status="running")

    def ending(folder: Path) -> None:
        write_status(folder, "done", reason="")

    monkeypatch.setattr(runs, "live_process", ending)
    assert state(record.folder).status == "done"


def test_a_run_of_another_machine_lives_while_it_gives_signs_of_life(lab: Workspace) -> None:
    """Process numbers mean nothing here; its heartbeat on the shared folder does, until it is old."""
    record = entered(lab, "There", status="running")
    process = live_process(record.folder)
    assert process is not None
    process.kill()
    noted = json.loads((record.folder / "process.json").read_text())
    (record.folder / "process.json").write_text(json.dumps({**noted, "host": "gpu7", "boot_id": "another"}))
    assert state(record.folder).status == "running"
    assert "runs on gpu7" in state(record.folder).reason
    with pytest.raises(Refused, match="is running"):
        launch.resume(lab, record.run_id)
    old = time.time() - runs.SEEN_S - 1
    os.utime(record.folder / "heartbeat.json", (old, old))
    assert state(record.folder).status == "crashed"
    os.utime(record.folder / "heartbeat.json")
    (record.folder / "process.json").write_text(json.dumps({**noted, "boot_id": "before"}))
    assert state(record.folder).status == "crashed", "this machine, started anew"


@pytest.fixture
def silent(lab: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Placement]:
    """A cluster behind a command that notes each call and does what a script says."""
    monkeypatch.setattr(slurm, "EVERY_S", 0.0)
    monkeypatch.setenv("FAIRLAB_CONFIG", str(tmp_path / "config"))

    def make(script: str) -> Placement:
        path = tmp_path / f"way-{abs(hash(script))}"
        path.write_text(f'#!/bin/bash\necho "$@" >> {tmp_path}/calls\n{script}\n')
        path.chmod(0o755)
        set_user_settings({"slurm.commands": [str(path)]})
        return Placement(engine="slurm")

    return make


def calls(tmp_path: Path) -> list[str]:
    path = tmp_path / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_a_silent_cluster_is_left_alone_for_longer_than_it_was_silent(
    lab: Workspace, tmp_path: Path, silent: Callable[[str], Placement], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a local run starts meanwhile."""
    monkeypatch.setattr(slurm_commands, "ANSWER_S", 1.1)
    waiting = quick(lab, "waiting", silent("sleep 30"))
    launch.dispatch(lab)
    assert len(calls(tmp_path)) == 1
    assert "did not answer within" in state(waiting.folder).reason
    began = time.monotonic()
    for _ in range(3):
        launch.dispatch(lab)
    assert time.monotonic() - began < 1
    assert len(calls(tmp_path)) == 1
    assert state(waiting.folder).status == "queued"


def test_a_cluster_that_cannot_be_asked_stops_none_from_being_stopped(
    lab: Workspace, tmp_path: Path, silent: Callable[[str], Placement]
) -> None:
    """All get their stop files, the cluster one command for all, and what it said is said once."""
    placement = silent("echo 'scancel: error: Access denied' >&2; exit 1")
    three = [quick(lab, name, placement) for name in ("a", "b", "c")]
    for number, run in enumerate(three):
        write_status(run.folder, "running", reason="")
        remote.write_job(run.folder, remote.Job("slurm", str(number), remote.RUNNING))
    with pytest.raises(FairLabError, match=r"^Access denied; the runs will stop by themselves"):
        launch.stop_all(lab, ["a", "b", "c"])
    assert all((run.folder / "stop").exists() for run in three)
    assert [line for line in calls(tmp_path) if line.startswith("scancel")] == ["scancel --state=PENDING 0 1 2"]


def test_one_damaged_place_in_the_queue_hides_no_other_run(lab: Workspace, silent: Callable[[str], Placement]) -> None:
    placement = silent("echo '8|good|FAILED||NonZeroExitCode'; exit 0")
    damaged, good = quick(lab, "damaged", placement), quick(lab, "good", placement)
    for number, run in ((7, damaged), (8, good)):
        write_status(run.folder, "running", reason="")
        remote.write_job(run.folder, remote.Job("slurm", str(number), remote.RUNNING))
    (damaged.folder / "queue.json").write_text("{}")
    launch.dispatch(lab)
    assert state(good.folder).status == "crashed"
    assert state(damaged.folder).status == "running"
    assert "is not a place in the queue" in state(damaged.folder).reason
    waiting = entered(lab, "Unreadable")
    (waiting.folder / "queue.json").write_text("{}")
    shown = command(lab.home, "runs", "queue").stdout
    assert "cannot be read" in shown
    assert "nan" not in shown


def test_a_launch_that_is_cut_short_leaves_no_run_for_the_wrong_machine(
    lab: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed as soon as the run exists: it is known where it is to work."""
    plan, write = expand(load_preset("tiny"), "tiny", lab), launch.create_run

    def dying(workspace: Workspace, record: RunRecord) -> None:
        write(workspace, record)
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "create_run", dying)
    with pytest.raises(KeyboardInterrupt):
        launch.start(lab, plan, Placement(engine="slurm"))
    (made,) = lab.runs_folder.glob("*/run.json")
    assert read_turn(made.parent).placement.engine == "slurm"


def test_what_runs_need_is_looked_up_once_for_all_that_are_alike(
    lab: Workspace, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study may have thousands: the look at the queue must not go over all of them for each of them."""
    for number in range(12):
        entered(lab, f"Run {number}")
    looked: list[str] = []
    alike = needs._alike

    def counted(workspace: Workspace, record: RunRecord) -> list[Path]:
        looked.append(record.run_id)
        return alike(workspace, record)

    monkeypatch.setattr(needs, "_alike", counted)
    kinds = waits(lab)
    assert len(kinds) == 12
    assert len(looked) <= 2, "once for the disk, once for the memory"
    monkeypatch.setattr(capacity, "free_disk_mb", lambda _lab: 1.0)
    looked.clear()
    assert set(waits(lab).values()) == {"disk"}
    assert len(looked) == 1


def test_a_record_that_is_not_there_yet_is_looked_for_again(lab: Workspace) -> None:
    record = entered(lab, "Late", status="done", peak_rss_mb=20_000.0)
    (record.folder / "run.json").rename(record.folder / "aside")
    assert needs.kind_at(record.folder / "run.json") == ""
    (record.folder / "aside").rename(record.folder / "run.json")
    another = entered(lab, "Another")
    assert record.study == STUDY
    assert capacity.memory_mb(lab, another) == 20_000.0


def test_a_process_that_may_not_be_looked_at_can_be_ended(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parent is somebody else's: whether that is torchrun cannot be asked."""
    record = entered(lab, "Works", status="running")
    process = live_process(record.folder)
    assert process is not None

    def refuse(self: psutil.Process) -> list[str]:
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "cmdline", refuse)
    monkeypatch.setattr(os, "killpg", lambda pid, number: os.kill(pid, number))  # of its parent's group: the tests'
    launch.stop(lab, record.run_id, force=True)
    process.wait(10)
    assert [one.pid for one in processes.family(psutil.Process())] == [os.getpid()]


def test_a_refusal_on_a_node_forgets_no_time(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    record = entered(lab, "There", train_s=5000.0)
    monkeypatch.setattr(worker.on_cluster, "refusal", lambda *_: "this node must not")
    monkeypatch.setattr(worker, "dispatch", lambda _lab: [])
    monkeypatch.setattr(worker.StopSwitch, "install", lambda _switch: None)
    assert worker.work(lab, record.run_id) == 1
    assert read_status(record.folder)["train_s"] == pytest.approx(5000.0, abs=5)


def test_where_a_run_that_is_done_works_is_refused_in_its_words(lab: Workspace) -> None:
    record = entered(lab, "Done", status="done")
    with pytest.raises(Refused, match="is already done; where it runs can no longer be changed"):
        edit.where(lab, [record.run_id], {"devices": 2})


def slowly(tasks: list[Task], slots: dict[str, int]) -> dict[str, float]:
    """The same schedule, second by second."""
    ended: dict[str, float] = {}
    left = {task.run_id: task.seconds for task in tasks if task.begun}
    for now in range(10_000):
        for task in tasks:
            if left.get(task.run_id) == 0 and task.run_id not in ended:
                ended[task.run_id] = float(now)
        full: set[str] = set()
        for task in tasks:
            known = {other.run_id for other in tasks}
            if task.run_id in left or any(name in known and name not in ended for name in task.parents):
                continue
            taken = sum(
                other.devices
                for other in tasks
                if other.engine == task.engine and other.run_id in left and other.run_id not in ended
            )
            if task.engine in full or (taken and taken + task.devices > slots[task.engine]):
                full.add(task.engine)
            else:
                left[task.run_id] = task.seconds
        if len(ended) == len(tasks):
            break
        left = {name: seconds - (name not in ended) for name, seconds in left.items()}
    return ended


def test_schedules_are_those_of_a_clock_that_ticks() -> None:
    """Two hundred random queues over two engines, with parents, several devices, and some at work."""
    rng = random.Random(0)
    for _ in range(200):
        tasks: list[Task] = []
        for number in range(rng.randint(1, 9)):
            earlier = [task.run_id for task in tasks]
            parents = tuple(rng.sample(earlier, min(len(earlier), rng.choice([0, 0, 1, 2]))))
            facts: dict[str, Any] = {"engine": rng.choice(["local", "slurm"]), "devices": rng.choice([1, 1, 2, 3])}
            begun = number < 2 and rng.random() < 0.5
            tasks.append(Task(f"t{number}", rng.randint(1, 9), () if begun else parents, begun=begun, **facts))
        slots = {"local": rng.randint(1, 3), "slurm": rng.randint(1, 3)}
        assert ends(tasks, slots) == slowly(tasks, slots), (tasks, slots)
