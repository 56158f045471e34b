"""What has to be done before there are numbers, as a sentence with the command; pages have a button for each."""

from __future__ import annotations

from fairlab.compare.compare import default_dataset, imported, models_of
from fairlab.data.dataset import open_dataset
from fairlab.errors import FairLabError
from fairlab.jobs.evaluate.starts import how_to_evaluate
from fairlab.store.studies import read_study
from fairlab.workspace import Workspace


def without_numbers(workspace: Workspace, study_id: str, dataset_id: str = "", protocol: str = "test") -> str:
    """Why a study ("": the models added from files) has nothing to compare by a protocol, and what to do about it."""
    models = models_of(workspace, read_study(workspace, study_id)) if study_id else imported(workspace)
    if not models:
        return (
            f"{study_id}: none of its models is finished yet; `fairlab runs list` shows their progress"
            if study_id
            else "no model was added from a file yet; `fairlab models add FILE` adds one"
        )
    name = study_id or "models added from files"
    done = f"{name}: {'1 model is' if len(models) == 1 else f'{len(models)} models are'} done, and none has numbers"
    try:
        usual = default_dataset(workspace, study_id) if study_id else models[-1].dataset
        dataset = open_dataset(workspace.dataset(dataset_id or usual))
    except FairLabError as error:
        return f"{done}: {error}"
    lists = list(dict.fromkeys(dataset.pairs["protocol"]))
    if lists and protocol not in lists:
        return (
            f"{done} by {protocol!r} on {dataset.dataset_id}, which has the pair lists {', '.join(lists)}; to "
            f"evaluate by another protocol, run `fairlab evaluate RUN {dataset.dataset_id} --protocol NAME`"
        )
    return f"{done} on {dataset.dataset_id}: {how_to_evaluate(dataset, models[-1].run_id)}"
