"""`python -m tests.benchmarks.catalogue [RUNS] [FOLDER]`: the lists of runs with 10,000 runs and 10 million events.

Makes such a workspace in FOLDER (default: a temporary one), its files as the app's own writers make them: records,
last words, numbers, and 1,000 lines of events each; 2 in 1,000 runs work (as far as their files go), 5 wait, 30 crashed.
Prints wall and processor seconds of filling the catalogue, of its lists cold, warm and with five runs changed, of
starting what waits, of the page Runs, and the bytes that a tick of its table sends. Goal of a list: 0.3 s of the
processor; the wall clock is that of a machine which may do other things.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from fairlab.files import write_json
from fairlab.queue import launch
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Backbone, Data, Run, Training
from fairlab.store import database
from fairlab.store.events import EventWriter
from fairlab.store.results import TABLES, results_folder, write_results
from fairlab.store.runs import RunRecord, create_run, read_status, record_process, write_heartbeat, write_status
from fairlab.tables import METRICS
from fairlab.workspace import Workspace, open_workspace

RUNS, EVENTS, GOAL_S, ROUNDS = 10_000, 1_000, 0.3, 7
GROUPS = ("all", "African", "Asian", "Caucasian", "Indian")


def model(lab: Workspace, name: str, number: int) -> RunRecord:
    """A student's record."""
    config = Run(
        role="student",
        method="mst_kd",
        data=Data(dataset="faces", groups=GROUPS[1:]),
        backbone=Backbone(name="iresnet34"),
        loss=loss_settings(),
        training=Training(),
        seed=number,
    )
    day = f"2026-01-{1 + number % 28:02}T{number % 24:02}:{number // 24 % 60:02}:00.000000+00:00"
    return RunRecord(
        name,
        f"Student {number}",
        "student",
        "mst_kd",
        "mst_kd",
        f"study-{number // 50}",
        config,
        (),
        "faces",
        number,
        day,
        "0",
        lab.run(name),
    )


def numbers(name: str) -> pd.DataFrame:
    """A row for each of 60 metrics."""
    rows = [
        (name, "test", group, f"metric_{number}", "", 0.9, 0.88, 0.92, 3000, 3000)
        for group in GROUPS
        for number in range(12)
    ]
    return pd.DataFrame(rows, columns=list(METRICS))


def first(lab: Workspace) -> Path:
    """A whole run, by the app's own writers."""
    record = model(lab, "run-00000", 0)
    create_run(lab, record)
    tables = dict.fromkeys(TABLES, numbers(record.run_id))
    write_results(record.folder, "faces", tables, settings={})
    with EventWriter(record.folder, 1) as events:
        for step in range(1, EVENTS + 1):
            events.write(
                step * 50, step // 100, step * 3.1, {"loss": 12.1234567 - step / 100, "identity": 11.0, "lr": 0.1}
            )
    write_status(record.folder, "done", reason="", train_s=3100.0, finished_at="2026-02-01", attempt=1, bitwise=True)
    return record.folder


def copied(lab: Workspace, pattern: Path, number: int, events: bytes, said: str) -> None:
    """The same run under another number, in files of the same form, without waiting for the disk."""
    name = f"run-{number:05}"
    folder = lab.run(name)
    results = results_folder(folder, "faces")
    results.mkdir(parents=True)
    raw = json.loads((pattern / "run.json").read_bytes())
    record = model(lab, name, number)
    parents = [f"{name}-teacher"] if '"queued"' in said else []  # which does not exist: nothing starts here
    facts = {field: getattr(record, field) for field in ("run_id", "title", "study", "created_at", "seed")}
    (folder / "run.json").write_text(json.dumps({**raw, **facts, "parents": parents}, indent=1, sort_keys=True))
    for path in results_folder(pattern, "faces").iterdir():
        if path.suffix == ".json":
            (results / path.name).write_bytes(path.read_bytes())
    (folder / "status.json").write_text(said)
    (folder / "events.jsonl").write_bytes(events)


