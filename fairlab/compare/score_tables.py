"""Models' scores on a pair list, written as tables that other tools read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fairlab.compare.model_rows import common_pairs, read_scores
from fairlab.data.dataset import open_dataset
from fairlab.data.readers.scores.tables import write_bfw, write_bob
from fairlab.errors import FairLabError
from fairlab.files import not_there
from fairlab.store.runs import read_run
from fairlab.workspace import Workspace


def export_scores(
    workspace: Workspace,
    run_ids: Sequence[str],
    dataset_id: str,
    path: Path,
    kind: str = "bob",
    protocol: str = "test",
    overwrite: bool = False,
) -> None:
    """Write models' scores on a pair list as a table that other tools read: "bob" (one model) or "bfw" (any number).

    Raises FairLabError when a model was not judged there, Refused when the file is there and `overwrite` is not said.
    """
    not_there(path, overwrite)
    dataset = open_dataset(workspace.dataset(dataset_id))
    models = [read_run(workspace, run_id) for run_id in run_ids]
    pairs = common_pairs(models, dataset, protocol)
    if pairs.empty:
        raise FairLabError(f"data set {dataset_id} has no {protocol} pairs")
    names = [model.title for model in models]
    names = names if len(set(names)) == len(names) else list(run_ids)  # several seeds of one title
    scores = {name: read_scores(model, dataset, protocol) for name, model in zip(names, models, strict=True)}
    if kind == "bfw":
        write_bfw(path, dataset.images, pairs, scores)
    elif kind == "bob" and len(scores) == 1:
        write_bob(path, dataset.images, pairs, scores[names[0]], dataset.attribute)
    else:
        raise FairLabError("say bfw, or bob with one model: bob's table holds one score a row")
