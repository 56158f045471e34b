"""The job that repairs a model's scores on a data set's pairs, and judges the repaired ones as it would a model's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.repair.base import Cohort, Fitted, Images, Repair, Scored
from fairlab.evaluation.scores import pair_scores
from fairlab.jobs.embed import spaces
from fairlab.jobs.evaluate import assess, provenance
from fairlab.jobs.evaluate.elsewhere import check_pairs
from fairlab.jobs.job import Job
from fairlab.jobs.repair import leakage
from fairlab.jobs.repair.cohort import VALIDATION, Chosen, choose
from fairlab.jobs.repair.fitted import made, read_facts, read_fitted, write_fitted
from fairlab.plan.records import WITHOUT_NETWORK
from fairlab.store.results import read_results
from fairlab.store.runs import RunRecord, read_run


@dataclass(frozen=True)
class Looked:
    """How a model scores pairs of a data set: by its vectors (N, D) of image ids (N,), or by scores that came as a table."""

    dataset: Dataset
    vectors: np.ndarray | None
    ids: np.ndarray
    scores: pd.Series | None = None

    def scored(self, pairs: pd.DataFrame, labelled: bool) -> Scored:
        """These pairs with their scores; the reference is a pair's first image, the probe its second."""
        groups = self.dataset.images["group"].to_numpy(dtype=str)
        first, second = (pairs[side].to_numpy(np.int64) for side in ("image_a", "image_b"))
        common: dict[str, Any] = {
            "probe_groups": groups[second],
            "reference_groups": groups[first],
            "genuine": pairs["genuine"].to_numpy(bool) if labelled else None,
        }
        if self.vectors is None:
            assert self.scores is not None
            return Scored(self.scores.loc[pairs["pair_id"]].to_numpy(np.float64), **common)
        scores = pair_scores(self.vectors, self.ids, pairs)
        used = np.unique(np.concatenate([first, second]))
        images = self.images(used)
        places = [np.searchsorted(used, side) for side in (second, first)]
        return Scored(scores, **common, probe=places[0], reference=places[1], images=images)

    def images(self, rows: np.ndarray) -> Images:
        """The embeddings of these images. Raises FairLabError where there is none."""
        assert self.vectors is not None
        place = np.minimum(np.searchsorted(self.ids, rows), max(len(self.ids) - 1, 0))
        missing = rows[self.ids[place] != rows] if len(self.ids) else rows
        if len(missing):
            raise FairLabError(f"image {missing[0]} of data set {self.dataset.dataset_id} has no embedding")
        table = self.dataset.images.iloc[rows]
        return Images(
            np.asarray(self.vectors[place]), table["group"].to_numpy(dtype=str), table["identity"].to_numpy(dtype=str)
        )


def repair(job: Job) -> dict[str, Any]:
    """Choose and check the cohort, fit the method or take another run's fit, and judge the new scores.

    The processes of the job call this together; embedding is shared, the leader does the rest. Raises FairLabError for a
    cohort that shares people with the test or the training data, and for one that the method cannot be fitted on.
    """
    record, test, settings = job.record, job.dataset, job.record.config.repair
    assert settings is not None
    check_pairs(test)
    model, *earlier = (read_run(job.workspace, name) for name in record.parents)
    cohort = choose(job.workspace, model, test, settings)
    lists = lists_of(test, cohort)
    every = pd.concat(lists.values(), ignore_index=True)
    checks = leakage.check(job.workspace, model, test, every, cohort)
    method = made(settings)
    embeds = method.facts.needs == "embeddings"
    looked = _look(job.between(0, 0.45), model, test, embeds)
    scorer = read_run(job.workspace, settings.cohort_scores) if settings.cohort_scores else model
    known = None if earlier else _look(job.between(0.45, 0.8), scorer, cohort.dataset, embeds)
    if not job.world.leads:
        return {}
    job.progress.between(0.8, 1.0, "repairing", "runs")
    if earlier:
        fitted, about = read_fitted(earlier[0].folder), read_facts(earlier[0].folder)
    else:
        assert known is not None
        fitted = method.fit(cohort_of(known, cohort, embeds), looked.scored(every, labelled=False))
        about = facts_of(cohort, fitted)
    about |= {"title": method.facts.title, "model": model.run_id, "checks": checks}
    write_fitted(record.folder, fitted, about)
    found = assess.judge(
        record,
        test,
        assess.Scoring(
            lambda pairs: applied(method, fitted, looked.scored(pairs, labelled=False)),
            flip="repaired",
            lists=tuple(lists),
        ),
        record.config.evaluation,
        repair={"method": settings.name, "model": model.run_id, "cohort": about["cohort"]},
        **_of_vectors(model, test, looked),
    )
    return {**found, "repaired": model.run_id, "cohort": about["cohort"]}


