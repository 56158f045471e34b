"""The jobs that make a data set: from a user's files, from other data sets, or of generated faces."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fairlab.data.dataset import open_dataset
from fairlab.data.recipes import build_recipe
from fairlab.errors import FairLabError, Stopped
from fairlab.jobs.data import adding, drawing
from fairlab.jobs.job import Job
from fairlab.machine.temporaries import sweep


def add(job: Job) -> dict[str, Any]:
    """Register the data of the run's `source` (adding.add)."""
    return _made(job, adding.add)


def combine(job: Job) -> dict[str, Any]:
    """Make the data set of others, by the run's `recipe`."""
    return _made(job, _combine)


def render(job: Job) -> dict[str, Any]:
    """Generate the faces of the run's `demo`."""
    return _made(job, _render)


def _made(job: Job, make: Callable[[Job], dict[str, Any]]) -> dict[str, Any]:
    """Make the data set, then draw the pairs again that were drawn for the same data before."""
    sweep(job.workspace.datasets_folder)  # pixels that killed jobs left
    facts, last = make(job.between(0, 0.99)), job.between(0.99, 1)
    last.progress.begin("looking for pairs drawn before", "groups")
    return facts | drawing.draw_again(last.on(open_dataset(job.workspace.dataset(job.record.dataset))))


def _combine(job: Job) -> dict[str, Any]:
    record = job.record
    if record.config.recipe is None:
        raise FairLabError(f"{record.run_id} does not say which data sets to combine")
    made = build_recipe(record.config.recipe, job.workspace.dataset(record.dataset), record.dataset)
    return {"images": len(made.images), "fingerprint": made.fingerprint}


def _render(job: Job) -> dict[str, Any]:
    from fairlab.data.demo.build import build_demo  # its textures load scipy's image filters: only this job waits

    record, demo = job.record, job.record.config.demo
    if demo is None:
        raise FairLabError(f"{record.run_id} does not say which faces to generate")
    job.progress.begin("rendering faces")
    folder = job.workspace.dataset(record.dataset)
    if not (folder / "manifest.json").exists():
        started = time.monotonic()

        def progress(done: int, total: int) -> None:
            job.progress.advance(done, total, done / max(time.monotonic() - started, 1e-9))

        build_demo(demo, folder, record.dataset, progress, job.stop)
        if job.stop() and not (folder / "manifest.json").exists():
            raise Stopped
    dataset = open_dataset(folder, verify=True)
    return {"images": len(dataset.images), "fingerprint": dataset.fingerprint}
