"""Starting, stopping, resuming, deleting: real processes, really killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fairlab.errors import FairLabError, Refused
from fairlab.files import read_json, write_json
from fairlab.plan.grid import expand
from fairlab.plan.plan import Plan
from fairlab.presets import load_preset
from fairlab.queue import launch
from fairlab.settings.study import Study, changed
from fairlab.store.runs import (
    create_run,
    live_process,
    read_run,
    read_status,
    record_process,
    state,
    write_status,
)
from fairlab.workspace import Workspace, open_workspace, set_slots
from tests.conftest import copied_home, fairlab, wait_done
from tests.forks import fork_worker


def study(**dials: object) -> Study:
    return changed(load_preset("tiny"), {"concatenation": False, "plain_student": False, **dials})


@pytest.fixture
def copy(tiny: Workspace, tmp_path: Path) -> Workspace:
    """A workspace of one's own with the tiny study finished."""
    copied_home(tiny.home, tmp_path / "copy")
    return open_workspace(tmp_path / "copy")


def long_plan(lab: Workspace, epochs: int = 4000) -> Plan:
    """A student that trains for minutes, over the finished tiny data."""
    return expand(
        changed(load_preset("tiny"), {"arms": (), "students": (), "student.training.epochs": epochs}), "tiny", lab
    )


def student_of(plan: Plan) -> str:
    return next(run.record.run_id for run in plan.runs if run.record.role == "student")


def until(true: object, seconds: float = 60) -> None:
    assert callable(true)
    for _ in range(int(seconds * 20)):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def training(folder: Path) -> bool:
    events = folder / "events.jsonl"
    return events.exists() and events.stat().st_size > 0 and state(folder).status == "running"


def test_a_stopped_run_saves_at_once_and_goes_on_where_it_was(copy: Workspace) -> None:
    """Stopped soon (promised: a step and 2 s; 10 s here, where other tests run beside), resumed, it counts on."""
    run_id = student_of(long_plan(copy))
    launch.start(copy, long_plan(copy))
    folder = copy.run(run_id)
    until(lambda: training(folder))
    asked = time.monotonic()
    launch.stop(copy, run_id)
    until(lambda: state(folder).status == "stopped", 10)
    spent = time.monotonic() - asked
    print(f"stopped after {spent:.2f} s")
    reached = sorted((folder / "checkpoints").glob("step-*"))[-1].name
    assert state(folder).reason == "stopped by the user"
    launch.resume(copy, run_id)
    until(lambda: sorted((folder / "checkpoints").glob("step-*"))[-1].name > reached)
    assert read_status(folder)["attempt"] == 2
    launch.stop(copy, run_id, force=True)
    until(lambda: live_process(folder) is None, 10)


def test_a_killed_run_is_crashed_within_ten_seconds_and_can_be_resumed(copy: Workspace) -> None:
    """Never for ever "running"."""
    plan = long_plan(copy)
    launch.start(copy, plan)
    folder = copy.run(student_of(plan))
    until(lambda: training(folder) and list((folder / "checkpoints").glob("step-*")))
    process = live_process(folder)
    assert process is not None
    killed = time.monotonic()
    os.killpg(process.pid, signal.SIGKILL)
    until(lambda: state(folder).status == "crashed", 10)
    print(f"shown as crashed after {time.monotonic() - killed:.2f} s")
    assert "resume continues from the last checkpoint" in state(folder).reason
    launch.resume(copy, folder.name)
    until(lambda: read_status(folder).get("attempt") == 2)
    launch.stop(copy, folder.name)
    until(lambda: state(folder).status == "stopped", 60)  # it may still be importing torch


