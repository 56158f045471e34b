"""Records of runs that are planned outside a study's grid, and which models another one can build on."""

from __future__ import annotations

from fairlab.errors import FairLabError
from fairlab.plan.plan import single
from fairlab.settings.study import Data, Evaluation, Run
from fairlab.store.embeddings import embedded_sets, open_embeddings
from fairlab.store.records import read_weights
from fairlab.store.runs import SPACES, RunRecord
from fairlab.workspace import Workspace

METHOD = "cross_model"
REPAIR = "repair"
"""Method of the runs that repair a model's scores without training."""
WITHOUT_NETWORK = ("scores", "embeddings")
"""Methods of models of which only the output came."""


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
            f"{gallery.title} has embeddings of {lengths[0]} numbers and {probe.title} of {lengths[1]}: gallery and "
            f"probe must have equal length"
        )


def check_model(space: RunRecord) -> None:
    """Raise FairLabError for a run that is no model, or a model without a network."""
    if space.role not in SPACES or space.method == "inspect":
        raise FairLabError(
            f"{space.run_id} is not a model: its role is {space.role}; `fairlab models list` lists the models"
        )
    if space.method in WITHOUT_NETWORK:
        raise FairLabError(
            f"{space.run_id} came as {space.method}, without its network: no other model can build on it; choose models "
            "that were trained here or came as a checkpoint or ONNX file"
        )
