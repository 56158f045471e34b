"""`fairlab watch`: what it says is so, it starts what waits, and leaving it leaves the runs alone."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fairlab.files import write_json
from fairlab.plan.plan import single
from fairlab.presets import load_preset
from fairlab.settings.study import Data, Run
from fairlab.store.runs import RunRecord, create_run, record_process, state, write_heartbeat, write_status
from fairlab.workspace import Workspace, now
from tests.conftest import ROOT, command


def queued(lab: Workspace, title: str, study: str = "", empty: bool = False) -> RunRecord:
    demo = None if empty else load_preset("tiny").demo
    config = Run(role="dataset", method="render", data=Data(dataset=title.lower()), demo=demo)
    record = single(lab, title, config, (), study=study)
    create_run(lab, record)
    write_status(record.folder, "queued", reason="")
    return record


def running(lab: Workspace, title: str, pid: int, study: str = "") -> RunRecord:
    """A run of that process, a quarter done, that says 80 s are left."""
    record = queued(lab, title, study)
    record_process(record.folder, pid)
    write_status(record.folder, "running", reason="")
    beat = {"time": "", "stage": "training", "progress": 0.25, "eta_s": 80.0, "rate": 512.0, "unit": "images"}
    write_heartbeat(record.folder, **beat, done=1, total=4)
    return record


def in_study(lab: Workspace, *records: RunRecord) -> None:
    study = {"study_id": "grid", "preset": "tiny", "title": "Grid", "created_at": now(), "run_ids": []}
    runs = {"run_ids": [record.run_id for record in records]}
    write_json(lab.study("grid") / "study.json", study | runs | {"config": load_preset("tiny").model_dump(mode="json")})


def test_it_says_how_everything_active_stands(lab: Workspace) -> None:
    """As a table with a line for the study, and as JSON; what has ended is not active; nothing is started by --once."""
    going = running(lab, "Going", os.getpid(), "grid")
    waiting, ended = queued(lab, "Waiting", "grid"), queued(lab, "Ended", "grid")
    write_status(ended.folder, "done", reason="")
    alone = queued(lab, "Alone")
    in_study(lab, going, waiting, ended)
    shown = command(lab.home, "watch", "--once")
    assert shown.returncode == 0, shown.stderr
    (row,) = [line for line in shown.stdout.splitlines() if line.startswith("Going")]
    assert row.split("%")[0].endswith(" 25")
    assert row.split("%")[1].split() == ["training", "512", "images/s", "1", "min", "20", "s"]
    assert "Ended" not in shown.stdout
    assert "grid: 1 of 3 done, about " in shown.stdout
    assert "Ctrl-C" not in shown.stdout, "it has ended already"
    lines = [json.loads(line) for line in command(lab.home, "watch", "--once", "--json").stdout.splitlines()]
    assert {line["run_id"]: line["status"] for line in lines} == {
        going.run_id: "running",
        waiting.run_id: "queued",
        alone.run_id: "queued",
    }
    (line,) = [line for line in lines if line["run_id"] == going.run_id]
    assert [line[name] for name in ("study", "stage", "progress", "rate", "unit", "eta_s")] == [
        "grid", "training", 0.25, 512.0, "images", 80.0,
    ]  # fmt: skip
    whole = command(lab.home, "watch", "grid", "--once").stdout
    assert "grid: 1 of 3 done, about " in whole
    assert "Alone" not in whole
    assert state(waiting.folder).status == "queued"
    unknown = command(lab.home, "watch", "nobody")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "there is no study 'nobody', and there is no run 'nobody'" in unknown.stderr


@pytest.mark.usefixtures("here")
def test_it_starts_what_waits_and_ends_with_what_it_was_told_to_watch(lab: Workspace) -> None:
    """A line for each change where output is no terminal. Runs that fail at once, to be quick."""
    first, second = queued(lab, "First", empty=True), queued(lab, "Second", empty=True)
    shown = command(lab.home, "watch", first.run_id, second.run_id)
    assert [state(record.folder).status for record in (first, second)] == ["failed", "failed"]
    assert [line.split()[:2] for line in shown.stdout.splitlines()] == [["failed", "First"], ["failed", "Second"]]


def test_ctrl_c_ends_the_table_and_not_the_run(lab: Workspace) -> None:
    """On a real terminal, with a real process as the run's."""
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    try:
        record = running(lab, "Going", other.pid)
        screen, end = pty.openpty()
        environment = {**os.environ, "COLUMNS": "120", "LINES": "30", "TERM": "xterm"}
        watcher = subprocess.Popen(
            [sys.executable, "-m", "fairlab", "--home", str(lab.home), "watch"],
            stdin=end, stdout=end, stderr=end, env=environment, cwd=ROOT, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the tests may be a shell's background job
        )  # fmt: skip
        os.close(end)
        seen = b""
        until = time.monotonic() + 60
        while b"Ctrl-C leaves them running" not in seen and time.monotonic() < until:
            seen += os.read(screen, 65536)
        assert b"Going" in seen
        assert b"25%" in seen
        watcher.send_signal(signal.SIGINT)
        while watcher.poll() is None:  # what it still says must have somebody who reads it
            try:
                seen += os.read(screen, 65536)
            except OSError:
                break
        assert watcher.wait(10) == 0
        assert b"Traceback" not in seen
        assert other.poll() is None
        assert state(record.folder).status == "running"
        assert not Path(record.folder / "stop").exists()
    finally:
        other.kill()
        other.wait()
