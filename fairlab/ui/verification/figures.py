"""The verification page's parts: ROC and DET, scores of every group, true accept rates as tables."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from fairlab.api import Lab
from fairlab.data.dataset import Dataset
from fairlab.data.selections import Chosen
from fairlab.errors import FairLabError
from fairlab.evaluation.compat import COMPAT
from fairlab.evaluation.fairness_report import FairnessReport
from fairlab.jobs.evaluate.peers import column_of, not_available
from fairlab.plots.det import det_figure
from fairlab.plots.distributions import distributions_figure
from fairlab.plots.verification import roc_figure
from fairlab.store.results import results_facts
from fairlab.store.runs import RunRecord
from fairlab.tables import ALL_GROUPS, texts
from fairlab.ui.frame.numbers import HARD_SPACE, NOT_MEASURABLE, cell, download, name_of, one
from fairlab.ui.frame.page import chart, plain
from fairlab.ui.judge import evidence
from fairlab.ui.judge.evidence import Evidence
from fairlab.workspace import Workspace


def curves(found: Sequence[Evidence], at: FairnessReport, titles: Mapping[str, str]) -> None:
    """ROC and DET of every group, of one model or of several in the same figure, with the operating point marked."""
    table = pd.concat([evidence.results(item).curves for item in found], ignore_index=True)
    if table.empty:
        st.warning("No ROC: it needs both genuine and impostor pairs.", icon=":material/warning:")
        return
    marks = at.groups.assign(tmr=lambda rows: 1 - rows["fnmr"])[["group", "fmr", "tmr"]]
    groups = found[0].names
    roc, det = st.tabs(["ROC", "DET"])
    with roc:
        chart(roc_figure(table, groups, titles, marks), "roc", "ROC per group", table=table)
    with det:
        chart(det_figure(table, groups, titles, marks), "det", "DET per group", table=table)
    st.caption(
        "Left is strict: few impostors are accepted. Marks: the operating point above. The band is the 95 % "
        "interval over people; it is drawn for one model at a time. Each group's curve runs over its own impostor "
        "pairs; its faint part rests on fewer than ten false matches."
    )


def beside(
    lab: Workspace, models: Sequence[RunRecord], data: Dataset, first: Evidence, by: Sequence[str]
) -> list[Evidence]:
    """What other models said of the pairs of the first; those that were not judged on them are named and left out."""
    found = []
    for model in models:
        try:
            found.append(evidence.evidence(lab, model, data, first.protocol, by, first.chosen))
        except FairLabError as error:
            st.warning(plain(error), icon=":material/warning:")
    return found


def distributions(found: Evidence, at: FairnessReport) -> None:
    """The scores of every group's pairs, and where the thresholds cut them."""
    chart(
        distributions_figure(
            {group.name: group.scores for group in found.groups},
            {group.name: group.genuine for group in found.groups},
            dict(zip(found.names, at.at.thresholds.tolist(), strict=True)),
            found.names,
        ),
        "scores",
        "scores of genuine and impostor pairs per group",
        table=at.groups,
    )
    st.caption(
        "Impostors to the right of the threshold are false matches; genuine pairs to the left are false non-matches."
    )


def operating_table(at: FairnessReport, metrics: pd.DataFrame) -> None:
    """A row per group at the operating point: counts, achieved rates, and how well its scores part."""
    rows = []
    for row in at.groups.itertuples():
        shown = {
            "Group": plain(row.group).replace(" ", HARD_SPACE),
            "People": f"{row.identities:,}",
            "Genuine pairs": f"{row.genuine_pairs:,}",
            "Impostor pairs": f"{row.impostor_pairs:,}",
            "Threshold": plain(f"{row.threshold:.4f}"),
            "FMR, %": _rate(row.fmr, row.fmr_low, row.fmr_high, 2, row.false_matches),
            "TAR, %": _rate(1 - row.fnmr, 1 - row.fnmr_high, 1 - row.fnmr_low, 1, row.false_non_matches, "missed"),
        }
        for name, label, digits, factor in (
            ("auc", "AUC", 4, 1.0),
            ("eer", "EER, %", 1, 100.0),
            ("d_prime", "d′", 2, 1.0),
        ):
            found = one(metrics, name, row.group)
            shown[label] = "n/a" if found is None else cell(found["value"], found["low"], found["high"], digits, factor)
        rows.append(shown)
    st.table(texts(rows, "Group"), border="horizontal", hide_index=True)
    download(at.groups, f"groups-{at.at.point.name}")


def _rate(value: float, low: float, high: float, digits: int, count: int, what: str = "pairs") -> str:
    """A rate in percent, its interval, and how many errors it rests on."""
    if value != value:
        return "n/a"
    return f"{cell(value, low, high, digits, 100)} :small[:gray[({count:,} {what})]]"