def test_a_process_that_dies_before_it_begins_is_crashed_and_not_started_for_ever(
    copy: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken installation: the worker cannot even import. Said once, with the log; mended, it can be resumed."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "filelock.py").write_text("raise ImportError('half an installation')")
    plan = long_plan(copy)
    folder = copy.run(student_of(plan))
    with monkeypatch.context() as broken:
        broken.setenv("PYTHONPATH", str(tmp_path / "broken"))
        launch.start(copy, plan)
        until(lambda: state(folder).status == "crashed")
    assert "before it could begin" in state(folder).reason
    assert launch.dispatch(copy) == []
    assert (folder / "log.txt").read_text().count("ImportError: half") == 1
    launch.resume(copy, folder.name)
    until(lambda: training(folder))
    launch.stop(copy, folder.name, force=True)
    until(lambda: live_process(folder) is None, 10)


def test_a_run_outlives_the_process_that_started_it(copy: Workspace) -> None:
    """The server may be killed; the run goes on and is found again by whoever looks."""
    plan = long_plan(copy)
    code = "import sys; from fairlab import Lab; Lab(sys.argv[1]).studies.start('tiny', {'arms': (), 'students': (), 'student.training.epochs': 4000}); import time; time.sleep(600)"
    starter = subprocess.Popen([sys.executable, "-c", code, str(copy.home)], start_new_session=True)
    folder = copy.run(student_of(plan))
    try:
        until(lambda: (folder / "run.json").exists() and training(folder))
    finally:
        os.killpg(starter.pid, signal.SIGKILL)
        starter.wait()
    at = state(folder)
    assert at.status == "running"
    size = (folder / "events.jsonl").stat().st_size
    until(lambda: (folder / "events.jsonl").stat().st_size > size, 20)
    launch.stop(copy, folder.name)
    until(lambda: state(folder).status == "stopped", 10)


def test_ten_starts_of_one_run_are_one_run(copy: Workspace) -> None:
    """The others end with code 75 and touch nothing."""
    plan = long_plan(copy)
    run_id = student_of(plan)
    record = next(run.record for run in plan.runs if run.record.run_id == run_id)
    create_run(copy, record)  # queued by hand, so that nobody else starts it
    write_status(record.folder, "queued", reason="")
    started = [fork_worker(copy, run_id) for _ in range(10)]
    until(lambda: sum(process.exitcode is not None for process in started) == 9, 200)
    assert [process.exitcode for process in started if process.exitcode is not None] == [75] * 9
    launch.stop(copy, run_id)
    for process in started:
        process.join(timeout=60)
    assert sorted(str(process.exitcode) for process in started) == ["0"] + ["75"] * 9
    assert (read_status(record.folder)["attempt"], state(record.folder).status) == (1, "stopped")


def test_two_apps_on_one_workspace_start_every_run_once(copy: Workspace) -> None:
    """Both press start at the same moment, and go on looking while the runs work."""
    few = {"concatenation": False, "plain_student": False, "grid.maps": "none"}
    code = (
        "import sys, time; from fairlab import Lab; from fairlab.queue.launch import dispatch; from fairlab.workspace import open_workspace\n"
        f"lab = open_workspace(sys.argv[1]); plan = Lab(lab).studies.plan('tiny', {{'seeds': (7,), **{few}}})\n"
        "print('ready', flush=True); sys.stdin.readline(); Lab(lab).studies.start(plan)\n"
        "while True: dispatch(lab); time.sleep(0.05)"
    )
    command = [sys.executable, "-c", code, str(copy.home)]
    apps = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for app in apps:
            assert app.stdout is not None
            assert app.stdout.readline() == "ready\n"
        for app in apps:
            assert app.stdin is not None
            app.stdin.write("now\n")
            app.stdin.flush()
        plan = expand(study(seeds=(7,), **few), "tiny", copy)
        names = [run.record.run_id for run in plan.runs]
        until(lambda: all((copy.run(name) / "run.json").exists() for name in names))
        wait_done(copy, names)
    finally:
        for app in apps:
            app.kill()
            app.wait()
    assert {read_status(copy.run(name))["attempt"] for name in names} == {1}


def test_the_same_launch_twice_queues_nothing_twice(copy: Workspace) -> None:
    """A double click, two tabs, two apps."""
    plan = expand(load_preset("tiny"), "tiny", copy)
    assert launch.start(copy, plan) == []
    assert all(run.status == "done" for run in expand(load_preset("tiny"), "tiny", copy).runs)


def test_a_diverging_run_fails_with_a_sentence_and_what_needs_it_waits(copy: Workspace) -> None:
    """NaN loss: stopped at that step; dependants say for whom they wait and start once it is done."""
    wild = {"base_lr": 1e3, "weight_decay": 1.0, "clip_norm": 1e9}
    plan = expand(study(**{f"adaptor.training.{name}": value for name, value in wild.items()}), "tiny", copy)
    launch.start(copy, plan)
    adaptor = next(run.record for run in plan.runs if run.record.role == "adaptor")
    student = next(run.record for run in plan.runs if run.record.role == "student")
    until(lambda: state(adaptor.folder).status == "failed")
    assert "became NaN or infinite at step" in state(adaptor.folder).reason
    launch.dispatch(copy)
    assert state(student.folder).status == "queued"
    assert f"waits for {adaptor.run_id}, which is failed" in state(student.folder).reason


def test_at_most_two_run_at_a_time(lab: Workspace) -> None:
    set_slots(lab, 2)
    plan = expand(study(**{"demo.groups": ("a", "b", "c", "d"), "teacher.training.epochs": 3000}), "tiny", lab)
    launch.start(lab, plan)
    teachers = [run.record for run in plan.runs if run.record.role == "teacher"]

    def running() -> int:
        return sum(state(record.folder).status == "running" for record in teachers)

    until(lambda: running() == 2, 120)
    launch.dispatch(lab)
    launch.dispatch(lab)
    assert running() == 2
    for record in teachers:
        if state(record.folder).status in ("running", "queued"):
            launch.stop(lab, record.run_id, force=True)
    until(lambda: all(live_process(record.folder) is None for record in teachers), 20)


def test_a_run_that_others_need_is_not_deleted_by_accident(copy: Workspace) -> None:
    teacher = next(path.name for path in copy.runs_folder.iterdir() if path.name.startswith("teacher-group-a"))
    with pytest.raises(Refused, match=r"runs build on teacher-group-a"):
        launch.delete(copy, teacher)
    launch.delete(copy, teacher, force=True)
    assert not copy.run(teacher).exists()
    lost = expand(load_preset("tiny"), "tiny", copy)
    assert [run.record.run_id for run in lost.new] == [teacher]


def _is_of(child: psutil.Process, run_id: str) -> bool:
    try:
        return run_id in child.cmdline()
    except psutil.Error:  # ended meanwhile
        return False


def test_a_deleted_data_set_is_made_again(copy: Workspace) -> None:
    """The demo data are a function of their settings: bit for bit the same fingerprint."""
    plan = expand(load_preset("tiny"), "tiny", copy)
    name = plan.runs[0].record.dataset
    before = read_json(copy.dataset(name) / "dataset.json")["fingerprint"]
    shutil.rmtree(copy.dataset(name))
    again = launch.start(copy, plan)
    assert again == [plan.runs[0].record.run_id]
    started = [child for child in psutil.Process().children() if _is_of(child, again[0])]
    wait_done(copy, again)
    until(lambda: not any(child.is_running() for child in started), 20)  # also none that is dead and not collected
    assert len(started) == 1
    assert read_json(copy.dataset(name) / "dataset.json")["fingerprint"] == before


def test_a_deleted_run_folder_is_said(copy: Workspace) -> None:
    with pytest.raises(FairLabError, match="there is no run 'nobody'"):
        launch.resume(copy, "nobody")
    result = fairlab(copy.home, "runs", "show", "nobody")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1


def test_changed_data_are_refused_at_resume(copy: Workspace) -> None:
    """The checkpoint remembers the fingerprint."""
    plan = long_plan(copy)
    launch.start(copy, plan)
    folder = copy.run(student_of(plan))
    until(lambda: training(folder) and list((folder / "checkpoints").glob("step-*")))
    launch.stop(copy, folder.name)
    until(lambda: state(folder).status == "stopped", 10)
    info = copy.dataset(read_run(copy, folder.name).dataset) / "dataset.json"
    write_json(info, {**read_json(info), "fingerprint": "another"})
    launch.resume(copy, folder.name)
    until(lambda: state(folder).status == "failed")
    assert "the data set is not the one this run started with" in state(folder).reason


def test_a_reused_process_number_is_not_believed(copy: Workspace) -> None:
    """Same pid, another start time or another boot: crashed."""
    run_id = next(path.name for path in copy.runs_folder.iterdir() if path.name.startswith("student"))
    folder = copy.run(run_id)
    write_status(folder, "running", reason="")
    record_process(folder)
    noted = read_json(folder / "process.json")
    assert state(folder).status == "running"
    for wrong in ({"ticks": 1}, {"boot_id": "another"}, {"pid": 2**22 - 1}):
        write_json(folder / "process.json", {**noted, **wrong})
        assert state(folder).status == "crashed"
