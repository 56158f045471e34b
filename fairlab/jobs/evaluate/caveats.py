"""What must be said beside every number and picture of a data set: how its faces were aligned, what has no landmarks, what
could not be enrolled, and numbers of earlier data.
"""

from __future__ import annotations

from collections.abc import Sequence

from fairlab.data import enrolment, landmarks
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.errors import FairLabError
from fairlab.store.results import judged_on, results_facts
from fairlab.store.runs import RunRecord, read_run
from fairlab.workspace import Workspace


def of_data(data: Dataset) -> list[str]:
    """One sentence each; [] where there is nothing to say."""
    without, failed = data.info.get("without_landmarks"), data.info.get("failures_to_enrol")
    told = f"Data set {data.dataset_id}: {landmarks.sentence(without)}." if without else ""
    return [text for text in (data.marked, told, enrolment.sentence(failed or {})) if text]


def of_numbers(records: Sequence[RunRecord], data: Dataset) -> list[str]:
    """of_data, and the models whose numbers are of the data as they were before."""
    old = []
    for record in records:
        if data.dataset_id in judged_on(record.folder):
            try:
                made_with = results_facts(record.folder, data.dataset_id).get("data")
            except FairLabError:
                continue  # damaged numbers are named where they are read
            if made_with not in (None, data.fingerprint):
                old.append(record.title)
    if not old:
        return of_data(data)
    names = ", ".join(old[:4]) + (", ..." if len(old) > 4 else "")
    return [
        *of_data(data),
        f"Numbers of {names} come from an earlier state of data set {data.dataset_id} (another fingerprint): evaluate "
        f"again with `fairlab evaluate RUN {data.dataset_id}`.",
    ]


def of_runs(workspace: Workspace, run_ids: Sequence[str], dataset_id: str) -> list[str]:
    """of_numbers, by names; [] where the data set is gone."""
    try:
        data = open_dataset(workspace.dataset(dataset_id))
    except FairLabError:
        return []
    return of_numbers([read_run(workspace, name) for name in run_ids], data)
