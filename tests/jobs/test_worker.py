"""A run's process under bad conditions: it ends with what is wrong and what would be right, and goes on when mended."""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from fairlab import workspace
from fairlab.data import pixels
from fairlab.data.dataset import open_dataset
from fairlab.errors import FairLabError
from fairlab.files import read_json, sha256, write_json, write_manifest
from fairlab.jobs import worker
from fairlab.jobs.data.starts import add_data, move_data
from fairlab.jobs.evaluate.provenance import met_other_data
from fairlab.jobs.job import Job
from fairlab.jobs.progress import Span
from fairlab.jobs.train import training
from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.queue import launch
from fairlab.settings.study import Source, changed
from fairlab.store.events import read_events
from fairlab.store.runs import RunRecord, create_run, read_run, read_status, state, write_status
from fairlab.training import checkpoint, loop
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command
from tests.data.trees import face, grouped
from tests.forks import FORK, fork

WEIGHTS = ("weights/learner.safetensors", "weights/head.safetensors")


def queued(lab: Workspace, epochs: int = 3, seed: int = 0) -> Path:
    """A student on the finished tiny data, waiting for its worker."""
    dials = {"arms": (), "students": (), "student.training.epochs": epochs, "student.training.drop_epochs": ()}
    plan = expand(changed(load_preset("tiny"), {**dials, "seeds": (seed,), "grid.maps": "none"}), "tiny", lab)
    record = next(run.record for run in plan.runs if run.record.role == "student")
    create_run(lab, record)
    write_status(record.folder, "queued", reason="")
    return record.folder


@pytest.fixture
def copy(tiny: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with tiny data of one's own; workers work in this process, and start no others."""
    lab = open_workspace(tmp_path / "home")
    shutil.copytree(tiny.datasets_folder, lab.datasets_folder, dirs_exist_ok=True)
    for path in tiny.runs_folder.glob("*/run.json"):
        if '"role": "dataset"' in path.read_text():
            shutil.copytree(path.parent, lab.run(path.parent.name))
    for module in (launch, worker):
        monkeypatch.setattr(module, "dispatch", lambda _lab: [])
    monkeypatch.setattr(worker.StopSwitch, "install", lambda _switch: None)  # signals are the test's own
    monkeypatch.setattr(worker.faulthandler, "enable", lambda: None)
    return lab


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], None]:
    """Let something happen just before training step `step` (from 0)."""
    plan: dict[int, Callable[[], None]] = {}
    update, count = loop.Updates.update, iter(range(10**9))

    def trouble(*arguments: Any, **more: Any) -> Any:
        plan.pop(next(count), lambda: None)()
        return update(*arguments, **more)

    monkeypatch.setattr(loop.Updates, "update", trouble)

    def set_trouble(step: int, what: Callable[[], None]) -> None:
        nonlocal count
        count = iter(range(10**9))
        plan.clear()
        plan[step] = what

    return set_trouble


def whole(lab: Workspace, folder: Path) -> list[str]:
    """The weights of the same run, never disturbed: hashes."""
    aside = folder.with_name("disturbed")
    folder.rename(aside)
    shutil.copytree(aside, folder, ignore=lambda _folder, names: [name for name in names if name != "run.json"])
    write_status(folder, "queued", reason="")
    assert worker.work(lab, folder.name) == 0
    hashes = [sha256(folder / name) for name in WEIGHTS]
    shutil.rmtree(folder)
    aside.rename(folder)
    return hashes


