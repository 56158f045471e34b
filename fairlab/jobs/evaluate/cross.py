"""Cross-model verification: the gallery embedded by one model, the probe by another, on the same pairs.

The reason for ProxylessKD (arXiv 2011.00265): a student that asks a gallery which its teacher enrolled. Image_a of a pair
is the gallery's, image_b the probe's. The numbers lie in the evaluation's own run folder and are shown as a model's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.scores import cross_scores
from fairlab.jobs.embed import spaces
from fairlab.jobs.evaluate import assess, provenance
from fairlab.plan.records import WITHOUT_NETWORK, check_lengths
from fairlab.store.runs import RunRecord, read_run
from fairlab.training.world import ALONE, World
from fairlab.workspace import Workspace

Stop = Callable[[], bool]


class Pulse(Protocol):
    def begin(self, stage: str, base: float, share: float, unit: str = "images") -> None: ...
    def advance(self, done: int, total: int, rate: float = 0.0) -> None: ...


def verify(
    workspace: Workspace, record: RunRecord, dataset: Dataset, pulse: Pulse, stop: Stop, world: World = ALONE
) -> dict[str, Any]:
    """Embed the data set with both models where that is still to be done, and judge the pairs between them.

    world: the processes that call this together; the leader judges, the others return nothing.
    """
    gallery, probe = (read_run(workspace, name) for name in record.parents)
    for number, model in enumerate((gallery, probe)):
        if model.method not in WITHOUT_NETWORK:
            spaces.embed_elsewhere(workspace, model, dataset, pulse, stop, 0.45 * number, 0.45, world)
        elif not spaces.embedded(model, dataset):
            raise FairLabError(
                f"{model.title} came as {model.method}, without its network: it has no embeddings of {dataset.dataset_id}"
            )
    if not world.leads:
        return {}
    check_lengths(gallery, probe)
    pulse.begin("evaluating", 0.9, 0.1, "runs")
    (enrolled, enrolled_ids, rule), (asked, asked_ids, other) = (
        assess.judged_vectors(model, dataset) for model in (gallery, probe)
    )
    known = [provenance.of_vectors(model, dataset.dataset_id) for model in (gallery, probe)]
    facts = assess.judge(
        record,
        dataset,
        lambda pairs: cross_scores(enrolled, enrolled_ids, asked, asked_ids, pairs),
        flip=rule if rule == other else f"gallery {rule}, probe {other}",
        embeddings={"gallery": known[0]["embeddings"], "probe": known[1]["embeddings"]},
        preprocessing={"gallery": known[0]["preprocessing"], "probe": known[1]["preprocessing"]},
    )
    return {**facts, "gallery": gallery.run_id, "probe": probe.run_id}
