"""A run that several processes share: one folder, one writer, one end for all, and the result of one process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.torch import load_file

from fairlab.errors import FairLabError, Stopped
from fairlab.jobs.job import Job
from fairlab.jobs.roles import carry_out
from fairlab.plan.grid import expand
from fairlab.plan.plan import Plan
from fairlab.presets import load_preset
from fairlab.queue import launch
from fairlab.queue.engines.local import TORCHRUN
from fairlab.settings.placement import Placement
from fairlab.settings.study import changed
from fairlab.store.events import read_events
from fairlab.store.runs import RunRecord, create_run, live_process, read_run, read_status, state, write_status
from fairlab.training import world
from fairlab.training.world import ALONE, World, from_environment, leave_environment
from fairlab.workspace import Workspace, open_workspace
from tests.forks import FORK, fork, fork_worker, worlds_of
from tests.in_process import carry_out_all


def until(claim: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.02)


def teacher(lab: Workspace, epochs: int) -> tuple[Plan, RunRecord]:
    """A teacher of the preset `tiny` whose faces are there already: its plan, and its record.

    At a fiftieth of the preset's rate: at its own, one rounding makes 7 % of the loss in 24 steps, in one process too.
    """
    dials = {"teacher.training.epochs": epochs, "teacher.training.base_lr": 0.02}
    plan = expand(changed(load_preset("tiny"), dials), "tiny", lab)
    data, planned = (next(run for run in plan.runs if run.record.role == role) for role in ("dataset", "teacher"))
    carry_out_all(lab, replace(plan, runs=(data,)))
    return replace(plan, runs=(planned,)), planned.record


def share(lab: Workspace, record: RunRecord) -> list[ForkServerProcess]:
    """Queue the run anew and let two processes carry it out, started as srun would."""
    create_run(lab, record)
    write_status(record.folder, "queued", reason="")
    return [fork_worker(lab, record.run_id, environment) for environment in worlds_of(2)]


def passes(record: RunRecord) -> int:
    return max((int(path.name[5:]) for path in (record.folder / "checkpoints").glob("step-????????")), default=0)


def end(processes: list[ForkServerProcess]) -> list[int | None]:
    """Their exit codes, within the 30 seconds that are promised."""
    limit = time.monotonic() + 30
    for process in processes:
        process.join(max(limit - time.monotonic(), 0.1))
    return [process.exitcode for process in processes]


def test_whoever_is_killed_the_run_ends_and_goes_on_to_the_result_of_one_process(tmp_path: Path) -> None:
    """Its second process is killed, then its first; in the end every reading is there."""
    lab, other = open_workspace(tmp_path / "two"), open_workspace(tmp_path / "one")
    (_, record), (alone, expected) = teacher(lab, 10), teacher(other, 10)
    for victim, status, codes in ((1, "failed", [1, -9]), (0, "crashed", [-9, 1])):
        before, both = passes(record), share(lab, record)
        until(lambda before=before: passes(record) > before)  # type: ignore[misc]
        assert both[victim].pid is not None
        os.kill(both[victim].pid, signal.SIGKILL)
        assert end(both) == codes
        assert state(record.folder).status == status
        assert ("another of the 2 processes" in state(record.folder).reason) == (victim == 1)
    both = share(lab, record)
    until(lambda: not any(process.is_alive() for process in both))
    assert [process.exitcode for process in both] == [0, 0]
    assert state(record.folder).status == "done"
    assert (read_status(record.folder)["attempt"], read_status(record.folder)["bitwise"]) == (3, True)

    carry_out_all(other, alone)
    assert record.run_id == expected.run_id
    ours, theirs = (read_events(one.folder).set_index(["name", "step"])["value"] for one in (record, expected))
    ours, theirs = (values.drop("images_per_s", level="name") for values in (ours, theirs))
    assert ours.index.equals(theirs.index)
    print("farthest:", float((ours["loss"] / theirs["loss"] - 1).abs().max()))
    assert float((ours["loss"] / theirs["loss"] - 1).abs().max()) < 1e-2  # in double precision 9e-15
    heads = [load_file(one.folder / "weights" / "head.safetensors")["weight"] for one in (record, expected)]
    assert heads[0].shape == heads[1].shape
    assert float((heads[0] - heads[1]).norm() / heads[1].norm()) < 1e-2


def test_torchrun_starts_it_and_nothing_of_it_survives(lab: Workspace) -> None:
    """Stopped from the app it saves and all end; forced to end, torchrun and its processes, each in a session of its own."""
    plan, record = teacher(lab, 4000)
    launch.start(lab, plan, Placement(devices=2))
    for force, status in ((False, "stopped"), (True, "stopped")):
        before = passes(record)
        until(lambda before=before: passes(record) > before)  # type: ignore[misc]
        first = live_process(record.folder)
        assert first is not None
        starter = first.parent()
        assert starter is not None
        assert TORCHRUN in starter.cmdline()
        everybody = [starter, *starter.children()]
        assert len(everybody) == 3
        launch.stop(lab, record.run_id, force=force)
        _, alive = psutil.wait_procs(everybody, timeout=30)
        assert alive == []
        assert state(record.folder).status == status
        if not force:
            assert not list(record.folder.glob("*.tmp.*"))
            launch.resume(lab, record.run_id)


def _asked_alone(home: str, run_id: str, environment: dict[str, str], asked: int, said: Any) -> None:
    os.environ.update(environment)
    world.TIMEOUT_S = 20
    lab, rank = open_workspace(Path(home)), int(environment["RANK"])
    try:
        carry_out(Job(lab, read_run(lab, run_id), stop=lambda: rank == asked, world=world.from_environment()))
    except (Stopped, FairLabError) as error:
        said.put((rank, f"{type(error).__name__} {error}"))


@pytest.mark.parametrize("asked", [0, 1])
def test_whoever_hears_first_of_a_stop_all_stop_together(lab: Workspace, asked: int) -> None:
    """Asked while they start, one would leave and the others look for it until their time is over."""
    record, said = teacher(lab, 1)[1], FORK.SimpleQueue()
    create_run(lab, record)
    both = [fork(_asked_alone, str(lab.home), record.run_id, each, asked, said) for each in worlds_of(2)]
    until(lambda: not any(process.is_alive() for process in both))
    assert [process.exitcode for process in both] == [0, 0]
    assert sorted(said.get() for _ in both) == [(0, "Stopped "), (1, "Stopped ")]


def _meet_nobody(environment: dict[str, str], said: Any) -> None:
    os.environ.update(environment)
    world.TIMEOUT_S = 1
    try:
        with from_environment().joined("cpu"):
            pass
    except FairLabError as error:
        said.put(str(error))


def test_who_meets_nobody_says_so_and_ends() -> None:
    """A process that was killed while the others look for it must not leave them waiting for ever."""
    said = FORK.SimpleQueue()
    process = fork(_meet_nobody, worlds_of(2)[0], said)
    process.join(30)
    assert process.exitcode == 0
    assert said.get().startswith(
        "the 2 processes of this run did not find each other (this is process 0, at 127.0.0.1)"
    )


def test_a_world_is_read_from_the_environment_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that one of several processes starts when it ends is not of their world."""
    assert from_environment() == ALONE
    for name, value in {**worlds_of(4)[2], "TORCHELASTIC_RUN_ID": "x", "GROUP_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert from_environment() == World(2, 4, 2)
    leave_environment()
    assert from_environment() == ALONE
    assert not [name for name in os.environ if name.startswith(("TORCHELASTIC", "GROUP_", "MASTER_"))]
