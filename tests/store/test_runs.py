"""Run folders: written whole, read strictly, believed only as far as their process lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fairlab.config import Data, Run
from fairlab.errors import Damaged, FairLabError
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
