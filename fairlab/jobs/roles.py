"""Which function does the job of a run, by its role and method. Adding a job: one file in a folder here, one line of JOBS."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fairlab.data.dataset import open_dataset
from fairlab.errors import FairLabError
from fairlab.jobs.job import Job
from fairlab.settings.study import Training
from fairlab.store.runs import RunRecord
from fairlab.training.world import ALONE

EVERY = ""
"""In JOBS: whatever the method is."""
JOBS: dict[tuple[str, str], str] = {
    ("dataset", "inspect"): "fairlab.jobs.data.adding:inspect",
    ("dataset", "add"): "fairlab.jobs.data.making:add",
    ("dataset", "recipe"): "fairlab.jobs.data.making:combine",
    ("dataset", "render"): "fairlab.jobs.data.making:render",
    ("dataset", "overlap"): "fairlab.jobs.data.overlap:check",
    ("dataset", "pairs"): "fairlab.jobs.data.drawing:carry_out",
    ("dataset", "traits"): "fairlab.jobs.data.measuring:carry_out",
    ("model", "inspect"): "fairlab.jobs.models.importing:inspect",
    ("model", "import"): "fairlab.jobs.models.importing:add",
    ("model", "scores"): "fairlab.jobs.models.tables:add_scores",
    ("model", "embeddings"): "fairlab.jobs.models.tables:add_embeddings",
    ("teacher", EVERY): "fairlab.jobs.train.space:make",
    ("adaptor", EVERY): "fairlab.jobs.train.space:make",
    ("baseline", EVERY): "fairlab.jobs.train.space:make",
    ("student", EVERY): "fairlab.jobs.train.space:make",
    ("embedding", EVERY): "fairlab.jobs.embed.elsewhere:embed",
    ("evaluation", "pairs"): "fairlab.jobs.evaluate.elsewhere:evaluate",
    ("evaluation", "cross_model"): "fairlab.jobs.evaluate.cross:verify",
    ("evaluation", "repair"): "fairlab.jobs.repair.repairing:repair",
    ("evaluation", "protocols"): "fairlab.jobs.evaluate.by_protocol:judge",
    ("projection", EVERY): "fairlab.jobs.maps:draw",
    ("comparison", "moved"): "fairlab.jobs.moved:measure",
}
"""(role, method) -> "module:function" of a function of a Job that returns facts for the run's status.

Written as text, so that a worker loads what its own job needs, and torch only after it has its lock.
"""
MAKING = ("dataset", "model")
"""Roles whose job needs no data set that is there before."""
LOOKING = ("embedding", "evaluation")
"""Roles whose processes share the whole job; those of a training share what space.make says."""


def carry_out(job: Job) -> dict[str, Any]:
    """Do the whole job of a run; returns facts for its status. Raises Stopped or FairLabError.

    In a process that is not the run's first: its part of what is shared, and no facts.
    """
    record, world = job.record, job.world
    shared = record.role in LOOKING or record.config.training is not None
    if not world.leads and not shared:
        return {}
    # Asked while this process was starting, and the next takes seconds. Processes that share a run agree once they have
    # met: one that left before would be waited for.
    if world.size == 1 or not shared:
        job.go_on()
    if not shared:
        job = replace(job, world=ALONE)
    function = function_of(record)
    if record.role not in MAKING and not brought(record):
        job = job.on(open_dataset(job.workspace.dataset(record.dataset)))
        if job.dataset.marked and world.leads:
            print(f"[fairlab] {job.dataset.marked}", flush=True)
    if record.role not in LOOKING:
        return function(job)
    with job.joined(_best_device() if world.size > 1 else "cpu"):
        return function(job)


def brought(record: RunRecord) -> bool:
    """Is it a teacher, an adaptor or a student whose weights come from a file, instead of a training here?"""
    return record.elsewhere and record.role != "model"


def function_of(record: RunRecord) -> Callable[[Job], dict[str, Any]]:
    """The function of JOBS for a run, loaded now. Raises FairLabError for a role and method that no job is for."""
    place = JOBS.get(("model", "import") if brought(record) else (record.role, record.method)) or JOBS.get(
        (record.role, EVERY)
    )
    if place is None:
        known = ", ".join(sorted(method for role, method in JOBS if role == record.role))
        raise FairLabError(f"no job of role {record.role} does {record.method!r}; choose one of: {known}")
    module, _, name = place.partition(":")
    function: Callable[[Job], dict[str, Any]] = getattr(importlib.import_module(module), name)
    return function


def _best_device() -> str:
    from fairlab.training.loop import pick_device

    return pick_device(Training()).type
