"""Runs carried out in this process: what the jobs do, without the seconds that each process takes to start.

For tests of what a run does. That it has a process of its own, and what becomes of it, is tested in test_launch.py and
test_resume.py, by the fixture `tiny`, and once for every command.
"""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout

import pytest

from fairlab.cli import watch
from fairlab.jobs import worker
from fairlab.jobs.job import Job
from fairlab.jobs.roles import carry_out
from fairlab.plan.plan import Plan
from fairlab.queue import launch, waiting
from fairlab.queue.engines.local import LocalEngine
from fairlab.queue.launch import write_study
from fairlab.settings.placement import Placement
from fairlab.store.runs import RunRecord, create_run, record_process, write_status
from fairlab.workspace import Workspace


def carry_out_all(lab: Workspace, plan: Plan) -> None:
    """All runs of a plan that are not done, in its order, as their workers would."""
    write_study(lab, plan)
    for run in plan.new:
        create_run(lab, run.record)
        facts = carry_out(Job(lab, run.record))
        write_status(run.record.folder, "done", reason="", **facts)


def work_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on whoever starts runs also carries them out, by the worker's own code, before the call returns."""
    dispatch = launch.dispatch
    told: list[str] = []

    def submit(_engine: LocalEngine, workspace: Workspace, record: RunRecord, _placement: Placement) -> None:
        record_process(record.folder)
        told.append(record.run_id)

    def dispatch_and_work(workspace: Workspace) -> list[str]:
        started = dispatch(workspace)
        while told:  # a worker that ends starts the next: it is told here
            run_id = told.pop(0)
            with open(workspace.run(run_id) / "log.txt", "a") as log, redirect_stdout(log), redirect_stderr(log):
                worker.work(workspace, run_id)
        return started

    monkeypatch.setattr(LocalEngine, "submit", submit)
    monkeypatch.setattr(launch, "dispatch", dispatch_and_work)
    for module in (watch, waiting):
        monkeypatch.setattr(module, "dispatch_unless_busy", dispatch_and_work)
    monkeypatch.setattr(worker.StopSwitch, "install", lambda _switch: None)  # signals are the test's own
    monkeypatch.setattr(worker.faulthandler, "enable", lambda: None)
