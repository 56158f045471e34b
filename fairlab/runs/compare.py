"""A study as one table in the papers' layout: a row per model, a column per group, and what is beyond chance."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fairlab.config import Evaluation, Study, parse
from fairlab.data.base import Dataset, open_dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.report import PairedComparison
from fairlab.files import read_json
from fairlab.store.database import list_runs
from fairlab.store.database import metrics as stored_metrics
from fairlab.store.results import judged_on, read_results
from fairlab.store.runs import SPACES, RunRecord, read_run, read_status, state
from fairlab.tables import ALL_GROUPS
from fairlab.workspace import Workspace


@dataclass(frozen=True)
class StudyInfo:
    """A study folder's content."""

    study_id: str
    title: str
    preset: str
    created_at: str
    run_ids: tuple[str, ...]
    config: Study


def read_study(workspace: Workspace, study_id: str) -> StudyInfo:
    """A study by name. Raises FairLabError when there is none."""
    path = workspace.study(study_id) / "study.json"
    if not path.exists():
        known = (
            ", ".join(sorted(item.parent.name for item in workspace.studies_folder.glob("*/study.json"))) or "none yet"
        )
        raise FairLabError(f"there is no study {study_id!r} in {workspace.home}; there are: {known}")
    raw = read_json(path)
    return StudyInfo(
        raw["study_id"],
        raw["title"],
        raw["preset"],
        raw["created_at"],
        tuple(raw["run_ids"]),
        parse(Study, raw["config"], str(path)),
    )


def models_of(workspace: Workspace, study: StudyInfo) -> list[RunRecord]:
    """The study's finished models, in the order of the plan."""
    found = []
    for run_id in study.run_ids:
        folder = workspace.run(run_id)
        if (folder / "run.json").exists() and state(folder).status == "done":
            record = read_run(workspace, run_id)
            if record.role in SPACES:
                found.append(record)
    return found


def imported(workspace: Workspace) -> list[RunRecord]:
    """The models that came from files, oldest first; they belong to no study and stand beside each."""
    runs = list_runs(workspace)
    found = runs[(runs["role"] == "model") & (runs["method"] != "inspect") & (runs["status"] == "done")]
    return [read_run(workspace, name) for name in found["run_id"]]


def compare(
    workspace: Workspace,
    study_id: str,
    baseline: str | None = None,
    protocol: str = "test",
    dataset_id: str = "",
) -> pd.DataFrame:
    """One row per finished model of a study, and per imported one, that was judged on a data set (default: the study's).

    Without a study ("") the imported models alone. See compare_models for the columns.
    """
    study = read_study(workspace, study_id) if study_id else None
    models = models_of(workspace, study) if study else []
    dataset_id = dataset_id or (models[0].dataset if models else "")
    models = [model for model in [*models, *imported(workspace)] if dataset_id in judged_on(model.folder)]
    if not models:
        return pd.DataFrame()
    settings = study.config.evaluation if study else Evaluation()
    return compare_models(workspace, models, dataset_id, settings, baseline, protocol)


def compare_models(
    workspace: Workspace,
    models: list[RunRecord],
    dataset_id: str,
    settings: Evaluation,
    baseline: str | None = None,
    protocol: str = "test",
) -> pd.DataFrame:
    """One row per model, all judged on one data set. Accuracies, STD and gap in points (percent), intervals 95 %.

    Columns: run_id, model, role, seed, accuracy:<group> (+ _low, _high), mean, mean_low, mean_high, std, std_low,
    std_high, std_fair_p95, ser, ser_low, ser_high, ser_fair_p95, worst, genuine_pairs, impostor_pairs, cpu_s (this run), total_cpu_s
    (with all its parents), and against the baseline of the same seed (default: the student without KD): difference,
    difference_low, difference_high, p. A paired comparison: same pairs, same resampled identities.
    """
    table = stored_metrics(workspace, [model.run_id for model in models], dataset_id)
    table = table[table["protocol"] == protocol]
    rows = [_row(workspace, model, table[table["run_id"] == model.run_id]) for model in models]
    dataset = open_dataset(workspace.dataset(dataset_id))
    comparison = PairedComparison(dataset.images, dataset.pairs_of(protocol), settings)
    _differences(dataset, comparison, models, rows, baseline, protocol)
    return pd.DataFrame(rows)


