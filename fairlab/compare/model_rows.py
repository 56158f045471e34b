"""The parts of a comparison's row: a model with all its seeds, its numbers, its cost, and what it is held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fairlab.compare.galleries import crossed
from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.seeds import Judged, SeededComparison
from fairlab.store.results import judged_by, pairs_of, read_results
from fairlab.store.runs import RunRecord, read_run, read_status
from fairlab.tables import ALL_GROUPS, NUMBER, TEXT, WHOLE, Table
from fairlab.workspace import Workspace

ENDS = (("", "value"), ("_low", "low"), ("_high", "high"))
"""What is put behind a column's name, and the column of a summary that it comes from."""


@dataclass(frozen=True)
class Model:
    """The runs of one model by their seeds: the same settings, trained again. One that came from a file has one run."""

    title: str
    runs: Mapping[int, RunRecord]

    @property
    def first(self) -> RunRecord:
        """The run of the lowest seed."""
        return self.runs[min(self.runs)]

    @property
    def elsewhere(self) -> bool:
        """Trained elsewhere, so its seed is not known and it stands beside every seed."""
        return self.first.elsewhere


def by_title(runs: Sequence[RunRecord]) -> list[Model]:
    """Runs of one title, role and method are one model; a second run of the same seed begins another."""
    found: dict[tuple[str, str, str, int], dict[int, RunRecord]] = {}
    for run in runs:
        number = 0
        while run.seed in found.setdefault((run.title, run.role, run.method, number), {}):
            number += 1
        found[run.title, run.role, run.method, number][run.seed] = run
    return [Model(key[0], members) for key, members in found.items()]


def judged(
    comparison: SeededComparison, runs: Mapping[int, RunRecord], dataset: Dataset, protocol: str
) -> dict[int, Judged]:
    return {seed: comparison.judged(read_scores(run, dataset, protocol)) for seed, run in sorted(runs.items())}


def _ends(name: str) -> dict[str, str]:
    return {f"{name}{end}": NUMBER for end, _ in ENDS}


ABOUT = Table(run_id=TEXT, run_ids=TEXT, seeds=TEXT, runs=WHOLE, model=TEXT, role=TEXT, method=TEXT, backbone=TEXT)


def compared(groups: Iterable[str]) -> Table:
    """The table of compare.compare_models over data of these groups."""
    accuracies = {name: kind for group in groups for name, kind in _ends(f"accuracy:{group}").items()}
    overall = {end: kind for name in ("mean", "std", "ser", "worst") for end, kind in _ends(name).items()}
    return ABOUT.plus(
        **accuracies, **overall, std_fair_p95=NUMBER, ser_fair_p95=NUMBER, genuine_pairs=WHOLE, impostor_pairs=WHOLE,
        cpu_s=NUMBER, total_cpu_s=NUMBER, all_cpu_s=NUMBER, baseline=TEXT, **_ends("difference"), p=NUMBER,
        p_draws=NUMBER, paired_seeds=WHOLE, **_ends("cross"), cross_gallery=TEXT, cross_seeds=WHOLE, published=TEXT, published_source=TEXT,
    )  # fmt: skip


def about(model: Model) -> dict[str, Any]:
    first, backbone = model.first, model.first.config.backbone
    seeds = sorted(model.runs)
    return {
        "run_id": first.run_id,
        "run_ids": ", ".join(model.runs[seed].run_id for seed in seeds),
        "seeds": "" if model.elsewhere else ", ".join(map(str, seeds)),
        "runs": len(seeds),
        "model": model.title,
        "role": first.role,
        "method": first.method,
        "backbone": backbone.name if backbone else "",
    }


