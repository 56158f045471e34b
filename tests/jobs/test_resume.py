"""The promise of the README: kill -9 at any time, resume, and no value differs in any bit.

10 kills of every stage here; 200 by night (tests/thorough.py), or FAIRLAB_KILLS of them.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pandas as pd
import pytest

from fairlab.files import sha256
from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.queue import launch
from fairlab.settings.study import changed
from fairlab.store.events import read_events
from fairlab.store.runs import create_run, state, write_status
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import wait_done
from tests.forks import fork_worker
from tests.thorough import several

KILLS = int(os.environ.get("FAIRLAB_KILLS", several("10", "200")))
"""Of every stage."""
STAGES = {
    "teacher": "Teacher Group A",
    "adaptor": "Common space (SL, specialised)",
    "student": "Student EAF-KD (SL, specialised)",
    "inherited classifier": "Student ProxylessKD",
    "several teachers": "Student MST-Distill (specialised)",
}
SAME = (
    "weights/learner.safetensors",
    "weights/head.safetensors",
    "results/*/metrics.parquet",
    "results/*/scores.parquet",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A tiny study, long enough to be killed in, that nothing interrupted."""
    lab = open_workspace(tmp_path_factory.mktemp("whole") / "home")
    dials = {
        "teacher.training.epochs": 70,
        "adaptor.training.epochs": 80,
        "student.training.epochs": 25,
        "plain_student": False,
        "concatenation": False,
        "grid.maps": "none",
        "grid.relatives": ("proxyless_kd",),
        "students": ("eaf_kd", "mst_distill"),
        "student.distillation.mst_distill.mask": "diagonal",
        "student.distillation.mst_distill.warm_epochs": 8,
        "student.distillation.mst_distill.mask_epochs": 8,
    }
    plan = expand(changed(load_preset("tiny"), dials), "tiny", lab)
    for run in plan.runs:
        create_run(lab, run.record)
        write_status(run.record.folder, "queued", reason="")
        fork_worker(lab, run.record.run_id).join()
        assert state(run.record.folder).status == "done"
    return lab


def _begin_anew(folder: Path) -> None:
    """A run as if it had never begun."""
    for path in folder.iterdir():
        if path.name != "run.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_status(folder, "queued", reason="")


def _readings(folder: Path) -> dict[tuple[int, str], str]:
    """Every reading that does not depend on the clock, as hexadecimal, so that no bit hides behind a rounding."""
    table: pd.DataFrame = read_events(folder)
    table = table[table["name"] != "images_per_s"]
    return {
        (row.step, row.name_): float(row.value).hex() for row in table.rename(columns={"name": "name_"}).itertuples()
    }


def _begun(lab: Workspace, run_id: str) -> ForkServerProcess:
    """The run's process, started, after its first sign of life."""
    events = lab.run(run_id) / "events.jsonl"
    size = events.stat().st_size if events.exists() else 0
    process = fork_worker(lab, run_id)
    for _ in range(3000):
        if not process.is_alive() or (events.exists() and events.stat().st_size > size):
            break
        time.sleep(0.01)
    return process


def _kill_once(lab: Workspace, run_id: str, dice: random.Random) -> bool:
    """Start the run, kill it -9 some time after its first sign of life; False when it had ended before."""
    process = _begun(lab, run_id)
    time.sleep(dice.random() * 0.3)
    killed = process.is_alive()
    if killed:
        assert process.pid is not None
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    return killed


@pytest.mark.slow
@pytest.mark.timeout(900 + 20 * KILLS)
@pytest.mark.parametrize("stage", list(STAGES))
def test_killed_runs_end_as_if_nothing_had_happened(whole: Workspace, stage: str, tmp_path: Path) -> None:
    """Bitwise the same readings, weights, scores and numbers, however often it was killed; where it ended too soon to be
    killed so often, the same run again from its start.
    """
    run_id = next(
        path.name
        for path in whole.runs_folder.iterdir()
        if f'"title": "{STAGES[stage]}"' in (path / "run.json").read_text()
    )
    shutil.copytree(whole.home, tmp_path / "killed")
    lab, dice = open_workspace(tmp_path / "killed"), random.Random(stage)
    folder, kills, rounds, differing = lab.run(run_id), 0, 0, 0
    before = _readings(whole.run(run_id))
    while kills < KILLS:
        _begin_anew(folder)
        rounds += 1
        while kills < KILLS and state(folder).status != "done":
            if _kill_once(lab, run_id, dice) and state(folder).status != "done":  # else it had just ended
                kills += 1
                assert state(folder).status in ("crashed", "queued")
        if state(folder).status == "crashed":
            launch.resume(lab, run_id)
        wait_done(lab, [run_id])
        after = _readings(folder)
        differing += sum(before.get(key) != after.get(key) for key in before.keys() | after.keys())
        for name in SAME:
            ((one,), (two,)) = (list(home.run(run_id).glob(name)) for home in (whole, lab))
            assert sha256(one) == sha256(two), name
    print(f"{stage}: {kills} kills in {rounds} runs, {len(before)} readings each, {differing} differ")
    assert differing == 0


def _stop_once(lab: Workspace, run_id: str, number: int, dice: random.Random) -> float:
    """Start the run and ask it to stop some time after its first sign of life; the seconds until it had ended."""
    process = _begun(lab, run_id)
    time.sleep(dice.random() * 0.05)
    asked = time.monotonic()
    if process.is_alive():
        assert process.pid is not None
        if number % 3 == 2:
            (lab.run(run_id) / "stop").touch()
        else:
            os.kill(process.pid, (signal.SIGTERM, signal.SIGINT)[number % 3])
    process.join()
    return time.monotonic() - asked


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_stopped_runs_end_as_if_nothing_had_happened(whole: Workspace, tmp_path: Path) -> None:
    """20 of 20 by the stop file, SIGTERM and Ctrl-C in turn: resumable each time, the same bits at the end.

    Promised is an end within a step and 2 s on a machine with nothing else to do; 10 s here, where other tests work.
    """
    run_id = next(path.name for path in whole.runs_folder.iterdir() if path.name.startswith("student-eaf"))
    shutil.copytree(whole.home, tmp_path / "stopped")
    lab, dice = open_workspace(tmp_path / "stopped"), random.Random(2)
    folder, times = lab.run(run_id), []
    while len(times) < 20:
        _begin_anew(folder)
        while len(times) < 20 and state(folder).status != "done":
            if state(folder).status == "stopped":
                write_status(folder, "queued", reason="")
            took = _stop_once(lab, run_id, len(times), dice)
            if state(folder).status == "stopped":
                times.append(took)
    print(f"ended {sorted(times)[10]:.2f} s after being asked (median), {max(times):.2f} s at most")
    assert max(times) < 10
    if state(folder).status == "stopped":
        launch.resume(lab, run_id)
    wait_done(lab, [run_id])
    assert _readings(folder) == _readings(whole.run(run_id))
    assert sha256(folder / "weights/learner.safetensors") == sha256(whole.run(run_id) / "weights/learner.safetensors")
