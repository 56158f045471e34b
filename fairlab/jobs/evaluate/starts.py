"""Starting the jobs that embed data with a model and evaluate it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.errors import FairLabError
from fairlab.jobs.embed.landmarks import check_landmarks
from fairlab.jobs.evaluate.by_protocol import protocols_record
from fairlab.plan.plan import single
from fairlab.plan.records import check_lengths, cross_record
from fairlab.queue.launch import start_one
from fairlab.settings.placement import Placement
from fairlab.settings.study import Data, Evaluation, Protocols, Run
from fairlab.store.records import read_weights
from fairlab.store.runs import SPACES, RunRecord, read_run
from fairlab.workspace import Workspace


@dataclass(frozen=True)
class Judging:
    """How a model is judged: as the data set says, unless one of these is given."""

    settings: Evaluation | None = None
    gallery: str = ""
    """Another model's run id, which embeds the first image of each pair."""
    protocols: Protocols | Sequence[str] = ()


def evaluate(
    workspace: Workspace,
    run_id: str,
    dataset_id: str = "",
    how: Judging | None = None,
    placement: Placement | None = None,
) -> str:
    """Start the job that judges a model on a data set's pairs, embedding it first if need be; returns the job's run id.

    Any model, trained here or imported; the default data set is the one that it was trained on. With a gallery, another
    model's run id, that model embeds the first image of each pair and this one the second (cross-model verification);
    the numbers are then the job's own. With protocols, names or settings, the model is judged by these instead (and on the
    pairs if it was not yet); what is known already is not computed again. placement: where, default: as the workspace says. Raises
    FairLabError for a run that is no model, a data set without pairs, an unknown protocol, and a gallery whose embeddings have
    another length.
    """
    how = how or Judging()
    record, dataset = _model_and_data(workspace, run_id, dataset_id)
    judging = how.settings or record.config.evaluation or Evaluation()
    if how.protocols:
        if how.gallery:
            raise FairLabError(
                "against a gallery a model is evaluated on the data set's own pairs: leave the protocols out"
            )
        chosen = how.protocols if isinstance(how.protocols, Protocols) else Protocols(names=tuple(how.protocols))
        return start_one(workspace, protocols_record(workspace, record, dataset, judging, chosen), True, placement)
    if dataset.pairs.empty:
        raise FairLabError(how_to_evaluate(dataset, record.run_id))
    if how.gallery:
        enrolled, _ = _model_and_data(workspace, how.gallery, dataset.dataset_id)
        check_lengths(enrolled, record)
        return start_one(
            workspace, cross_record(workspace, enrolled, record, dataset.dataset_id, judging), True, placement
        )
    config = Run(role="evaluation", method="pairs", data=Data(dataset=dataset.dataset_id), evaluation=judging)
    title = f"{record.title} on {dataset.dataset_id}"
    return start_one(workspace, single(workspace, title, config, (run_id,)), True, placement)


def embed(workspace: Workspace, run_id: str, dataset_id: str, placement: Placement | None = None) -> str:
    """Start the job that embeds a data set with a model, trained here or imported; returns the job's run id.

    placement: where, default: as the workspace says.
    """
    record, dataset = _model_and_data(workspace, run_id, dataset_id)
    config = Run(role="embedding", method="embed", data=Data(dataset=dataset.dataset_id))
    title = f"Embeddings of {dataset.dataset_id} by {record.title}"
    return start_one(workspace, single(workspace, title, config, (run_id,)), True, placement)


def how_to_evaluate(dataset: Dataset, run_id: str) -> str:
    """How a model gets numbers on a data set, as a sentence with the command."""
    name = dataset.dataset_id
    if dataset.pairs.empty:
        return (
            f"data set {name} has no pairs to evaluate a model on: `fairlab data pairs {name}` draws some, then "
            f"`fairlab evaluate {run_id} {name}`; or `fairlab evaluate {run_id} {name} --protocol all_pairs` compares all "
            "its images"
        )
    return f"`fairlab evaluate {run_id} {name}` evaluates it"


def _model_and_data(workspace: Workspace, run_id: str, dataset_id: str) -> tuple[RunRecord, Dataset]:
    record = read_run(workspace, run_id)
    if record.role not in SPACES or record.method == "inspect":
        raise FairLabError(
            f"{run_id} is not a model: its role is {record.role}; `fairlab models list` lists the models"
        )
    if not (dataset_id or record.dataset):
        raise FairLabError(f"{run_id} was trained elsewhere: name the data set too")
    dataset = open_dataset(workspace.dataset(dataset_id or record.dataset))
    if (record.folder / "weights" / "model.json").exists():
        check_landmarks(record, read_weights(record.folder), dataset)
    return record, dataset
