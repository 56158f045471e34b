"""The promise of the README: kill -9 at any time, resume, and no value differs in any bit."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from fairlab.config import changed
from fairlab.files import sha256
from fairlab.presets import load_preset
from fairlab.runs import launch
from fairlab.runs.grid import expand
from fairlab.store.events import read_events
from fairlab.store.runs import state, write_status
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import wait_done
from tests.forks import fork_worker

KILLS = int(os.environ.get("FAIRLAB_KILLS", "20"))
"""In all, over the three stages; FAIRLAB_KILLS=200 for the long version."""
STAGES = {
    "teacher": "Teacher Group A",
    "adaptor": "Common space (SL, specialised)",
    "student": "Student EAF-KD (SL, specialised)",
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
        "teacher.training.epochs": 130,
        "adaptor.training.epochs": 150,
        "student.training.epochs": 40,
        "plain_student": False,
        "concatenation": False,
        "grid.maps": "none",
    }
    plan = expand(changed(load_preset("tiny"), dials), "tiny", lab)
    launch.start(lab, plan)
    wait_done(lab, [run.record.run_id for run in plan.runs])
    return lab


def _fresh_copy(whole: Workspace, run_id: str, home: Path) -> Workspace:
    """The same workspace with one run as if it had never begun."""
    shutil.copytree(whole.home, home)
    lab = open_workspace(home)
    folder = lab.run(run_id)
    for path in folder.iterdir():
        if path.name != "run.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_status(folder, "queued", reason="")
    return lab


def _readings(folder: Path) -> dict[tuple[int, str], str]:
    """Every reading that does not depend on the clock, as hexadecimal, so that no bit hides behind a rounding."""
    table: pd.DataFrame = read_events(folder)
    table = table[table["name"] != "images_per_s"]
    return {
        (row.step, row.name_): float(row.value).hex() for row in table.rename(columns={"name": "name_"}).itertuples()
    }


def _kill_once(lab: Workspace, run_id: str, dice: random.Random) -> bool:
    """Start the run, kill it -9 some time after its first sign of life; False when it had ended before."""
    folder = lab.run(run_id)
    events = folder / "events.jsonl"
    size = events.stat().st_size if events.exists() else 0
    process = fork_worker(lab, run_id)
    for _ in range(3000):
        if not process.is_alive() or (events.exists() and events.stat().st_size > size):
            break
        time.sleep(0.01)
    time.sleep(dice.random() * 0.5)
    killed = process.is_alive()
    if killed:
        assert process.pid is not None
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    return killed


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stage", list(STAGES))
def test_killed_runs_end_as_if_nothing_had_happened(whole: Workspace, stage: str, tmp_path: Path) -> None:
    """Bitwise the same readings, weights, scores and numbers, however often it was killed."""
    run_id = next(
        path.name
        for path in whole.runs_folder.iterdir()
        if f'"title": "{STAGES[stage]}"' in (path / "run.json").read_text()
    )
    lab = _fresh_copy(whole, run_id, tmp_path / "killed")
    dice = random.Random(stage)
    kills, wanted = 0, KILLS // 3 + (stage == "teacher") * (KILLS % 3)
    while kills < wanted and state(lab.run(run_id)).status != "done":
        if _kill_once(lab, run_id, dice):
            kills += 1
            assert state(lab.run(run_id)).status in ("crashed", "queued")
    if state(lab.run(run_id)).status == "crashed":
        launch.resume(lab, run_id)
    wait_done(lab, [run_id])
    before, after = _readings(whole.run(run_id)), _readings(lab.run(run_id))
    differing = sum(before.get(key) != after.get(key) for key in before.keys() | after.keys())
    print(f"{stage}: {kills} kills, {len(before)} readings, {differing} differ")
    assert kills >= min(wanted, 3), "the run ended too fast to be killed"
    assert differing == 0
    for name in SAME:
        ((one,), (two,)) = (list(home.run(run_id).glob(name)) for home in (whole, lab))
        assert sha256(one) == sha256(two), name