def stored(lab: Workspace, run: RunRecord, data: Dataset, protocol: str, chosen: Chosen | None = None) -> None:
    """What was stored of a list of so many pairs that a page does not judge it anew: ROC and TAR@FAR; or of none.

    chosen: the side of a selection that was asked for; stored numbers are of everybody, which is said.
    """
    if chosen is not None:
        st.warning(
            plain(f"These are numbers of everybody: the {chosen} is not applied."), icon=":material/filter_alt_off:"
        )
    if not protocol:
        st.info("This model has no scored pairs on this data set.", icon=":material/info:")
        return
    st.info(
        "There are too many pairs to evaluate again on this page; these are the stored numbers. For another operating point: "
        f"`fairlab fairness {plain(run.run_id)} --data {plain(data.dataset_id)} --pairs {plain(protocol)} --at-fmr 0.01`",
        icon=":material/info:",
    )
    found = evidence.stored_results(lab, run.run_id, data.dataset_id, protocol)
    groups = [name for name in data.groups if name in set(found.metrics["group"])]
    chart(roc_figure(found.curves, groups), "roc", "ROC per group", table=found.curves)
    targets = results_facts(run.folder, data.dataset_id)["settings"]["fmr_targets"]
    tar_tables(found.metrics, groups, targets, f"metrics-{run.run_id}-{protocol}")


def tar_tables(metrics: pd.DataFrame, groups: Sequence[str], targets: Sequence[float], name: str) -> None:
    """TAR@FAR at one threshold for everybody, and beside it with a threshold of its own for each group, as papers print it."""
    points = [f"fmr={target:g}" for target in sorted(targets, reverse=True)]
    for column, metric, title, about in zip(
        st.columns(2),
        ("tar", "tar_own_threshold"),
        ("One threshold for all groups", "A threshold for each group"),
        (
            "As deployed: one threshold, set on all impostor pairs; with the group's own FMR in brackets.",
            "As papers report it. It hides that the groups need different thresholds.",
        ),
        strict=True,
    ):
        with column:
            st.markdown(f"**{title}**")
            st.table(tar_table(metrics, groups, points, metric), border="horizontal", hide_index=True)
            st.caption(about)
    st.caption(
        "In percent, with 95 % intervals and the number of genuine pairs that were missed. Not measurable: fewer than ten "
        "false matches could be expected with these pairs."
    )
    download(metrics, name)


def tar_table(metrics: pd.DataFrame, groups: Sequence[str], points: Sequence[str], metric: str) -> pd.DataFrame:
    """One row per group in Markdown: TAR at each operating point, with interval, missed pairs, achieved FMR."""
    rows = []
    for group in groups:
        row = {"Group": plain(group).replace(" ", HARD_SPACE)}
        for point in points:
            found = one(metrics, metric, group, point)
            if found is None:
                row[f"TAR @ FAR {name_of(point)}"] = f":gray[{NOT_MEASURABLE}]"
                continue
            missed = round((1 - found["value"]) * found["genuine_pairs"])
            achieved = one(metrics, "fmr", group, point) if metric == "tar" else None
            more = f" · FMR {100 * achieved['value']:.3g}" if achieved is not None else ""
            row[f"TAR @ FAR {name_of(point)}"] = (
                f"{cell(found['value'], found['low'], found['high'], 1, 100)} "
                f":small[:gray[({plain(f'{missed:,} missed{more}')})]]"
            )
        rows.append(row)
    return texts(rows, "Group")


def peer_table(found: Evidence, at: FairnessReport, metrics: pd.DataFrame) -> None:
    """Accuracy by our rule, and as two other tools print it."""
    rows = []
    own = at.numbers[at.numbers["metric"].isin(["accuracy", "mean_accuracy"])].set_index("group")
    for group in (*found.names, ALL_GROUPS):
        row = {"Group": plain(group) if group != ALL_GROUPS else "mean of groups"}
        ours = own.loc[group] if group in own.index else None
        row["FairLab"] = "n/a" if ours is None else cell(ours["value"], ours["low"], ours["high"], 2, 100)
        for mode, about in COMPAT.items():
            value, std = (one(metrics, column_of(mode, what), group) for what in ("accuracy", "std"))
            shown = "n/a" if value is None else f"{100 * value['value']:.2f}"
            row[about.title] = shown + ("" if std is None else f" :small[:gray[± {100 * std['value']:.2f} over folds]]")
        rows.append(row)
    st.table(texts(rows, "Group"), border="horizontal", hide_index=True)
    with st.popover("How do they differ?", icon=":material/help:"):
        st.markdown(
            "\n".join(
                f"- **{plain(about.title)}**: {plain(about.rule)} {plain(about.differs)}" for about in COMPAT.values()
            )
        )
    starts = tuple(not_available(mode, found.protocol) for mode in COMPAT)
    said = [note for note in found.notes if note.startswith(starts)]
    if not said and all(one(metrics, column_of(mode), found.names[0]) is None for mode in COMPAT):
        said = [
            "The accuracies of other tools are missing: evaluate the model on the data set's own pairs again with "
            "this version."
        ]
    for note in said:
        st.caption(plain(note))


def score_files(lab: Workspace, run: RunRecord, protocol: str, data: Dataset) -> None:
    """The scores as tables that other tools read; made when they are asked for."""
    with st.container(horizontal=True):
        for kind, label in (("bob", "Scores in bob format"), ("bfw", "Scores in BFW format")):
            st.download_button(
                label,
                partial(_written, lab, run, protocol, data, kind),
                f"{run.run_id}-{data.dataset_id}-{kind}.csv",
                "text/csv",
                icon=":material/download:",
                key=f"scores:{kind}",
            )


def _written(lab: Workspace, run: RunRecord, protocol: str, data: Dataset, kind: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="fairlab-") as folder:
        path = Path(folder) / "scores.csv"
        Lab(lab).models.export_scores([run.run_id], path, data.dataset_id, kind=kind, pairs=protocol)
        return path.read_bytes()
