"""The job of a teacher, an adaptor, a baseline or a student: train it, embed every image, index and evaluate."""

from __future__ import annotations

from typing import Any

import numpy as np

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.sampling import identity_labels, training_rows
from fairlab.jobs.embed import spaces
from fairlab.jobs.embed.embedding import Network
from fairlab.jobs.evaluate import assess
from fairlab.jobs.job import Job
from fairlab.jobs.train.teaching import Lessons
from fairlab.jobs.train.training import inputs_of, train


def make(job: Job) -> dict[str, Any]:
    """Train what is to be trained, then embed every image, index and evaluate.

    The processes of the job share training and embedding; the rest is the leader's.
    """
    from fairlab.training.loop import pick_device

    training = job.record.config.training
    kind = "cpu" if training is None else pick_device(training).type
    judge = judge_of(job)
    with job.joined(kind):
        facts = _train_and_embed(job, judge)
    if not job.world.leads:
        return {}
    job.progress.between(0.99, 1.0, "evaluating")
    if len(judge.pairs):
        facts |= assess.evaluate_run(job.record, judge)
    else:  # a training set alone is a normal thing to have
        facts["not_evaluated"] = f"data set {judge.dataset_id} has no pairs"
        print(f"[fairlab] not evaluated: data set {judge.dataset_id} has no pairs", flush=True)
    return facts


def judge_of(job: Job) -> Dataset:
    """The data set whose pairs a run is judged on."""
    name = job.record.config.data.judge
    return open_dataset(job.workspace.dataset(name)) if name and name != job.record.dataset else job.dataset


def _train_and_embed(job: Job, judge: Dataset) -> dict[str, Any]:
    import torch

    from fairlab.methods.base import METHODS
    from fairlab.training.loop import pick_device

    record, config, dataset = job.record, job.record.config, job.dataset
    if config.training is not None:
        torch.set_num_threads(config.training.threads)
    rows = training_rows(dataset.images, config.data, config.seed)
    labels, names = identity_labels(dataset.images.iloc[rows])
    online = config.distillation is not None and config.distillation.online
    stored = not online or getattr(METHODS[record.method], "needs_centroids", False)
    taken = spaces.embed_parents(job, 0.2) if stored else 0.0
    lessons = Lessons(job, rows, labels, names)
    method = _method(job, lessons)
    facts: dict[str, Any] = {"classes": len(names), "training_images": len(rows), "parents": list(record.parents)}
    if config.training is not None:
        facts |= train(job.between(taken, 0.9), lessons, method, judge)
        if job.world.leads:
            _save(job, lessons, method)
        job.world.wait()
    device = pick_device(config.training) if config.training else torch.device("cpu")
    everything = inputs_of(dataset, lessons.parents, method, np.arange(len(dataset.images)))
    method.to(device)
    spaces.embed(job.between(0.9, 0.97), Network(record, method.learner, everything, device))
    if judge is not dataset:
        facts["judged_on"] = judge.dataset_id
        spaces.embed_elsewhere(job.between(0.97, 0.99).on(judge), record)
    return facts


def _method(job: Job, lessons: Lessons) -> Any:
    """The run's method with fresh weights, drawn with its seed."""
    import torch

    from fairlab.methods.base import METHODS

    config, px = job.record.config, job.dataset.image_px
    parts = {"inherited": lessons.inherited, "centroids": lessons.centroids}
    given = {name: part for name, part in parts.items() if part is not None}
    torch.manual_seed(config.seed)
    build = METHODS[job.record.method]
    return build(config, classes=len(lessons.names), image_px=px, teacher_dims=lessons.dims, **given)


def _save(job: Job, lessons: Lessons, method: Any) -> None:
    """Keep network and classifier with all that is needed to build them again."""
    from fairlab.models.files.checkpoints import save_model
    from fairlab.models.flops import size_facts

    about = spaces.rebuild_facts(job.record.config, job.dataset, lessons.dims, method.embedding_dim)
    px = job.dataset.image_px
    shape = (3, px, px) if method.inputs == "images" else (sum(lessons.dims) + method.needs_group,)
    about |= size_facts(method.learner, shape)
    whose = {"identities": lessons.names, "data": job.dataset.fingerprint}
    save_model(job.record.folder / "weights", method.learner, method.head, {**about, **whose})