def studies(lab: Workspace, count: int) -> None:
    """Fifty runs in each."""
    for number in range(-(-count // 50)):
        names = [f"run-{run:05}" for run in range(number * 50, min(number * 50 + 50, count))]
        about = {"study_id": f"study-{number}", "preset": "mst_kd", "title": "Study", "created_at": "2026-01-01"}
        write_json(lab.study(f"study-{number}") / "study.json", {**about, "config": {}, "run_ids": names})


def made(lab: Workspace, count: int) -> None:
    """The workspace."""
    studies(lab, count)
    pattern = first(lab)
    events, done = (pattern / "events.jsonl").read_bytes(), read_status(pattern)
    for number in range(1, count):
        kind = number % 1000
        status = "running" if kind < 32 else "queued" if kind < 37 else "done"
        copied(lab, pattern, number, events, json.dumps({**done, "status": status}))
        folder = lab.run(f"run-{number:05}")
        for path in results_folder(pattern, "faces").glob("*.parquet"):
            (results_folder(folder, "faces") / path.name).write_bytes(path.read_bytes())
        if kind < 32:  # whose process does not live
            (folder / "process.json").write_text(json.dumps({"pid": 1, "create_time": 0.0, "boot_id": "before"}))
        if number % 1000 == 0:
            print(f"{number} of {count} runs made", flush=True)


def said(what: str, work: Callable[[], object], rounds: int = 1) -> float:
    """A line of medians; returns processor seconds, which other work on the machine changes little."""
    wall, cpu = [], []
    for _ in range(rounds):
        began, before = time.monotonic(), time.process_time()
        work()
        wall.append(time.monotonic() - began)
        cpu.append(time.process_time() - before)
    middle = statistics.median(cpu)
    print(f"{what:32} {middle:8.3f} s CPU; wall {statistics.median(wall):8.3f} s, least {min(wall):8.3f} s", flush=True)
    return middle


def changed(lab: Workspace) -> None:
    """Five runs say something new, then the list."""
    for number in range(5):
        write_status(lab.run(f"run-{100 + number:05}"), "done", reason="again")
    database.list_runs(lab)


def working(lab: Workspace) -> None:
    """Two in 1,000 runs have a process that lives: this one."""
    for folder in lab.runs_folder.iterdir():
        if int(folder.name[-3:]) < 2:
            write_status(folder, "running", reason="")
            record_process(folder)
            write_heartbeat(folder, stage="training", progress=0.3, rate=1000.0)


def page(lab: Workspace) -> None:
    """The page Runs: a rerun, and the bytes of its table."""
    from streamlit.testing.v1 import AppTest

    os.environ["FAIRLAB_HOME"] = str(lab.home)
    app = AppTest.from_file(Path("fairlab/ui/frame/main.py").absolute(), default_timeout=300)
    app.query_params["study"] = "all"
    said("page Runs, first visit", lambda: app.run().switch_page("../../../pages/runs.py").run())
    said("page Runs, rerun", app.run, 3)
    for error in app.exception:
        print("  exception:", error.value)
    for table in app.dataframe:
        print(f"  its table sends {len(table.proto.arrow_data.data):,} bytes, {len(table.value):,} rows")


def measure(lab: Workspace) -> bool:
    """All lines; is the goal kept?"""
    working(lab)
    said("first fill", lambda: database.sync(lab))
    time.sleep(2.5)
    said("again after two seconds", lambda: database.sync(lab))
    warm = said("list, warm", lambda: database.list_runs(lab), ROUNDS)
    news = said("list, five runs changed", lambda: changed(lab), ROUNDS)
    said("statuses alone", lambda: database.statuses(lab), ROUNDS)
    said("dispatch", lambda: launch.dispatch(lab), 3)
    said("all made again (rebuild)", lambda: database.rebuild(lab))
    page(lab)
    print(f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most")
    print(f"goal of {GOAL_S} s of the processor: {'kept' if max(warm, news) < GOAL_S else 'missed'}")
    return max(warm, news) < GOAL_S


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp(prefix="catalogue"))
    lab = open_workspace(folder / "home")
    if not any(lab.runs_folder.iterdir()):
        made(lab, count)
    print(f"load average {os.getloadavg()[0]:.1f}; {count:,} runs, {count * EVENTS:,} events")
    try:
        return 0 if measure(lab) else 1
    finally:
        if len(sys.argv) <= 2:
            shutil.rmtree(folder)


if __name__ == "__main__":
    raise SystemExit(main())
