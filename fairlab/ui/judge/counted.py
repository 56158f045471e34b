"""What protocols tell that count comparisons instead of keeping them: everybody against everybody, and 1:N identification."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from fairlab.data.dataset import Dataset
from fairlab.evaluation.operating import OperatingPoint
from fairlab.plots.fairness import matrix_figure
from fairlab.plots.identification import cmc_figure, open_set_figure
from fairlab.plots.verification import roc_figure
from fairlab.store.results import judged_by, read_protocol, results_facts
from fairlab.store.runs import RunRecord
from fairlab.tables import ALL_GROUPS, texts
from fairlab.ui.frame import cached
from fairlab.ui.frame.numbers import HARD_SPACE, NOT_MEASURABLE, cell, name_of
from fairlab.ui.frame.page import chart, plain
from fairlab.ui.judge import hardest
from fairlab.workspace import Workspace

EVERYBODY, SEARCH = "all_pairs", "identification"


def further(lab: Workspace, run: RunRecord, data: Dataset) -> None:
    """All comparisons and identification, where the model was judged by them."""
    everybody(lab, run, data)
    search(lab, run, data)


def everybody(lab: Workspace, run: RunRecord, data: Dataset) -> None:
    """ROC over all comparisons within each group, where the model was judged by them."""
    if EVERYBODY not in judged_by(run.folder, data.dataset_id):
        return
    st.subheader("All comparisons", anchor=False)
    curves = cached.results(lab, run.run_id, data.dataset_id, "curves")
    table = curves[curves["protocol"] == EVERYBODY]
    chart(roc_figure(table, _known(data, table)), "roc everybody", "ROC over all comparisons", table=table)
    facts = results_facts(run.folder, data.dataset_id, EVERYBODY)["facts"]
    st.caption(
        f"{facts['comparisons']:,} comparisons of {facts['images']:,} images of {facts['identities']:,} people; the "
        f"curves show those within each group. Impostors are not picked to be hard here, so rates differ from those "
        f"of the pair list."
    )
    hardest.section(lab, run, data)


def matrix(run: RunRecord, data: Dataset, point: OperatingPoint) -> bool:
    """FMR between any two groups at one threshold; False where the model was not judged so."""
    if EVERYBODY not in judged_by(run.folder, data.dataset_id):
        return False
    table = read_protocol(run.folder, data.dataset_id, EVERYBODY, "matrix")
    known = list(dict.fromkeys(table["operating_point"]))
    if not known:
        st.caption("Between groups: no operating point is measurable with these images.")
        return True
    wanted = point.value if point.rule != "threshold" else 0.01
    nearest = min(known, key=lambda name: abs(OperatingPoint.of(name).value / max(wanted, 1e-9) - 1))
    shown = table[table["operating_point"] == nearest]
    chart(matrix_figure(shown, _known(data, shown, "group_a")), "matrix", "FMR between groups", table=shown)
    st.caption(
        f"False match rate between two people, by row and column group. All comparisons of the "
        f"test part, one threshold ({shown['threshold'].iloc[0]:.4f}), set where all within-group comparisons "
        f"together reach "
        f"{name_of(nearest)}; hover for counts and 95{HARD_SPACE}% intervals over people. Shown at the "
        "closest operating point that was computed."
    )
    return True


def search(lab: Workspace, run: RunRecord, data: Dataset) -> None:
    """1:N identification, where the model was judged by it."""
    if SEARCH not in judged_by(run.folder, data.dataset_id):
        return
    st.subheader("Identification: one probe against everyone enrolled", anchor=False)
    metrics = cached.results(lab, run.run_id, data.dataset_id, "metrics")
    metrics = metrics[metrics["protocol"] == SEARCH]
    cmc, open_set = (read_protocol(run.folder, data.dataset_id, SEARCH, name) for name in ("cmc", "open_set"))
    left, right = st.columns(2)
    with left:
        chart(cmc_figure(cmc, _known(data, cmc)), "cmc", "rank curve per group", table=cmc)
    with right:
        chart(open_set_figure(open_set, _known(data, open_set)), "open set", "FNIR over FPIR per group", table=open_set)
    st.table(search_table(metrics, [*_known(data, metrics), ALL_GROUPS]), border="horizontal", hide_index=True)
    facts = results_facts(run.folder, data.dataset_id, SEARCH)
    st.caption(
        f"{facts['facts']['gallery']:,} images enrolled, {facts['facts']['probes']:,} searched. FNIR: an enrolled "
        f"person is not ranked first or is below the threshold; FPIR: a person who is not enrolled is matched. One "
        f"threshold for all groups; in percent, with 95 % intervals over people. Rates depend on the number "
        f"of people enrolled."
    )
    if facts["notes"]:
        with st.expander(f"Notes ({len(facts['notes'])})"):
            st.caption("\n".join(f"- {plain(note)}" for note in facts["notes"]))


def search_table(metrics: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """A row per group in Markdown: probes, ranks, FPIR and FNIR at each operating point."""
    points = [point for point in dict.fromkeys(metrics["operating_point"]) if point]
    ranks = [name for name in dict.fromkeys(metrics["metric"]) if str(name).startswith("rank")]
    rows = []
    for group in groups:
        own = metrics[metrics["group"] == group].set_index(["metric", "operating_point"])
        row = {"Group": plain(group)}
        for metric, point, title in [
            *((rank, "", f"Rank {str(rank)[4:]}") for rank in ranks),
            *((rate, point, f"{rate.upper()} @ {name_of(point)}") for point in points for rate in ("fpir", "fnir")),
        ]:
            found = own.loc[(metric, point)] if (metric, point) in own.index else None
            known = found is not None and found["value"] == found["value"]
            row[title] = (
                cell(found["value"], found["low"], found["high"], 1, 100) if known else f":gray[{NOT_MEASURABLE}]"  # type: ignore[index]
            )
        rows.append(row)
    return texts(rows, "Group")


def _known(data: Dataset, table: pd.DataFrame, column: str = "group") -> list[str]:
    """The groups of a table, in the data set's order."""
    there = set(table[column])
    return [name for name in data.groups if name in there]