def numbers(summary: pd.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for item in summary[summary["metric"] == "accuracy"].to_dict("records"):
        row |= {f"accuracy:{item['group']}{end}": 100 * item[name] for end, name in ENDS}
    overall = summary[summary["group"] == ALL_GROUPS].set_index("metric")
    for name, metric, factor in (
        ("mean", "mean_accuracy", 100.0),
        ("std", "std_points", 1.0),
        ("ser", "ser", 1.0),
        ("worst", "worst_accuracy", 100.0),
    ):
        known = metric in overall.index
        row |= {f"{name}{end}": factor * overall.loc[metric, of] if known else np.nan for end, of in ENDS}
    for name in ("std", "ser"):
        metric = f"{'std_points' if name == 'std' else name}_fair_p95"
        row[f"{name}_fair_p95"] = overall.loc[metric, "value"] if metric in overall.index else np.nan
    return row


def cost(workspace: Workspace, model: Model) -> dict[str, float]:
    if model.elsewhere:  # what its training cost is not known
        return {"cpu_s": np.nan, "total_cpu_s": np.nan, "all_cpu_s": np.nan}
    each = [float(read_status(run.folder).get("train_s") or 0.0) for run in model.runs.values()]
    total = [_cost_with_parents(workspace, run) for run in model.runs.values()]
    return {"cpu_s": float(np.mean(each)), "total_cpu_s": float(np.mean(total)), "all_cpu_s": float(sum(each))}


def _cost_with_parents(workspace: Workspace, model: RunRecord) -> float:
    """CPU seconds of the run and of all that it builds on, each counted once; the data set is not counted."""
    seen: dict[str, float] = {}
    waiting = [model.run_id]
    while waiting:
        name = waiting.pop()
        folder = workspace.run(name)
        if name in seen:
            continue
        try:
            record = read_run(workspace, name)
            seen[name] = 0.0 if record.role == "dataset" else float(read_status(folder).get("train_s") or 0.0)
        except FairLabError:
            continue  # deleted, or it cannot be read and is named as such (storage.hidden)
        waiting += record.parents
    return sum(seen.values())


def difference(
    comparison: SeededComparison, model: Model, own: Mapping[int, Judged], against: Model, theirs: Mapping[int, Judged]
) -> dict[str, Any]:
    row: dict[str, Any] = {"baseline": against.first.run_id}
    if against.first.run_id == model.first.run_id:
        nothing = {f"difference{end}": np.nan for end in ("_low", "_high")}
        return row | {"difference": 0.0, **nothing, "p": np.nan, "p_draws": 0, "paired_seeds": len(own)}
    if model.elsewhere or against.elsewhere:  # beside every seed of the other
        found = comparison.paired([(mine, other) for mine in own.values() for other in theirs.values()])
    else:
        found = comparison.difference(own, theirs)
    row |= {f"difference{end}": 100 * found["difference" if of == "value" else of] for end, of in ENDS}
    return row | {"p": found["p"], "p_draws": found["draws"], "paired_seeds": found["seeds"]}


def against_galleries(
    workspace: Workspace, models: Sequence[Model], dataset_id: str
) -> dict[str, dict[int, RunRecord]]:
    """Per model (run id of its lowest seed) the evaluations of its runs against a gallery, by seed.

    A gallery of a model that the run learned from goes before others, and the earlier evaluation before the later; all
    seeds of a row have galleries of one title.
    """
    of_run = {run.run_id: (model, seed, run) for model in models for seed, run in model.runs.items()}
    found: dict[str, dict[str, dict[int, RunRecord]]] = {}
    taught: dict[tuple[str, str], bool] = {}
    for crossing in crossed(workspace, [run for _, _, run in of_run.values()], dataset_id):
        model, seed, run = of_run[crossing.parents[1]]
        name, gallery = model.first.run_id, read_run(workspace, crossing.parents[0])
        found.setdefault(name, {}).setdefault(gallery.title, {}).setdefault(seed, crossing)
        taught[name, gallery.title] = taught.get((name, gallery.title), False) or gallery.run_id in run.parents
    chosen = {}
    for name, by_gallery in found.items():
        best = max((taught[name, title], len(runs)) for title, runs in by_gallery.items())
        chosen[name] = next(runs for title, runs in by_gallery.items() if (taught[name, title], len(runs)) == best)
    return chosen


def read_scores(model: RunRecord, dataset: Dataset, protocol: str) -> np.ndarray:
    """The model's scores (P,) in the order of the protocol's pairs."""
    table = read_results(model.folder, dataset.dataset_id, "scores").set_index("pair_id")["score"]
    return table.loc[pairs_of(model.folder, dataset, protocol)["pair_id"]].to_numpy()


def common_pairs(models: Sequence[RunRecord], dataset: Dataset, protocol: str) -> pd.DataFrame:
    """The pairs (tables.PAIRS) of a protocol, the same for all models; empty where it compares everybody.

    Raises FairLabError when a model was not judged by it, or two were on different pairs.
    """
    first, *others = models
    pairs = pairs_of(first.folder, dataset, protocol)
    further = protocol in judged_by(first.folder, dataset.dataset_id)
    for other in others:
        if not further and protocol not in judged_by(other.folder, dataset.dataset_id):
            continue  # the data set's own list
        if not pairs_of(other.folder, dataset, protocol).equals(pairs):
            raise FairLabError(
                f"{first.run_id} and {other.run_id} were not evaluated on the same pairs by {protocol}; evaluate both "
                f"with the same settings, with hard impostors mined by the same model (--set protocols.mined_by=RUN)"
            )
    return pairs
