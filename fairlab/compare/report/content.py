"""What a report says: the fields that ISO/IEC 19795-10 asks of a test of differences between groups, as far as they are known.

A section is a function of a Subject that returns blocks; SECTIONS has them in their order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from fairlab import __version__
from fairlab.compare import paired_runs
from fairlab.compare.pairs import Where, pairs_behind
from fairlab.compare.report.document import Block, Chart, Commands, Faces, Grid, Report, Section, Sentences
from fairlab.compare.scored import scored
from fairlab.data.dataset import Dataset
from fairlab.data.images import thumbnail_png
from fairlab.data.inspect.verdicts import sentence, verdict
from fairlab.errors import FairLabError
from fairlab.evaluation.error_pairs import Wanted
from fairlab.evaluation.fairness_report import FairnessReport, groups_of, metric_p, report_on
from fairlab.evaluation.metrics import FAIRNESS_METRICS
from fairlab.evaluation.operating import OperatingPoint
from fairlab.evaluation.paired import power_sentences
from fairlab.jobs.evaluate.caveats import of_numbers
from fairlab.jobs.repair.fitted import read_facts
from fairlab.plan.records import REPAIR
from fairlab.plots.fairness import rate_figure
from fairlab.plots.verification import roc_figure
from fairlab.settings.study import Evaluation
from fairlab.store.records import read_weights
from fairlab.store.results import lists_judged, pairs_of, read_results, results_facts
from fairlab.store.runs import RunRecord, read_run, read_status
from fairlab.tables import texts
from fairlab.workspace import Workspace, now

AT_ONE_PERCENT = OperatingPoint("pooled", 0.01)
ROUNDING = 1e-12
"""Less than this is a sum's last digit, not a difference."""
FACES, FACE_PX = 12, 96
"""Pairs of faces of each kind of error at most, and their size."""
ABOUT = (
    "This report follows the fields of ISO/IEC 19795-10 for differences between demographic groups, as far as FairLab knows "
    "them. Intervals are 95 %, over people. n/a means that these pairs cannot measure a number."
)


@dataclass(frozen=True)
class Subject:
    """What is reported on: runs with numbers on one list of pairs of a data set, at one operating point.

    faces: with the pairs of faces that are decided most wrongly.
    """

    workspace: Workspace
    runs: tuple[RunRecord, ...]
    data: Dataset
    protocol: str = "test"
    point: OperatingPoint = AT_ONE_PERCENT
    faces: bool = False

    @cached_property
    def found(self) -> dict[str, FairnessReport]:
        """By run id: all numbers at the operating point."""
        reports = {}
        for run in self.runs:
            asked = Evaluation.model_validate(results_facts(run.folder, self.data.dataset_id)["settings"])
            pairs = scored(run, self.data, self.protocol)
            drawn = groups_of(pairs, asked.bootstrap, asked.seed)
            reports[run.run_id] = report_on(pairs, drawn, self.point, asked.bootstrap, asked.seed)
        return reports

    @property
    def groups(self) -> list[str]:
        """The groups in the data set's order."""
        there = {name for report in self.found.values() for name in report.groups["group"]}
        return [name for name in self.data.groups if name in there]


def report_of(subject: Subject) -> Report:
    """The report. Raises FairLabError without runs, and for a run without numbers on these pairs."""
    runs, name = subject.runs, subject.data.dataset_id
    if not runs:
        raise FairLabError("a report needs at least one run with numbers")
    for run in runs:
        if subject.protocol not in lists_judged(run.folder, name):  # raises for a run without any numbers
            raise FairLabError(f"{run.run_id} was not evaluated on the {subject.protocol} pairs of {name}")
    title = f"{runs[0].title}{f' and {len(runs) - 1} more' if len(runs) > 1 else ''} on {name}"
    sections = tuple(Section(heading, tuple(make(subject))) for heading, make in SECTIONS.items())
    return Report(title, sections, _facts(subject))


