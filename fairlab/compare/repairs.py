"""Repairs of models' scores: which there are, and what each method needs, for pages, command and Python."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from fairlab.compare.scored import scored
from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.fairness_report import groups_of
from fairlab.evaluation.operating import OperatingPoint
from fairlab.evaluation.paired import paired_report, with_scores
from fairlab.evaluation.repair.base import REPAIRS
from fairlab.evaluation.score_frames import same_pairs
from fairlab.plan.records import REPAIR
from fairlab.settings.study import Evaluation
from fairlab.store.database import list_runs
from fairlab.store.results import judged_on, results_facts
from fairlab.store.runs import RunRecord, read_run
from fairlab.tables import BOOL, TEXT, WHOLE, Table
from fairlab.workspace import Workspace

METHODS = Table(
    method=TEXT,
    title=TEXT,
    source=TEXT,
    needs=TEXT,
    group_label=TEXT,
    changes=TEXT,
    cohort_per_group=WHOLE,
    oracle=BOOL,
)
LABEL = {"": "none", "probe": "of the probe", "reference": "of the reference", "both": "of both"}
CHANGES = {"order": "order inside groups", "thresholds": "thresholds only"}
ONLY_THRESHOLDS = (
    "moves all scores of a group together, so numbers with a threshold for each group (accuracy, its STD and SER, EER, AUC) "
    "cannot change; those at one threshold for all can"
)
"""What is to be said of a repair that changes thresholds only (PP1)."""


def methods() -> pd.DataFrame:
    """A row per repair: METHODS. group_label: whose label it needs when it is used; cohort_per_group: people in its source."""
    rows = []
    for name in REPAIRS:
        facts = REPAIRS[name].facts
        rows.append(
            {
                "method": name,
                "title": facts.title,
                "source": facts.source,
                "needs": facts.needs,
                "group_label": LABEL[facts.group],
                "changes": CHANGES[facts.changes],
                "cohort_per_group": facts.cohort,
                "oracle": facts.oracle,
            }
        )
    return METHODS.build(
        sorted(rows, key=lambda row: (row["oracle"], not row["method"].startswith("m"), row["method"]))
    )


def repaired(workspace: Workspace, models: Sequence[RunRecord], dataset_id: str = "") -> list[RunRecord]:
    """Finished repairs of these models' scores, oldest first; with a data set only those on it."""
    runs = list_runs(workspace)
    runs = runs[(runs["role"] == "evaluation") & (runs["method"] == REPAIR) & (runs["status"] == "done")]
    names = {model.run_id for model in models}
    found = [read_run(workspace, name) for name in runs.sort_values("created_at")["run_id"]]
    return [
        record
        for record in found
        if record.parents[0] in names and (not dataset_id or dataset_id in judged_on(record.folder))
    ]


def after_minus_before(
    workspace: Workspace, record: RunRecord, dataset: Dataset, point: OperatingPoint, protocol: str = "test"
) -> pd.DataFrame:
    """How a repair's numbers differ from those before it: paired_report, the same pairs and the same redrawn people.

    Thresholds are set anew on the repaired scores, by the same rule as on the raw ones (L3). Raises FairLabError where the
    model before was not evaluated on these pairs.
    """
    before = read_run(workspace, record.parents[0])
    if dataset.dataset_id not in judged_on(before.folder):
        raise FairLabError(
            f"{before.title} was not evaluated on {dataset.dataset_id} before the repair; `fairlab evaluate {before.run_id} "
            f"{dataset.dataset_id}` does it"
        )
    asked = Evaluation.model_validate(results_facts(record.folder, dataset.dataset_id)["settings"])
    after, raw = (scored(run, dataset, protocol) for run in (record, before))
    drawn = groups_of(after, asked.bootstrap, asked.seed)
    return paired_report(drawn, with_scores(drawn, same_pairs(after, raw)), point)
