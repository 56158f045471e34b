"""Cross-model verification: the gallery embedded by one model, the probe by another, on the same pairs.

The reason for ProxylessKD (arXiv 2011.00265): a student that asks a gallery which its teacher enrolled. Image_a of a pair
is the gallery's, image_b the probe's. The numbers lie in the evaluation's own run folder and are shown as a model's.
"""

from __future__ import annotations

from typing import Any

from fairlab.errors import FairLabError
from fairlab.evaluation.scores import cross_scores
from fairlab.jobs.embed import spaces
from fairlab.jobs.evaluate import assess, provenance
from fairlab.jobs.evaluate.elsewhere import check_pairs
from fairlab.jobs.job import Job
from fairlab.plan.records import WITHOUT_NETWORK, check_lengths
from fairlab.store.runs import read_run


def verify(job: Job) -> dict[str, Any]:
    """Embed the data set with both models where that is still to be done, and judge the pairs between them.

    The processes of the job call this together; the leader judges, the others return nothing.
    """
    record, dataset = job.record, job.dataset
    check_pairs(dataset)
    gallery, probe = (read_run(job.workspace, name) for name in record.parents)
    for number, model in enumerate((gallery, probe)):
        if model.method not in WITHOUT_NETWORK:
            spaces.embed_elsewhere(job.between(0.45 * number, 0.45 * number + 0.45), model)
        elif not spaces.embedded(model, dataset):
            raise FairLabError(
                f"{model.title} came as {model.method}, without its network: it has no embeddings of {dataset.dataset_id}"
            )
    if not job.world.leads:
        return {}
    check_lengths(gallery, probe)
    job.progress.between(0.9, 1.0, "evaluating", "runs")
    (enrolled, enrolled_ids, rule), (asked, asked_ids, other) = (
        assess.judged_vectors(model, dataset) for model in (gallery, probe)
    )
    known = [provenance.of_vectors(model, dataset.dataset_id) for model in (gallery, probe)]
    facts = assess.judge(
        record,
        dataset,
        assess.Scoring(
            lambda pairs: cross_scores(enrolled, enrolled_ids, asked, asked_ids, pairs),
            flip=rule if rule == other else f"gallery {rule}, probe {other}",
        ),
        embeddings={"gallery": known[0]["embeddings"], "probe": known[1]["embeddings"]},
        preprocessing={"gallery": known[0]["preprocessing"], "probe": known[1]["preprocessing"]},
    )
    return {**facts, "gallery": gallery.run_id, "probe": probe.run_id}
