"""Cross-model verification: the gallery embedded by one model, the probe by another, on the same pairs.

The reason for ProxylessKD (arXiv 2011.00265): a student that asks a gallery which its teacher enrolled. Image_a of a pair
is the gallery's, image_b the probe's. The numbers lie in the evaluation's own run folder and are shown as a model's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.scores import cross_scores
from fairlab.runs import assess, provenance, spaces, tables
from fairlab.runs.plan import single
from fairlab.settings.study import Data, Evaluation, Run
from fairlab.store.database import list_runs
from fairlab.store.embeddings import embedded_sets, open_embeddings
from fairlab.store.records import read_weights
from fairlab.store.results import judged_on
from fairlab.store.runs import RunRecord, read_run
from fairlab.training.world import ALONE, World
from fairlab.workspace import Workspace

METHOD = "cross_model"
Stop = Callable[[], bool]


class Pulse(Protocol):
    def begin(self, stage: str, base: float, share: float, unit: str = "images") -> None: ...
    def advance(self, done: int, total: int, rate: float = 0.0) -> None: ...


def cross_record(
    workspace: Workspace,
    gallery: RunRecord,
    probe: RunRecord,
    dataset_id: str,
    evaluation: Evaluation,
    preset: str = "",
    study: str = "",
) -> RunRecord:
    """The run that judges `probe` against a gallery by `gallery`; both may still be to be trained (they are its parents)."""
    config = Run(
        role="evaluation", method=METHOD, seed=probe.seed, data=Data(dataset=dataset_id), evaluation=evaluation
    )
    title = f"{probe.title} against a gallery by {gallery.title}"
    return single(workspace, title, config, (gallery.run_id, probe.run_id), preset, study)


def length_of(model: RunRecord) -> int | None:
    """Length of a model's embeddings; None when it has embedded nothing and its file does not say."""
    for name in embedded_sets(model.folder):
        return int(open_embeddings(model.folder, name, "plain").vectors.shape[1])
    there = (model.folder / "weights" / "model.json").exists()
    found = read_weights(model.folder).get("embedding_dim") if there else None
    return None if found is None else int(found)


def check_lengths(gallery: RunRecord, probe: RunRecord) -> None:
    """Raises FairLabError when the two spaces are known to have embeddings of different lengths."""
    lengths = [length_of(model) for model in (gallery, probe)]
    if None not in lengths and lengths[0] != lengths[1]:
        raise FairLabError(
            f"{gallery.title} has embeddings of {lengths[0]} numbers and {probe.title} of {lengths[1]}: a gallery and a "
            "probe must be of equal length to be compared"
        )


def verify(
    workspace: Workspace, record: RunRecord, dataset: Dataset, pulse: Pulse, stop: Stop, world: World = ALONE
) -> dict[str, Any]:
    """Embed the data set with both models where that is still to be done, and judge the pairs between them.

    world: the processes that call this together; the leader judges, the others return nothing.
    """
    gallery, probe = (read_run(workspace, name) for name in record.parents)
    for number, model in enumerate((gallery, probe)):
        if model.method not in tables.METHODS:
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


def crossed(workspace: Workspace, probes: Sequence[RunRecord], dataset_id: str = "") -> list[RunRecord]:
    """Finished evaluations of these models against a gallery, oldest first; with a data set only those on it."""
    runs = list_runs(workspace)
    runs = runs[(runs["role"] == "evaluation") & (runs["method"] == METHOD) & (runs["status"] == "done")]
    names = {model.run_id for model in probes}
    found = [read_run(workspace, name) for name in runs.sort_values("created_at")["run_id"]]
    return [
        record
        for record in found
        if record.parents[1] in names and (not dataset_id or dataset_id in judged_on(record.folder))
    ]
