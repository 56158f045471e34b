"""The job that embeds a data set with finished models, whatever they were trained on."""

from __future__ import annotations

from typing import Any

from fairlab.jobs.embed import spaces
from fairlab.jobs.job import Job
from fairlab.jobs.models import tables
from fairlab.plan.records import WITHOUT_NETWORK


def embed(job: Job) -> dict[str, Any]:
    """Embed the job's data set with each parent. The processes of the job call this together and share the work.

    Raises FairLabError for a model without a network: it has nothing but the embeddings that it came with.
    """
    models = spaces.model_parents(job.workspace, job.record)
    for model in models:
        part = job.part(1 / len(models))
        if model.method not in WITHOUT_NETWORK:
            spaces.embed_elsewhere(part.part(0.9), model)
        elif job.world.leads:
            tables.again(model, job.dataset, None)
    return {"images": len(job.dataset.images)}
