"""All models of a workspace as one table: trained here or brought in from a file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from fairlab.errors import FairLabError
from fairlab.store.database import list_runs
from fairlab.store.embeddings import embedded_sets, has_embeddings, open_embeddings
from fairlab.store.records import read_weights
from fairlab.store.results import judged_on
from fairlab.store.runs import SPACES
from fairlab.tables import MAYBE_WHOLE, TEXT, WHOLE, Table
from fairlab.workspace import Workspace

MODELS = Table(
    run_id=TEXT,
    title=TEXT,
    role=TEXT,
    network=TEXT,
    embedding_dim=MAYBE_WHOLE,
    image_px=MAYBE_WHOLE,
    trained_parameters=MAYBE_WHOLE,
    frozen_parameters=MAYBE_WHOLE,
    flops=MAYBE_WHOLE,
    seed=WHOLE,
    trained_on=TEXT,
    embedded=TEXT,
    judged_on=TEXT,
)


def _dim(folder: Path, dataset_id: str) -> int | None:
    """Length of the stored embeddings of a model without weights."""
    if not has_embeddings(folder, dataset_id, "plain"):
        return None
    return int(open_embeddings(folder, dataset_id, "plain").vectors.shape[1])


def list_models(workspace: Workspace) -> pd.DataFrame:
    """A row per finished model, newest first: MODELS. embedded, judged_on: data sets, separated by commas.

    trained_on is the data set, or the file that the model came from; what a model's facts do not say is None.
    trained_parameters and frozen_parameters: numbers that its training changed, or left as drawn or inherited; of a file, all
    its numbers are trained_parameters. flops: of one forward pass.
    """
    runs = list_runs(workspace)
    runs = runs[runs["role"].isin(SPACES) & (runs["status"] == "done") & (runs["method"] != "inspect")]
    rows = []
    for run in runs.iloc[::-1].itertuples():
        folder = workspace.run(run.run_id)
        try:
            facts = read_weights(folder) if (folder / "weights" / "model.json").exists() else {}
        except FairLabError:
            facts = {}  # `fairlab doctor --verify` says so
        settings = facts.get("settings", {})
        rows.append(
            {
                "run_id": run.run_id,
                "title": run.title,
                "role": run.role,
                "network": facts.get("family") or settings.get("name") or run.method,
                "embedding_dim": facts.get("embedding_dim")
                or settings.get("embedding_dim")
                or _dim(folder, run.dataset),
                "image_px": facts.get("image_px"),
                "trained_parameters": facts.get("trained_parameters", facts.get("parameters")),
                "frozen_parameters": facts.get("frozen_parameters"),
                "flops": facts.get("flops"),
                "seed": run.seed,
                "trained_on": facts.get("file") or run.dataset,
                "embedded": ", ".join(embedded_sets(folder)),
                "judged_on": ", ".join(judged_on(folder)),
            }
        )
    return MODELS.build(rows)