def _facts(subject: Subject) -> dict[str, Any]:
    return {
        "fairlab": __version__,
        "created_at": now(),
        "dataset": subject.data.dataset_id,
        "fingerprint": subject.data.fingerprint,
        "protocol": subject.protocol,
        "operating_point": subject.point.name,
        "runs": {run.run_id: {"title": run.title, **subject.found[run.run_id].as_json()} for run in subject.runs},
    }


def summary(subject: Subject) -> list[Block]:
    blocks: list[Block] = [Sentences((ABOUT,))]
    for run in subject.runs:
        name = f"{run.title}: " if len(subject.runs) > 1 else ""
        blocks.append(Sentences(tuple(f"{name}{line}" for line in subject.found[run.run_id].summary)))
    return blocks


def systems(subject: Subject) -> list[Block]:
    """The model card: what each model is, what it learned from, how it was chosen."""
    rows = [_card(subject.workspace, run) for run in subject.runs]
    names = list(dict.fromkeys(name for row in rows for name in row))
    words = texts(
        [
            {"Field": name, **{run.run_id: row.get(name, "n/a") for run, row in zip(subject.runs, rows, strict=True)}}
            for name in names
        ],
        "Field",
    )
    return [
        Grid(
            words.rename(
                columns={
                    run.run_id: run.title if len(subject.runs) == 1 else f"{run.title} ({run.run_id})"
                    for run in subject.runs
                }
            )
        )
    ]


def _card(workspace: Workspace, run: RunRecord) -> dict[str, str]:
    card = {"Run": run.run_id, "Role": run.role, "Method": run.method, "Code version": run.code_version}
    model = read_run(workspace, run.parents[0]) if run.method == REPAIR and run.parents else run
    if model is not run:
        card["Repaired model"] = f"{model.title} ({model.run_id})"
    if (model.folder / "weights" / "model.json").exists():
        facts = read_weights(model.folder)
        settings = facts.get("settings") or {}
        for name, value in (
            ("Network", facts.get("family") or settings.get("name")),
            ("Length of the embedding", facts.get("embedding_dim") or settings.get("embedding_dim")),
            ("Image size, pixels", facts.get("image_px")),
            ("Parameters", facts.get("parameters")),
            ("File", facts.get("file")),
        ):
            if value not in (None, ""):
                card[name] = f"{value:,}" if isinstance(value, int) and value > 9999 else str(value)
    if model.elsewhere:
        card["Trained on"] = "elsewhere, not known to FairLab"
    elif model.config.training is not None:
        part = ", ".join(model.config.data.splits)
        groups = ", ".join(model.config.data.groups) or "all groups"
        card["Trained on"] = f"{model.dataset} ({part}; {groups})"
        card["Seed"] = str(model.seed)
    if model.parents:
        parents = [
            read_run(workspace, name).title for name in model.parents if (workspace.run(name) / "run.json").exists()
        ]
        card["Made from"] = ", ".join(parents) or "n/a"
    if chosen := read_status(model.folder).get("chosen_on"):
        card["Weights chosen on"] = str(chosen)
    return card


def test_data(subject: Subject) -> list[Block]:
    data, first = subject.data, subject.found[subject.runs[0].run_id]
    pairs = pairs_of(subject.runs[0].folder, data, subject.protocol)
    rows = [
        {
            data.attribute: str(row.group),
            "People": f"{row.identities:,}" if row.identities else "n/a",
            "Genuine pairs": f"{row.genuine_pairs:,}",
            "Impostor pairs": f"{row.impostor_pairs:,}",
        }
        for row in first.groups.itertuples()
    ]
    lines = [
        f"Data set {data.dataset_id} (fingerprint {data.fingerprint[:12]}), {subject.protocol} pairs: {len(pairs):,}. Groups "
        f"are the values of {data.attribute}, as the data has them.",
        *of_numbers(subject.runs, data),
    ]
    trained = {run.dataset for run in subject.runs if run.dataset and not run.elsewhere and run.method != REPAIR}
    lines += [
        sentence(verdict(subject.workspace, name, data.dataset_id), name, data.dataset_id) for name in sorted(trained)
    ]
    return [Sentences(tuple(lines)), Grid(texts(rows, data.attribute), "Test people and pairs of each group")]