def _row(workspace: Workspace, model: RunRecord, metrics: pd.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = {"run_id": model.run_id, "model": model.title, "role": model.role, "seed": model.seed}
    for _, item in metrics[(metrics["metric"] == "accuracy") & (metrics["group"] != ALL_GROUPS)].iterrows():
        for suffix, column in (("", "value"), ("_low", "low"), ("_high", "high")):
            row[f"accuracy:{item['group']}{suffix}"] = 100 * item[column]
    overall = metrics[metrics["group"] == ALL_GROUPS].set_index("metric")
    names = {
        "mean": ("mean_accuracy", 100.0),
        "std": ("std_points", 1.0),
        "ser": ("ser", 1.0),
        "worst": ("worst_accuracy", 100.0),
        "std_fair_p95": ("std_points_fair_p95", 1.0),
        "ser_fair_p95": ("ser_fair_p95", 1.0),
    }
    for name, (metric, factor) in names.items():
        found = overall.loc[[metric]].iloc[0] if metric in overall.index else None
        row[name] = factor * found["value"] if found is not None else np.nan
        if name in ("mean", "std", "ser"):
            row[f"{name}_low"] = factor * found["low"] if found is not None else np.nan
            row[f"{name}_high"] = factor * found["high"] if found is not None else np.nan
    groups = metrics[(metrics["metric"] == "accuracy") & (metrics["group"] != ALL_GROUPS)]
    row["genuine_pairs"], row["impostor_pairs"] = (
        int(groups["genuine_pairs"].sum()),
        int(groups["impostor_pairs"].sum()),
    )
    elsewhere = model.role == "model"  # what its training cost is not known
    row["cpu_s"] = np.nan if elsewhere else float(read_status(model.folder).get("train_s") or 0.0)
    row["total_cpu_s"] = np.nan if elsewhere else _cost_with_parents(workspace, model)
    return row


def _cost_with_parents(workspace: Workspace, model: RunRecord) -> float:
    """CPU seconds of the run and of all that it builds on, each counted once; the data set is not counted."""
    seen: dict[str, float] = {}
    waiting = [model.run_id]
    while waiting:
        name = waiting.pop()
        folder = workspace.run(name)
        if name in seen or not (folder / "run.json").exists():
            continue
        record = read_run(workspace, name)
        seen[name] = 0.0 if record.role == "dataset" else float(read_status(folder).get("train_s") or 0.0)
        waiting += record.parents
    return sum(seen.values())


def default_baseline(models: list[RunRecord]) -> str | None:
    """The student without distillation, or the first model."""
    plain = [model.run_id for model in models if model.role == "student" and model.method == "classifier"]
    return plain[0] if plain else models[0].run_id if models else None


def _differences(
    dataset: Dataset,
    comparison: PairedComparison,
    models: list[RunRecord],
    rows: list[dict[str, Any]],
    baseline: str | None,
    protocol: str,
) -> None:
    chosen = baseline or default_baseline(models)
    by_id = {model.run_id: model for model in models}
    if chosen not in by_id:
        raise FairLabError(
            f"{chosen!r} is not a finished model with numbers on {dataset.dataset_id}; choose one of: {', '.join(by_id)}"
        )
    title = by_id[chosen].title
    scores = {model.run_id: read_scores(model, dataset, protocol) for model in models}
    for model, row in zip(models, rows, strict=True):
        twins = [other.run_id for other in models if other.title == title and other.seed == model.seed]
        against = twins[0] if twins else chosen
        row["baseline"] = against
        if against == model.run_id:
            row |= {"difference": 0.0, "difference_low": np.nan, "difference_high": np.nan, "p": np.nan}
            continue
        difference = comparison.difference(scores[model.run_id], scores[against])
        mean = difference[difference["group"] == ALL_GROUPS].iloc[0]
        row |= {
            "difference": 100 * mean["difference"],
            "difference_low": 100 * mean["low"],
            "difference_high": 100 * mean["high"],
            "p": mean["p"],
        }


def read_scores(model: RunRecord, dataset: Dataset, protocol: str) -> np.ndarray:
    """The model's scores (P,) in the order of the protocol's pairs."""
    table = read_results(model.folder, dataset.dataset_id, "scores").set_index("pair_id")["score"]
    return table.loc[dataset.pairs_of(protocol)["pair_id"]].to_numpy()


def studies(workspace: Workspace) -> pd.DataFrame:
    """All studies, newest first: study_id, title, preset, created_at, runs, done."""
    rows = []
    for path in workspace.studies_folder.glob("*/study.json"):
        raw = json.loads(path.read_text(encoding="utf-8"))
        done = sum(
            state(workspace.run(name)).status == "done"
            for name in raw["run_ids"]
            if (workspace.run(name) / "run.json").exists()
        )
        rows.append(
            {name: raw[name] for name in ("study_id", "title", "preset", "created_at")}
            | {"runs": len(raw["run_ids"]), "done": done}
        )
    columns = ["study_id", "title", "preset", "created_at", "runs", "done"]
    return pd.DataFrame(rows, columns=columns).sort_values("created_at", ascending=False, ignore_index=True)


def stamp(workspace: Workspace, study_id: str) -> str:
    """Changes whenever a result of the study, or of an imported model, changes; what caches of its table hang on."""
    names = [*(read_study(workspace, study_id).run_ids if study_id else ()), *(m.run_id for m in imported(workspace))]
    paths = [path for name in names for path in sorted(workspace.run(name).glob("results/*/manifest.json"))]
    return "|".join(f"{path.parent}:{path.stat().st_mtime_ns}" for path in paths)
