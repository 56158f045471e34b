"""The evaluations of a study's models on further data sets."""

from __future__ import annotations

from collections.abc import Sequence

from fairlab.data.dataset import open_dataset
from fairlab.errors import FairLabError
from fairlab.files import MANIFEST, there
from fairlab.plan.plan import Builder
from fairlab.settings.base import nearest
from fairlab.settings.study import Data, Run, Study
from fairlab.store.runs import SPACES, read_run
from fairlab.workspace import Workspace

METHOD = "pairs"
"""Of evaluations on the pairs of a data set."""


def check_tested_on(study: Study, workspace: Workspace) -> None:
    """Raise FairLabError for a data set of tested_on that is not there, has no pairs, or is named twice."""
    if len(set(study.tested_on)) < len(study.tested_on):
        raise FairLabError("tested_on names one data set twice")
    for name in study.tested_on:
        folder = workspace.dataset(name)
        if not there(folder / MANIFEST):
            known = sorted(path.name for path in workspace.datasets_folder.glob("*") if there(path / MANIFEST))
            raise FairLabError(
                f"tested_on: there is no data set {name!r}{nearest(name, known)}; `fairlab data list` lists those that "
                "are, `fairlab data add` adds one"
            )
        if open_dataset(folder).pairs.empty:
            raise FairLabError(
                f"tested_on: data set {name} has no pairs to evaluate a model on; `fairlab data pairs {name}` draws some"
            )


def add_evaluations(builder: Builder, models: Sequence[str]) -> None:
    """Enter an evaluation of each model on each data set of tested_on, but for the one that it is evaluated on anyway."""
    study = builder.study
    for run_id in models:
        planned = builder.runs.get(run_id)
        record = planned.record if planned else read_run(builder.workspace, run_id)
        for name in study.tested_on:
            if record.role in SPACES and name != record.dataset:
                config = Run(role="evaluation", method=METHOD, data=Data(dataset=name), evaluation=study.evaluation)
                builder.add(f"{record.title} on {name}", config, (run_id,))