def rates(subject: Subject) -> list[Block]:
    """FMR and FNMR of every group at the operating point, and ROC."""
    blocks: list[Block] = []
    for run in subject.runs:
        found = subject.found[run.run_id]
        one = (
            "each group at its own threshold"
            if found.at.point.rule == "own"
            else f"threshold {found.at.thresholds[0]:.6g}"
        )
        rows = [
            {
                "Group": str(row.group),
                "FMR": _rate(row.fmr, row.fmr_low, row.fmr_high, f"{row.false_matches:,} of {row.impostor_pairs:,}"),
                "FNMR": _rate(
                    row.fnmr, row.fnmr_low, row.fnmr_high, f"{row.false_non_matches:,} of {row.genuine_pairs:,}"
                ),
                "AUC": _number(row.auc),
                "EER": _percent(row.eer),
            }
            for row in found.groups.itertuples()
        ]
        blocks.append(Grid(texts(rows, "Group"), f"{run.title} at {_point(subject.point)}, {one}", found.groups))
        for metric in ("fmr", "fnmr"):
            numbers = found.numbers[found.numbers["metric"] == metric]
            if numbers["value"].notna().any():
                figure = rate_figure(numbers, subject.groups, metric.upper())
                blocks.append(Chart(figure, f"{metric.upper()} of each group with its interval, {run.title}"))
    curves = pd.concat([read_results(run.folder, subject.data.dataset_id, "curves") for run in subject.runs])
    curves = curves[curves["protocol"] == subject.protocol]
    if len(curves):
        names = {run.run_id: run.title for run in subject.runs}
        blocks.append(Chart(roc_figure(curves, subject.groups, names), "ROC of every group"))
    return blocks


def measures(subject: Subject) -> list[Block]:
    blocks: list[Block] = []
    for run in subject.runs:
        found = subject.found[run.run_id]
        rows = [
            {
                "Measure": str(row.title),
                "Value": _span(row.value, row.low, row.high),
                "Fair is": _number(row.fair_value),
                "By chance up to": _number(row.fair_p95),
                "p": metric_p(row.p, row.p_adjusted) or "n/a",
                "Source": str(row.source),
            }
            for row in found.metrics.itertuples()
        ]
        blocks.append(Grid(texts(rows, "Measure"), run.title, found.metrics))
    blocks.append(
        Sentences(
            (
                "By chance up to: what a perfectly fair model as accurate as this one shows in 19 of 20 tests. About one in 20 "
                "measures lies beyond it by chance alone.",
            )
        )
    )
    return blocks


def differences(subject: Subject) -> list[Block]:
    """Every further run minus the first, on the same pairs."""
    first, *others = subject.runs
    blocks: list[Block] = []
    for run in others:
        table = paired_runs.differences([first, run], first.run_id, subject.data, subject.protocol, subject.point)
        rows = [
            {
                "Group": str(row.group),
                "Measure": str(FAIRNESS_METRICS[row.metric].title)
                if row.metric in FAIRNESS_METRICS
                else f"{row.metric}, fraction",
                "Difference": _span(row.difference, row.low, row.high),
                "Why not": str(row.why),
            }
            for row in table.itertuples()
        ]
        blocks.append(Grid(texts(rows, "Group"), f"{run.title} minus {first.title}", table))
        blocks.append(Sentences(tuple(power_sentences(table))))
    return blocks


