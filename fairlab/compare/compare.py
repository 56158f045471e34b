"""A study as one table in the papers' layout: a row per model, a column per group, and what is beyond chance."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from fairlab.compare.model_rows import (
    ENDS,
    Model,
    about,
    against_galleries,
    by_title,
    common_pairs,
    compared,
    cost,
    difference,
    judged,
    numbers,
)
from fairlab.compare.published import published_beside, words
from fairlab.compare.repairs import repaired
from fairlab.compare.varied import with_varied
from fairlab.data.dataset import open_dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.seeds import SeededComparison
from fairlab.files import there
from fairlab.plan.records import METHOD, REPAIR
from fairlab.settings.study import Evaluation
from fairlab.store.database import list_runs
from fairlab.store.results import judged_on, lists_judged, manifests
from fairlab.store.runs import SPACES, RunRecord, read_run, state
from fairlab.store.studies import StudyInfo, read_study
from fairlab.workspace import Workspace


def models_of(workspace: Workspace, study: StudyInfo) -> list[RunRecord]:
    """The study's finished models, in the order of the plan."""
    found = []
    for run_id in study.run_ids:
        try:
            here = there(workspace.run(run_id) / "run.json")
            record = read_run(workspace, run_id) if here and state(workspace.run(run_id)).status == "done" else None
        except FairLabError:
            continue  # one that cannot be read is left out of every list, and named (storage.hidden)
        if record is not None and record.role in SPACES:
            found.append(record)
    return found


def imported(workspace: Workspace) -> list[RunRecord]:
    """The models that came from files one by one, oldest first; they belong to no study and stand beside each."""
    runs = list_runs(workspace)
    alone = (runs["study"] == "") & runs["role"].isin(SPACES) & (runs["method"] != "inspect")
    found = [read_run(workspace, name) for name in runs.loc[alone & (runs["status"] == "done"), "run_id"]]
    return [record for record in found if record.elsewhere]


def compare(
    workspace: Workspace,
    study_id: str,
    baseline: str | None = None,
    protocol: str = "test",
    dataset_id: str = "",
    seed: int | None = None,
) -> pd.DataFrame:
    """One row per model of a study, over its seeds, per imported one, and per repair of one of these, judged on a data set
    (default: the study's).

    Without a study ("") the imported models alone. seed: only the runs of this one. baseline: a title or the id of one of
    its runs. See compare_models for the columns, and with_varied for those of settings that the study varies.
    """
    study = read_study(workspace, study_id) if study_id else None
    runs = models_of(workspace, study) if study else []
    dataset_id = dataset_id or (default_dataset(workspace, study_id) if study else "")
    runs = [run for run in [*runs, *imported(workspace)] if dataset_id in judged_on(run.folder)]
    runs += [run for run in repaired(workspace, runs, dataset_id) if protocol in lists_judged(run.folder, dataset_id)]
    if not runs:
        return compared(()).build()
    models = by_title(runs)
    if baseline:
        chosen = find_baseline(models, baseline, dataset_id)
        baseline = (chosen.first if seed is None else chosen.runs.get(seed, chosen.first)).run_id
    if seed is not None:
        models = of_seed(models, seed)
    settings = study.config.evaluation if study else Evaluation()
    table = compare_models(workspace, models, dataset_id, settings, baseline, protocol)
    return with_varied(table, study) if study else table


def of_seed(models: Sequence[Model], seed: int) -> list[Model]:
    """The models with their run of this seed; those without one are left out, those from files stay."""
    known = sorted({number for model in models if not model.elsewhere for number in model.runs})
    if seed not in known:
        raise FairLabError(f"no model here was trained with seed {seed}; there are: {', '.join(map(str, known))}")
    return [
        model if model.elsewhere else Model(model.title, {seed: model.runs[seed]})
        for model in models
        if model.elsewhere or seed in model.runs
    ]


def default_dataset(workspace: Workspace, study_id: str) -> str:
    """The data set that a study's models were trained on, or, where they came from files, are evaluated on; "" while there
    is no model.
    """
    study = read_study(workspace, study_id)
    models = models_of(workspace, study)
    return (models[0].dataset or study.config.dataset) if models else ""


