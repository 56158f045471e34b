"""Run folders: written whole, read strictly, believed only as far as their process lives."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.files import read_json, write_json
from fairlab.settings.study import Data, Run
from fairlab.store.runs import (
    RunRecord,
    create_run,
    delete_run,
    live_process,
    read_run,
    read_status,
    record_process,
    state,
    write_status,
)  # fmt: skip
from fairlab.workspace import Workspace


def record(lab: Workspace, run_id: str = "a-run", parents: tuple[str, ...] = ()) -> RunRecord:
    config = Run(role="teacher", method="classifier", data=Data(dataset="d", groups=("日本",)))
    return RunRecord(
        run_id, "Title", "teacher", "classifier", "p", "s", config, parents, "d", 0, "2026-01-01", "0", lab.run(run_id)
    )


def test_what_is_written_is_read(lab: Workspace) -> None:
    create_run(lab, record(lab))
    assert read_run(lab, "a-run") == record(lab)


def test_creating_twice_keeps_the_first(lab: Workspace) -> None:
    create_run(lab, record(lab))
    before = (lab.run("a-run") / "run.json").read_bytes()
    create_run(lab, record(lab, parents=("other",)))
    assert (lab.run("a-run") / "run.json").read_bytes() == before


def test_status_keeps_earlier_facts(lab: Workspace) -> None:
    create_run(lab, record(lab))
    write_status(lab.run("a-run"), "running", reason="", attempt=3)
    write_status(lab.run("a-run"), "failed", reason="why")
    assert {name: read_status(lab.run("a-run"))[name] for name in ("status", "reason", "attempt")} == {
        "status": "failed",
        "reason": "why",
        "attempt": 3,
    }


def test_a_deleted_folder_is_not_made_again_by_its_status(lab: Workspace) -> None:
    with pytest.raises(FairLabError, match="is gone"):
        write_status(lab.run("never"), "done", reason="")
    assert not lab.run("never").exists()


def test_a_zombie_is_dead(lab: Workspace) -> None:
    """A killed child of a living server stays a zombie with its number; it must not count as running."""
    create_run(lab, record(lab))
    folder = lab.run("a-run")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    record_process(folder, child.pid)
    write_status(folder, "running", reason="")
    assert state(folder).status == "running"
    child.kill()
    for _ in range(100):
        if live_process(folder) is None:
            break
        subprocess.run(["sleep", "0.05"], check=True)
    assert state(folder).status == "crashed"  # and nobody has waited for the child yet
    child.wait()


def noted(folder: Path, **changes: object) -> None:
    path = folder / "process.json"
    write_json(path, {**read_json(path), **changes})


def test_a_number_given_to_another_process_is_not_believed(lab: Workspace) -> None:
    """The run died, its process id lives again as somebody else, or as anybody after a reboot."""
    create_run(lab, record(lab))
    folder = lab.run("a-run")
    write_status(folder, "running", reason="")
    record_process(folder)
    assert state(folder).status == "running"
    for changes in (
        {"ticks": 1},
        {"ticks": None, "create_time": psutil.Process().create_time() - 60},
        {"boot_id": "another start of the machine"},
        {"pid": 2**22 + 1},
        {"pid": None},
        {"ticks": "x"},
        {"ticks": None, "create_time": "x"},
    ):
        record_process(folder)
        noted(folder, **changes)
        assert state(folder).status == "crashed", changes
    for content in (b"{", b"[]", b"\xff", b"null"):
        (folder / "process.json").write_bytes(content)
        assert state(folder).status == "crashed", content


def _live(folder: Path, ready: Any) -> None:
    record_process(folder)
    write_status(folder, "running", reason="")
    ready.set()
    time.sleep(60)


def test_how_a_run_stands_is_right_within_ten_seconds(lab: Workspace) -> None:
    """20 of 20: its starter killed (it lives on), itself killed, its number given to another, the machine restarted."""
    context = multiprocessing.get_context("fork")
    slowest = 0.0
    for number in range(20):
        create_run(lab, record(lab, f"run-{number}"))
        folder, ready, fate = lab.run(f"run-{number}"), context.Event(), number % 4
        children: Any = context.Queue()

        def start(folder: Path = folder, ready: Any = ready, children: Any = children) -> None:
            child = os.fork()
            if child == 0:
                os.setsid()
                _live(folder, ready)
            children.put(child)
            time.sleep(60)

        starter = context.Process(target=start, daemon=True)
        starter.start()
        child = children.get(timeout=20)
        assert ready.wait(20)
        assert state(folder).status == "running"
        began = time.monotonic()
        if fate == 0:
            starter.kill()
            starter.join()
        elif fate == 1:
            os.kill(child, signal.SIGKILL)
        elif fate == 2:
            noted(folder, pid=os.getpid())
        else:
            noted(folder, boot_id="another start of the machine")
        wanted = "running" if fate == 0 else "crashed"
        while state(folder).status != wanted:
            assert time.monotonic() - began < 10
            time.sleep(0.01)
        slowest = max(slowest, time.monotonic() - began)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        if fate == 0:
            while state(folder).status != "crashed":
                time.sleep(0.01)
        delete_run(lab, folder.name)
        starter.kill()
        starter.join()
    print(f"right after at most {slowest:.2f} s")


def test_a_run_that_crashed_can_be_deleted(lab: Workspace) -> None:
    """Aim issue 2270: killed, for ever "in progress", and never to be got rid of."""
    create_run(lab, record(lab))
    write_status(lab.run("a-run"), "running", reason="")
    delete_run(lab, "a-run")
    assert not lab.run("a-run").exists()
    assert not list(lab.home.glob("*.tmp.*"))


def test_a_run_that_others_build_on_is_deleted_only_by_force(lab: Workspace) -> None:
    create_run(lab, record(lab))
    create_run(lab, record(lab, "child", parents=("a-run",)))
    create_run(lab, record(lab, "broken"))
    (lab.run("broken") / "run.json").write_bytes(b"{")  # one damaged run must not hinder the rest
    with pytest.raises(Refused, match="1 runs build on a-run: child; delete them first, or use force"):
        delete_run(lab, "a-run")
    delete_run(lab, "broken")
    delete_run(lab, "a-run", force=True)
    assert [path.name for path in lab.runs_folder.iterdir()] == ["child"]


def test_a_copied_folder_is_not_taken_for_another_run(lab: Workspace) -> None:
    create_run(lab, record(lab))
    shutil.copytree(lab.run("a-run"), lab.run("a-run-2"))
    with pytest.raises(Damaged, match="is the record of 'a-run'; was the folder renamed or copied"):
        read_run(lab, "a-run-2")


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"{", Damaged, "not readable JSON"),
        (b'{"run_id": "a-run"}', FairLabError, "run.json"),
        (b"\xff\xfe", Damaged, "not readable JSON"),
    ],
)
def test_a_damaged_record_is_named(lab: Workspace, content: bytes, kind: type[FairLabError], said: str) -> None:
    create_run(lab, record(lab))
    (lab.run("a-run") / "run.json").write_bytes(content)
    with pytest.raises(kind, match=said):
        read_run(lab, "a-run")


def test_unknown_settings_in_a_record_are_refused(lab: Workspace) -> None:
    create_run(lab, record(lab))
    path = lab.run("a-run") / "run.json"
    path.write_text(path.read_text().replace('"method": "classifier"', '"methodd": "classifier"', 1))
    with pytest.raises(FairLabError, match="methodd"):
        read_run(lab, "a-run")


def test_a_running_run_is_not_deleted(lab: Workspace) -> None:
    create_run(lab, record(lab))
    record_process(lab.run("a-run"))
    write_status(lab.run("a-run"), "running", reason="")
    with pytest.raises(FairLabError, match="is running; stop it before"):
        delete_run(lab, "a-run")


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "x" * 300, "a\nb", "a\x00b", ".."])
def test_names_never_lead_out_of_the_workspace(lab: Workspace, name: str) -> None:
    with pytest.raises(FairLabError, match="is not the name of a run"):
        lab.run(name)
    assert list(Path(lab.home).rglob("*")) == [path for path in lab.home.rglob("*") if path.is_relative_to(lab.home)]