def cohorts(subject: Subject) -> list[Block]:
    """What a repair was fitted on."""
    blocks: list[Block] = []
    for run in subject.runs:
        fit = read_facts(run.folder) if run.method == REPAIR else {}
        if not fit:
            continue
        people = ", ".join(f"{name} {count:,}" for name, count in fit["people"].items())
        checks = [
            f"Compared with {check['against']}: {check['note'] or 'nobody of ' + format(check['people'], ',') + ' people is in both'}."
            for check in fit["checks"]
        ]
        said = f"{run.title}: cohort {fit['cohort']}; people: {people}; {fit['images']:,} images, {fit['genuine_pairs']:,} genuine and {fit['impostor_pairs']:,} impostor pairs."
        blocks.append(Sentences((said, *checks, *fit["notes"])))
    return blocks


def faces(subject: Subject) -> list[Block]:
    """The pairs that the first model decides most wrongly, where the user wants faces in the report."""
    if not subject.faces or not subject.data.has_images:
        return []
    where, run = Where(subject.data, subject.protocol, subject.point), subject.runs[0]
    blocks: list[Block] = []
    kinds = (("false-match", "taken for one person"), ("false-non-match", "taken for two people"))
    for kind, said in kinds:
        table = pairs_behind(run, where, Wanted(kind), most=FACES)  # type: ignore[arg-type]
        shown = [
            (
                thumbnail_png(subject.data, int(row.image_a), FACE_PX),
                thumbnail_png(subject.data, int(row.image_b), FACE_PX),
                f"score {row.score:.3f}, threshold {row.threshold:.3f}; {row.group_a}",
            )
            for row in table.itertuples()
        ]
        blocks += (
            [Sentences((f"{run.title}, {said}, the clearest errors first:",)), Faces(tuple(shown))] if shown else []
        )
    return blocks


def limits(subject: Subject) -> list[Block]:
    notes = [note for run in subject.runs for note in subject.found[run.run_id].notes]
    fixed = (
        "Group labels are those of the data; how they were given is not known to FairLab.",
        "Rates hold for people like those tested, for these images and this list of pairs.",
        "Intervals are over people. They contain neither other trainings of the model nor other cameras.",
    )
    return [Sentences((*dict.fromkeys(notes), *fixed))]


def commands(subject: Subject) -> list[Block]:
    rule = {"pooled": "--at-fmr", "own": "--at-own-fmr", "threshold": "--threshold"}[subject.point.rule]
    name, point = subject.data.dataset_id, f"{rule} {subject.point.value:g}"
    lines = [f"fairlab fairness {run.run_id} --data {name} --pairs {subject.protocol} {point}" for run in subject.runs]
    return [Commands((*lines, f"# FairLab {__version__}, {now()}"))]


def _point(point: OperatingPoint) -> str:
    if point.rule == "threshold":
        return "a given threshold"
    return f"FMR {100 * point.value:g} % of {'all groups' if point.rule == 'pooled' else 'each group'}"


def _number(value: float) -> str:
    return "n/a" if value != value else f"{value:.4g}"


def _percent(value: float) -> str:
    return "n/a" if value != value else f"{100 * value:.3g} %"


def _span(value: float, low: float, high: float) -> str:
    if value != value:
        return "n/a"
    value = 0.0 if abs(value) < ROUNDING else value
    return f"{value:.4g}" + (f" [{low:.3g}, {high:.3g}]" if low == low and high == high else "")


def _rate(value: float, low: float, high: float, counts: str) -> str:
    if value != value:
        return f"n/a ({counts})"
    between = f" [{100 * low:.3g}, {100 * high:.3g}]" if low == low and high == high else ""
    return f"{100 * value:.3g} %{between} ({counts})"


SECTIONS: dict[str, Callable[[Subject], list[Block]]] = {
    "Summary": summary,
    "Systems": systems,
    "Test data": test_data,
    "Error rates": rates,
    "Differences between groups": measures,
    "Differences between models": differences,
    "Cohort and repair": cohorts,
    "Faces": faces,
    "Limits": limits,
    "To reproduce": commands,
}
