"""Starting the job that repairs a model's scores: what can be refused is refused before anything is queued."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.repair.base import REPAIRS, group_names, rows_of
from fairlab.jobs.evaluate.starts import how_to_evaluate
from fairlab.jobs.repair import leakage
from fairlab.jobs.repair.cohort import choose
from fairlab.jobs.repair.fitted import read_facts
from fairlab.jobs.repair.repairing import lists_of
from fairlab.plan.plan import single
from fairlab.plan.records import REPAIR
from fairlab.queue.launch import start_one
from fairlab.settings.placement import Placement
from fairlab.settings.repair import Repair
from fairlab.settings.study import Data, Evaluation, Run
from fairlab.store.results import judged_on, results_facts
from fairlab.store.runs import SPACES, RunRecord, read_run
from fairlab.workspace import Workspace


def repair(
    workspace: Workspace,
    run_id: str,
    settings: Repair,
    dataset_id: str = "",
    placement: Placement | None = None,
) -> str:
    """Start the job that repairs a model's scores on a data set's pairs; returns its run id, by which the result is known.

    The default data set is the one that the model was trained on. Raises FairLabError for a run that is no model, a data set
    without pairs, a cohort that does not exist or that shares people with the test or the training data, and a repair that
    needs embeddings of a model that came as a table of scores.
    """
    model = _model(workspace, run_id)
    test = _test(workspace, model, dataset_id)
    facts = REPAIRS[settings.name].facts
    if model.method == "scores" and facts.needs == "embeddings":
        raise FairLabError(
            f"{facts.title} needs embeddings, and {model.title} came as a table of scores: choose {of_scores()}"
        )
    if model.method == "scores" and not settings.cohort_scores:
        raise FairLabError(
            f"{model.title} came as a table of scores, which cannot embed a cohort: add a table of the cohort's scores too, and "
            "name its run (--set cohort_scores=RUN) and its data set (--cohort DATA)"
        )
    if settings.cohort_scores:
        read_run(workspace, settings.cohort_scores)
    cohort = choose(workspace, model, test, settings)
    lists = lists_of(test, cohort)
    pairs = pd.concat(lists.values(), ignore_index=True)
    leakage.check(workspace, model, test, pairs, cohort)
    if facts.group:
        rows = np.unique(pairs[["image_a", "image_b"]].to_numpy(np.int64))
        names = np.array(group_names(cohort.people["group"].astype(str).to_numpy()))
        rows_of(names, test.images["group"].astype(str).to_numpy()[rows])  # a group that the cohort lacks is named
    config = Run(
        role="evaluation",
        method=REPAIR,
        seed=model.seed,
        data=Data(dataset=test.dataset_id),
        repair=settings.model_copy(update={"cohort": cohort.dataset.dataset_id}),
        evaluation=_as_before(model, test),
    )
    title = f"{model.title} · {facts.title}"
    return start_one(workspace, single(workspace, title, config, (model.run_id,)), placement=placement)


def apply_to_data(workspace: Workspace, run_id: str, dataset_id: str, placement: Placement | None = None) -> str:
    """Start the job that uses a repair, as it was fitted, on the model's scores of another data set; returns its run id.

    Raises FairLabError for a run that is no finished repair, one that was fitted on the test's own images, and as repair().
    """
    earlier = read_run(workspace, run_id)
    if earlier.method != REPAIR or earlier.config.repair is None or not read_facts(earlier.folder):
        raise FairLabError(f"{run_id} is not a finished repair; `fairlab repair MODEL --method M3` makes one")
    settings = earlier.config.repair
    if settings.name in OF_THE_TEST:
        raise FairLabError(
            f"{REPAIRS[settings.name].facts.title} is fitted on the test's own images: repair the model on {dataset_id} again"
        )
    model = _model(workspace, earlier.parents[0])
    test = _test(workspace, model, dataset_id)
    cohort = choose(workspace, model, test, settings)
    lists = lists_of(test, cohort)
    leakage.check(workspace, model, test, pd.concat(lists.values(), ignore_index=True), cohort)
    config = earlier.config.model_copy(update={"data": Data(dataset=test.dataset_id)})
    title = f"{earlier.title}, as fitted"
    return start_one(workspace, single(workspace, title, config, (model.run_id, run_id)), placement=placement)


def _as_before(model: RunRecord, test: Dataset) -> Evaluation:
    """The settings by which the model was evaluated on these pairs, so that before and after redraw the same people."""
    if test.dataset_id in judged_on(model.folder):
        return Evaluation.model_validate(results_facts(model.folder, test.dataset_id)["settings"])
    return model.config.evaluation or Evaluation()


OF_THE_TEST = ("m1_2", "m2_2")
"""Repairs whose moments are of the test's images, which another test does not have."""


def of_scores() -> str:
    """The repairs that need no embeddings, as a list in a sentence."""
    found = [REPAIRS[name].facts for name in REPAIRS if REPAIRS[name].facts.needs == "scores"]
    return ", ".join(facts.title for facts in sorted(found, key=lambda facts: facts.oracle))


def _model(workspace: Workspace, run_id: str) -> RunRecord:
    record = read_run(workspace, run_id)
    if record.role not in SPACES or record.method == "inspect":
        raise FairLabError(
            f"{run_id} is not a model: its role is {record.role}; `fairlab models list` lists the models"
        )
    return record


def _test(workspace: Workspace, model: RunRecord, dataset_id: str) -> Dataset:
    if not (dataset_id or model.dataset):
        raise FairLabError(f"{model.run_id} was trained elsewhere: name the data set too")
    test = open_dataset(workspace.dataset(dataset_id or model.dataset))
    if test.pairs.empty:
        raise FairLabError(how_to_evaluate(test, model.run_id))
    return test
