"""Evaluations of models against a gallery that another model embedded."""

from __future__ import annotations

from collections.abc import Sequence

from fairlab.plan.records import METHOD
from fairlab.store.database import list_runs
from fairlab.store.results import judged_on
from fairlab.store.runs import RunRecord, read_run
from fairlab.workspace import Workspace


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