def compare_models(
    workspace: Workspace,
    models: Sequence[Model],
    dataset_id: str,
    settings: Evaluation,
    baseline: str | None = None,
    protocol: str = "test",
) -> pd.DataFrame:
    """One row per model, all judged on one data set. Accuracies, STD and differences in points (percent), intervals 95 %.

    Columns: run_id (of the lowest seed), run_ids and seeds (of all, comma-separated), runs (how many), model, role,
    method, backbone, accuracy:<group>, mean, std, ser, worst (each with _low and _high), std_fair_p95, ser_fair_p95,
    genuine_pairs, impostor_pairs, cpu_s (a run), total_cpu_s (a run with all its parents), all_cpu_s (all seeds' runs).
    Against the baseline (default: the student without KD): baseline (a run id), difference (_low, _high), p, paired_seeds.
    Against the gallery of another model, where such a run was made: cross (_low, _high), cross_gallery (its title),
    cross_seeds. Numbers of other people, where the file of published numbers has the same method, backbone and test set:
    published, published_source (texts). How seeds and people make the intervals: evaluation.seeds.
    """
    dataset = open_dataset(workspace.dataset(dataset_id))
    pairs = common_pairs([run for model in models for run in model.runs.values()], dataset, protocol)
    if pairs.empty:  # nothing that is paired, e.g. where everybody is compared
        return compared(()).build()
    comparison = SeededComparison(dataset.images, pairs, settings)
    found = {model.first.run_id: judged(comparison, model.runs, dataset, protocol) for model in models}
    against = find_baseline(models, baseline, dataset_id)
    galleries = against_galleries(workspace, models, dataset_id)
    printed = published_beside([model.first for model in models], dataset)
    genuine = int(pairs["genuine"].sum())
    rows = []
    for model in models:
        own = found[model.first.run_id]
        row = about(model) | numbers(comparison.summary(own))
        row |= {"genuine_pairs": genuine, "impostor_pairs": len(pairs) - genuine} | cost(workspace, model)
        row |= difference(comparison, model, own, against, found[against.first.run_id])
        crossing = galleries.get(model.first.run_id, {})
        if crossing:
            summary = comparison.summary(judged(comparison, crossing, dataset, protocol)).set_index("metric")
            row |= {f"cross{end}": 100 * summary.loc["mean_accuracy", of] for end, of in ENDS}
            row["cross_gallery"] = read_run(workspace, next(iter(crossing.values())).parents[0]).title
        row["cross_seeds"] = len(crossing)
        said = printed.get(model.first.run_id, [])
        if said:
            row["published"] = "; ".join(words(item, dataset.groups) for item in said)
            row["published_source"] = "; ".join(f"{item['paper']}, {item['source']}" for item in said)
        rows.append(row)
    return compared(comparison.names).build(rows)


def find_baseline(models: Sequence[Model], asked: str | None, dataset_id: str = "") -> Model:
    """The model of that title, or with a run of that id; by default the student without distillation, or the first."""
    if asked:
        for model in models:
            if asked == model.title or asked in {run.run_id for run in model.runs.values()}:
                return model
        where = f" on {dataset_id}" if dataset_id else ""
        known = ", ".join(model.title for model in models)
        raise FairLabError(f"{asked!r} is not a finished model with numbers{where}; choose one of: {known}")
    plain = [model for model in models if (model.first.role, model.first.method) == ("student", "classifier")]
    return plain[0] if plain else models[0]


def stamp(workspace: Workspace, study_id: str) -> str:
    """Changes whenever a result of the study, or of an imported model, changes; what caches of its table hang on."""
    names = [*(read_study(workspace, study_id).run_ids if study_id else ()), *(m.run_id for m in imported(workspace))]
    runs = list_runs(workspace)
    names += runs.loc[runs["method"].isin([METHOD, REPAIR]), "run_id"].tolist()
    paths = [path for name in names for path in manifests(workspace.run(name))]
    return "|".join(f"{path.parent}:{path.stat().st_mtime_ns}" for path in paths)