def _beyond_the_limit() -> None:
    """What the system answers to a process that may have no more memory, through torch's own allocator."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + 50_000_000, limits[1]))
    try:
        torch.ones(200_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def _no_room_on_the_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def _no_room() -> None:
    raise MemoryError


def test_out_of_memory_names_the_settings_to_change_and_loses_nothing(
    copy: Workspace, at_step: Callable[[int, Callable[[], None]], None]
) -> None:
    """10 of 10: Python's, a GPU's, and the system's own refusal at random steps; resumed after each, to the same bits."""
    folder, dice = queued(copy, epochs=12), random.Random(3)
    for number in range(10):
        saved = checkpoint.whole(folder / "checkpoints")
        at_step(dice.randrange(1, 24), (_beyond_the_limit, _no_room_on_the_gpu, _no_room)[number % 3])
        assert worker.work(copy, folder.name) == 1
        view = state(folder)
        assert view.status == "failed"
        assert view.reason.startswith("out of memory while training: resume it with fewer runs at a time")
        assert "lower training.batch_size" in view.reason
        kept = checkpoint.whole(folder / "checkpoints")
        assert [path for path in saved if path in kept[-1:]] or len(kept) >= len(saved)
        launch.resume(copy, folder.name)
    at_step(10**8, _no_room)
    assert worker.work(copy, folder.name) == 0
    assert read_status(folder)["attempt"] == 11
    assert [sha256(folder / name) for name in WEIGHTS] == whole(copy, folder)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real small file system, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("this user may not mount a small file system to fill")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_pauses_the_run_until_there_is_room(
    copy: Workspace, disk: Path, at_step: Callable[[int, Callable[[], None]], None]
) -> None:
    """8 of 8 at random steps with few bytes left: "paused: disk full" with what is free; resumed, the same bits."""
    shutil.copytree(copy.home, disk / "home")
    lab, dice = open_workspace(disk / "home"), random.Random(4)
    folder = queued(lab, epochs=10)
    for _ in range(8):
        left = dice.choice((0, 0, 4096, 8192, 20_000))
        at_step(
            dice.randrange(1, 24),
            lambda left=left: (disk / "ballast").write_bytes(
                b"x" * (shutil.disk_usage(disk).free // 4096 * 4096 - left)
            ),
        )
        assert worker.work(lab, folder.name) == 0
        view = state(folder)
        assert (view.status, view.reason[:19]) == ("stopped", "paused: disk full: "), view
        assert "MB free" in view.reason
        assert "free some space and resume" in view.reason
        (disk / "ballast").unlink()
        launch.resume(lab, folder.name)
    at_step(10**8, _no_room)
    assert worker.work(lab, folder.name) == 0
    assert state(folder).status == "done"
    assert [sha256(folder / name) for name in WEIGHTS] == whole(lab, folder)


def test_a_full_disk_is_said_with_the_bytes_that_are_needed(copy: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where no small disk can be mounted: the system's error out of the checkpoint's writer."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    folder = queued(copy)
    with monkeypatch.context() as filled:
        filled.setattr(checkpoint, "save_file", full)
        assert worker.work(copy, folder.name) == 0
    view = state(folder)
    assert view.status == "stopped"
    assert view.reason.startswith("paused: disk full: could not write")
    needed = float(view.reason.partition("about ")[2].partition(" MB needed")[0])
    launch.resume(copy, folder.name)
    assert worker.work(copy, folder.name) == 0
    files = checkpoint.whole(folder / "checkpoints")[-1].glob("*")
    assert needed == pytest.approx(sum(path.stat().st_size for path in files) / 1e6, abs=0.06)


class Clock(datetime):
    """A clock that is set a day back and a year ahead in turn, every time somebody looks at it."""

    looks = 0

    @classmethod
    def now(cls, tz: Any = None) -> Clock:
        cls.looks += 1
        return cls.fromtimestamp(time.time(), UTC) + timedelta(days=(-1, 365, 0)[cls.looks % 3])


def test_a_clock_that_jumps_makes_no_time_negative_and_no_run_dead(
    copy: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day back, a year ahead, 10 passes long: durations come from a clock that nobody sets, order from the steps."""
    monkeypatch.setattr(workspace, "datetime", Clock)
    folder, living = queued(copy, epochs=10), []
    begun = psutil.Process.create_time
    reading = training.EventWriter.write

    def look(*arguments: Any) -> None:
        monkeypatch.setattr(
            psutil.Process, "create_time", lambda process: begun(process) + (-86_400, 31_536_000)[len(living) % 2]
        )
        living.append(state(folder).status)
        reading(*arguments)

    monkeypatch.setattr(training.EventWriter, "write", look)
    assert worker.work(copy, folder.name) == 0
    assert Clock.looks > 3
    assert len(living) > 10
    assert set(living) == {"running"}  # psutil's start of a process moves with the clock
    table = read_events(folder).sort_values("step")
    assert (table[table["name"] == "images_per_s"]["value"] > 0).all()
    for _, rows in table.groupby("name"):
        assert rows["time_s"].is_monotonic_increasing
        assert (rows["time_s"] > 0).all()
    assert read_status(folder)["train_s"] > 0
    progress = Span()
    progress.begin("training")
    progress.advance(1, 4)
    assert float(str(progress.moment.reading()["eta_s"])) >= 0


def test_a_run_resumed_under_another_setting_is_marked_for_ever(
    copy: Workspace, at_step: Callable[[int, Callable[[], None]], None]
) -> None:
    """3 of 3: torch, threads, device as the checkpoint remembers them; the mark survives a further resume."""
    for seed, name in enumerate(("torch", "threads", "device")):
        folder = queued(copy, seed=seed)
        at_step(20, _no_room)
        worker.work(copy, folder.name)
        newest = checkpoint.whole(folder / "checkpoints")[-1]
        facts = read_json(newest / "manifest.json")
        names = facts.pop("files")
        facts.pop("check")
        write_manifest(newest, names, **{**facts, name: "another"})
        launch.resume(copy, folder.name)
        at_step(14, _no_room)
        worker.work(copy, folder.name)
        launch.resume(copy, folder.name)
        at_step(10**8, _no_room)
        assert worker.work(copy, folder.name) == 0
        assert read_status(folder)["bitwise"] is False
        last = checkpoint.whole(folder / "checkpoints")[-1]
        assert read_json(last / "manifest.json")[loop.CHANGED] == [name]
    undisturbed = queued(copy, seed=3)
    assert worker.work(copy, undisturbed.name) == 0
    assert read_status(undisturbed)["bitwise"] is True


def _impatient(home: str, run_id: str, dead: str) -> None:
    """The run in a process in which nothing answers that opens the file `dead`, as on a disk that is gone."""
    from fairlab.cli.main import main

    opened = os.open

    def slow(path: object, *given: Any, **named: Any) -> int:
        if str(path) == dead:
            time.sleep(3600)
        return opened(path, *given, **named)  # type: ignore[call-overload, no-any-return]

    os.open = slow  # type: ignore[assignment]
    pixels.PATIENCE_S = 1.0
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    main(["--home", home, "work", run_id])


def of_own_faces(lab: Workspace, tmp_path: Path) -> tuple[Path, RunRecord]:
    """A folder of faces that are read from where they lie, and a queued student that learns from them."""
    tree = grouped(tmp_path / "faces", people=4, each=6, px=32)
    assert worker.work(lab, add_data(lab, Source(path=str(tree), image_px=32), "faces")) == 0
    dials: dict[str, object] = {"demo": None, "dataset": "faces", "arms": (), "students": (), "grid.maps": "none"}
    plan = expand(changed(load_preset("tiny"), dials), "tiny", lab)
    record = next(run.record for run in plan.runs if run.record.role == "student")
    create_run(lab, record)
    write_status(record.folder, "queued", reason="")
    return tree, record


def test_a_process_that_waits_for_a_dead_disk_ends(copy: Workspace, tmp_path: Path) -> None:
    """An image that never answers: said, and the process itself is gone soon."""
    tree, record = of_own_faces(copy, tmp_path)
    victim = sorted(tree.rglob("*.jpg"))[5]
    child = fork(_impatient, str(copy.home), record.run_id, str(victim))
    began = time.monotonic()
    child.join(30)
    print(f"gone after {time.monotonic() - began:.1f} s")
    assert child.exitcode == 1
    view = state(record.folder)
    assert view.status == "failed"
    assert "no image could be read for 1 s" in view.reason
    assert victim.name in view.reason


@pytest.mark.parametrize("late", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_signal_after_the_end_changes_nothing(late: str) -> None:
    """A cluster reads the exit code: by a stop's signal that comes while Python ends, 3 must not become another."""
    script = (
        "import atexit, signal, sys\n"
        "from fairlab.jobs.worker import leave\n"
        f"atexit.register(lambda: (signal.raise_signal(signal.{late}), print('ended as always')))\n"
        "leave(3); sys.exit(3)"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (told.returncode, told.stdout, told.stderr) == (3, "ended as always\n", "")


def test_a_changed_or_moved_data_set_is_refused_at_resume(
    copy: Workspace,
    tmp_path: Path,
    at_step: Callable[[int, Callable[[], None]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """2 of 2: one file edited, the whole root renamed; with the same bytes elsewhere the run ends as if nothing had been.

    With others it goes on only when somebody says so, and says for ever that it did.
    """
    tree, record = of_own_faces(copy, tmp_path)
    at_step(9, _no_room)
    worker.work(copy, record.run_id)
    victim = sorted(tree.rglob("*.jpg"))[3]
    content = victim.read_bytes()
    face(victim, 77, 40)
    launch.resume(copy, record.run_id)
    at_step(10**8, _no_room)
    assert worker.work(copy, record.run_id) == 1
    assert "has changed since the data set was added" in state(record.folder).reason
    victim.write_bytes(content)
    tree.rename(tmp_path / "elsewhere")
    launch.resume(copy, record.run_id)
    assert worker.work(copy, record.run_id) == 1
    assert "which no longer exists" in state(record.folder).reason
    before = open_dataset(copy.dataset("faces")).fingerprint
    twin = open_workspace(shutil.copytree(copy.home, tmp_path / "twin"))
    for lab in (copy, twin):
        assert move_data(lab, "faces", str(tmp_path / "elsewhere")).fingerprint == before
    launch.resume(copy, record.run_id)
    assert worker.work(copy, record.run_id) == 0
    assert read_status(record.folder)["bitwise"] is True

    face(tmp_path / "elsewhere" / victim.relative_to(tree), 77, 40)
    with pytest.raises(FairLabError, match=f"{victim.name} is not the image that was added"):
        move_data(twin, "faces", str(tmp_path / "elsewhere"))
    after = move_data(twin, "faces", str(tmp_path / "elsewhere"), changed=True).fingerprint
    assert after != before
    folder = twin.run(record.run_id)
    launch.resume(twin, record.run_id)
    assert not met_other_data(copy, record)
    assert met_other_data(twin, read_run(twin, record.run_id))
    assert worker.work(twin, record.run_id) == 1
    assert "fairlab runs resume RUN --other-data" in state(folder).reason
    assert command(twin.home, "runs", "resume", record.run_id, "--other-data").returncode == 0
    assert not met_other_data(twin, read_run(twin, record.run_id))
    capsys.readouterr()
    assert worker.work(twin, record.run_id) == 0
    assert "not bitwise: data changed since it started" in capsys.readouterr().out
    assert (read_status(folder)["bitwise"], read_status(folder)["accepted_data"]) == (False, after)
    last = sorted((folder / "checkpoints").glob("step-*/manifest.json"))[-1]
    assert read_json(last)["changed_between_attempts"] == ["data"]


def _work_slowly(home: str, run_id: str, begin: Any, told: Any) -> None:
    """A worker whose job takes a moment and writes into the run's folder that it was there."""

    def work_slowly(job: Job) -> dict[str, Any]:
        with open(job.record.folder / "worked", "a") as file:
            file.write("x")
        time.sleep(0.5)
        return {}

    worker.roles.carry_out = work_slowly
    worker.dispatch = lambda _lab: []
    begin.wait()
    told.put(worker.work(Workspace(Path(home)), run_id))


def test_ten_workers_of_one_run_are_one_ten_times(copy: Workspace) -> None:
    """One winner in each of 10 rounds; the others leave with code 75, or 0 where it had ended before they began."""
    record = read_run(copy, queued(copy).name)
    for _ in range(10):
        (record.folder / "worked").unlink(missing_ok=True)
        write_json(record.folder / "status.json", {"status": "queued", "reason": ""})
        begin, told = FORK.Event(), FORK.Queue()
        children = [fork(_work_slowly, str(copy.home), record.run_id, begin, told) for _ in range(10)]
        begin.set()
        codes = sorted(told.get(timeout=60) for _ in children)
        for child in children:
            child.join()
        assert codes[0] == 0
        assert set(codes) <= {0, worker.ALREADY}
        assert (record.folder / "worked").read_text() == "x"
        assert (read_status(record.folder)["status"], read_status(record.folder)["attempt"]) == ("done", 1)
