"""A plan carried out in this process: what the jobs do, without the seconds that each process takes to start."""

from __future__ import annotations

from fairlab.runs.jobs import carry_out
from fairlab.runs.launch import write_study
from fairlab.runs.plan import Plan
from fairlab.store.runs import create_run, write_status
from fairlab.workspace import Workspace


class Silent:
    """A pulse that nobody feels."""

    def begin(self, stage: str, base: float, share: float, unit: str = "images") -> None: ...

    def advance(self, done: int, total: int, rate: float = 0.0) -> None: ...


def carry_out_all(lab: Workspace, plan: Plan) -> None:
    """All runs of a plan that are not done, in its order, as their workers would."""
    write_study(lab, plan)
    for run in plan.new:
        create_run(lab, run.record)
        facts = carry_out(lab, run.record, 1, Silent(), lambda: False)
        write_status(run.record.folder, "done", reason="", **facts)
