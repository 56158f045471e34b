"""The job that evaluates finished models on the pairs of a data set, whatever they were trained on."""

from __future__ import annotations

from typing import Any

from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.jobs.embed import spaces
from fairlab.jobs.evaluate import assess
from fairlab.jobs.job import Job
from fairlab.jobs.models import tables
from fairlab.plan.records import WITHOUT_NETWORK


def evaluate(job: Job) -> dict[str, Any]:
    """Embed the data set with each parent where that is still to be done, and write its numbers.

    The processes of the job call this together; embedding is shared, the leader does the rest. Raises FairLabError for a
    data set without pairs.
    """
    check_pairs(job.dataset)
    models, settings = spaces.model_parents(job.workspace, job.record), job.record.config.evaluation
    facts: dict[str, Any] = {"images": len(job.dataset.images)}
    for model in models:
        part = job.part(1 / len(models))
        if model.method not in WITHOUT_NETWORK:
            spaces.embed_elsewhere(part.part(0.9), model)
        if not job.world.leads:
            continue
        if model.method in WITHOUT_NETWORK:
            facts |= tables.again(model, job.dataset, settings)
        else:
            part.progress.part(0.1, "evaluating", "runs")
            facts |= assess.evaluate_run(model, job.dataset, settings)
    return facts


def check_pairs(dataset: Dataset) -> None:
    """Raise FairLabError when there are no pairs to evaluate on."""
    if dataset.pairs.empty:
        raise FairLabError(
            f"data set {dataset.dataset_id} has no pairs to evaluate a model on; embed it and view its maps instead"
        )