def _of_vectors(model: RunRecord, test: Dataset, looked: Looked) -> dict[str, Any]:
    """The embeddings that the scores before were made of: the model's, named so that nobody looks for them here."""
    if looked.vectors is None:
        return {}
    found = provenance.of_vectors(model, test.dataset_id)
    return {"embeddings": {"model": found["embeddings"]}, "preprocessing": {"model": found["preprocessing"]}}


def lists_of(test: Dataset, cohort: Chosen) -> dict[str, pd.DataFrame]:
    """The pair lists that are judged: not the validation pairs, on which settings and cohorts are chosen.

    Raises FairLabError for a list that only people of the cohort's part are in, and where no list is left.
    """
    names = [str(name) for name in dict.fromkeys(test.pairs["protocol"]) if name != VALIDATION]
    lists = {name: test.pairs_of(name) for name in names}
    if not lists:
        raise FairLabError(f"data set {test.dataset_id} has validation pairs only; a repair is judged on other people")
    if cohort.dataset.dataset_id == test.dataset_id:
        people = set(test.images["identity"].iloc[cohort.part].astype(str))
        whose = test.images["identity"].astype(str).to_numpy()
        for name, pairs in lists.items():
            if people.issuperset(whose[np.unique(pairs[["image_a", "image_b"]].to_numpy(np.int64))]):
                raise FairLabError(
                    f"the {name} pairs of data set {test.dataset_id} are of people of the cohort ({cohort.source}); choose a "
                    "cohort of other people"
                )
    return lists


def _look(job: Job, model: RunRecord, dataset: Dataset, embeds: bool) -> Looked:
    """A model's embeddings of a data set, made where that is still to be done; of a table of scores, its scores."""
    if model.method == "scores":
        if embeds:
            raise FairLabError(
                f"{model.title} came as a table of scores, and this repair needs embeddings: choose M3, M4, M5 or one of the "
                "oracles"
            )
        if model.dataset != dataset.dataset_id:
            raise FairLabError(
                f"{model.title} came as a table of scores of {model.dataset} and has none of {dataset.dataset_id}: name the run "
                "that holds the cohort's scores (cohort_scores)"
            )
        table = read_results(model.folder, dataset.dataset_id, "scores").set_index("pair_id")["score"]
        return Looked(dataset, None, np.empty(0, np.int64), table)
    if model.method not in WITHOUT_NETWORK:
        spaces.embed_elsewhere(job.on(dataset), model)
    elif not spaces.embedded(model, dataset):
        raise FairLabError(
            f"{model.title} came as {model.method}, without its network: it has no embeddings of {dataset.dataset_id}"
        )
    if not job.world.leads:
        return Looked(dataset, None, np.empty(0, np.int64))
    vectors, ids, _ = assess.judged_vectors(model, dataset)
    return Looked(dataset, vectors, ids)


def cohort_of(known: Looked, cohort: Chosen, embeds: bool) -> Cohort:
    """The cohort as the formulas take it. Raises FairLabError without pairs where there are no embeddings to do without."""
    if cohort.pairs.empty and not embeds:
        raise FairLabError(
            f"the cohort ({cohort.source}) has no scored pairs, which this repair is fitted on; `fairlab data pairs "
            f"{cohort.dataset.dataset_id}` draws some"
        )
    return Cohort(known.scored(cohort.pairs, labelled=True), known.images(cohort.images) if embeds else None)


def applied(method: Repair, fitted: Fitted, test: Scored) -> np.ndarray:
    """The repaired scores (P,). Raises FairLabError for one that is no number."""
    scores = method.apply(fitted, test)
    if bad := np.flatnonzero(~np.isfinite(scores)).tolist():
        raise FairLabError(f"the repaired score of pair {bad[0]} is {scores[bad[0]]}, not a number")
    return scores


def facts_of(cohort: Chosen, fitted: Fitted) -> dict[str, Any]:
    """What is kept and shown of a cohort."""
    people = cohort.people["group"].astype(str).value_counts(sort=False)
    genuine = int(cohort.pairs["genuine"].sum())
    return {
        "cohort": cohort.source,
        "cohort_dataset": cohort.dataset.dataset_id,
        "cohort_fingerprint": cohort.dataset.fingerprint,
        "people": {str(name): int(count) for name, count in people.items()},
        "images": len(cohort.images),
        "genuine_pairs": genuine,
        "impostor_pairs": len(cohort.pairs) - genuine,
    }
