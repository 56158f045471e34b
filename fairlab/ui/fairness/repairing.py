"""Repair without training: choose methods and a cohort, see what each changes, and what a finished repair was fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from fairlab.api import Lab
from fairlab.compare.repairs import ONLY_THRESHOLDS, after_minus_before, methods, repaired
from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.metrics import FAIRNESS_METRICS
from fairlab.evaluation.operating import OperatingPoint
from fairlab.evaluation.repair.base import REPAIRS
from fairlab.jobs.repair.fitted import read_facts
from fairlab.plan.records import REPAIR
from fairlab.store.database import list_runs
from fairlab.store.runs import SPACES, RunRecord, read_run
from fairlab.tables import ALL_GROUPS, texts
from fairlab.ui.frame import cached
from fairlab.ui.frame.numbers import cell
from fairlab.ui.frame.page import plain, show_error
from fairlab.ui.frame.waiting import waiting
from fairlab.workspace import Workspace

SHOWN = ("std_points", "differential_fmr", "differential_fnmr", "gini_fnmr", "fdr", "werm")
"""Of the fairness measures those of the overview; the repair's own page has all."""
DEFAULT = ""


def panel(lab: Workspace, run: RunRecord, data: Dataset, point: OperatingPoint, protocol: str) -> None:
    """Of a model: what repairs exist and a way to start more; of a repair: what it rests on."""
    if run.method == REPAIR:
        _rests_on(lab, run)
        return
    if run.role not in SPACES:
        st.caption("Scores against another model's gallery cannot be repaired here; repair the model itself.")
        return
    _overview(lab, run, data, point, protocol)
    _start(lab, run, data)


def _start(lab: Workspace, run: RunRecord, data: Dataset) -> None:
    known = methods()
    titles = {row.method: f"{row.title}{' (oracle)' if row.oracle else ''}" for row in known.itertuples()}
    with st.expander("Repair these scores", icon=":material/build:"):
        st.caption(
            "New scores for the same pairs, without training. They are fitted on a cohort: people who are neither in the test nor "
            "in the training data. A repair that fails this check is refused."
        )
        left, middle, right = st.columns([3, 2, 1], vertical_alignment="bottom")
        chosen = left.multiselect(
            "Methods", list(titles), format_func=lambda name: titles[name], key="repair by", placeholder="methods"
        )
        others = [name for name in cached.datasets(lab) if name != data.dataset_id]
        cohort = middle.selectbox(
            "Cohort",
            [DEFAULT, *others],
            format_func=lambda name: name or "the validation people",
            key="repair cohort",
            help="People whom no model has been trained on and who are not tested. More settings: `fairlab repair --help`.",
        )
        if right.button("Repair", icon=":material/play_arrow:", width="stretch", disabled=not chosen, key="repair"):
            _begin(lab, run, data, chosen, cohort)
        if only := [REPAIRS[name].facts.title for name in chosen if REPAIRS[name].facts.changes == "thresholds"]:
            st.caption(f"{plain(', '.join(only))}: a repair that {ONLY_THRESHOLDS}.")
        st.table(_methods(known), border="horizontal", hide_index=True)


def _begin(lab: Workspace, run: RunRecord, data: Dataset, chosen: Sequence[str], cohort: str) -> None:
    try:
        for name in chosen:
            Lab(lab).models[run.run_id].repair(name, data.dataset_id, cohort)
    except FairLabError as error:
        show_error(error)
        return
    st.rerun()


def _methods(known: pd.DataFrame) -> pd.DataFrame:
    """The methods in words."""
    rows = [
        {
            "Method": plain(f"{row.title}{' (oracle)' if row.oracle else ''}"),
            "Group label when used": row.group_label,
            "Changes": row.changes,
            "Needs": row.needs,
            "Cohort a group": f"{row.cohort_per_group:,} people" if row.cohort_per_group else "not said",
            "Source": plain(row.source),
        }
        for row in known.itertuples()
    ]
    return texts(rows, "Method")


def _overview(lab: Workspace, run: RunRecord, data: Dataset, point: OperatingPoint, protocol: str) -> None:
    """Repairs of this model at work, and what the finished ones change."""
    runs = list_runs(lab)
    of = runs[(runs["role"] == "evaluation") & (runs["method"] == REPAIR) & (runs["dataset"] == data.dataset_id)]
    for row in of[of["status"] != "done"].itertuples():
        record = read_run(lab, row.run_id)
        if record.parents[0] == run.run_id and waiting(lab, row.run_id, plain(record.title)):
            st.rerun()
    done = repaired(lab, [run], data.dataset_id)
    if not done:
        st.caption("No repair of these scores yet.")
        return
    rows = []
    for record in done:
        table = _changes(record.run_id, data.dataset_id, point.name, protocol, lab, record, data, point)
        title = record.title.rpartition(" · ")[2]
        rows.append(
            {
                "Repair": plain(title),
                **(_row(table) if isinstance(table, pd.DataFrame) else {"Mean accuracy, points": plain(table)}),
            }
        )
    st.table(texts(rows, "Repair"), border="horizontal", hide_index=True)
    st.caption(
        "After minus before: the same pairs, the same resampled people, each at its own threshold by the rule above; 95 % intervals. "
        "Choose a repair as the model above, or compare it with another model below, to see every number of it."
    )


@st.cache_data(max_entries=64, show_spinner="Comparing before and after ...")
def _changes(
    run_id: str,
    dataset_id: str,
    point_name: str,
    protocol: str,
    _lab: Workspace,
    _record: RunRecord,
    _data: Dataset,
    _point: OperatingPoint,
) -> pd.DataFrame | str:
    """The table of differences, or why there is none."""
    try:
        return after_minus_before(_lab, _record, _data, _point, protocol)
    except FairLabError as error:
        return str(error)


def _row(table: pd.DataFrame) -> Mapping[str, str]:
    own = table[table["group"] == ALL_GROUPS].set_index("metric")
    found = {}
    if "accuracy" in own.index:
        found["Mean accuracy, points"] = _cell(own.loc["accuracy"], 2, 100)
    for name in SHOWN:
        if name in own.index:
            found[plain(FAIRNESS_METRICS[name].title)] = _cell(own.loc[name], 3, 1)
    return found


def _cell(row: pd.Series, digits: int, factor: float) -> str:
    return cell(row["difference"], row["low"], row["high"], digits, factor, signed=True, strong=bool(row["p"] < 0.05))


def _rests_on(lab: Workspace, run: RunRecord) -> None:
    """The cohort of a repair, the checks it passed, and what is to be known of it."""
    fit, before = read_facts(run.folder), read_run(lab, run.parents[0])
    if not fit:
        st.caption("What this repair was fitted on is no longer here.")
        return
    people = " · ".join(f"{plain(name)} {count:,}" for name, count in fit["people"].items())
    st.markdown(
        f"Scores of **{plain(before.title)}**, repaired by **{plain(fit['title'])}**. Cohort: {plain(fit['cohort'])} "
        f"({people} people; {fit['images']:,} images, {fit['genuine_pairs']:,} genuine and {fit['impostor_pairs']:,} "
        "impostor pairs)."
    )
    checks = [
        {
            "Compared with": plain(check["against"]),
            "Cohort people": f"{check['people']:,}" if check["people"] else "n/a",
            "In both": plain(check["note"]) if check["note"] else "0",
        }
        for check in fit["checks"]
    ]
    st.table(texts(checks, "Compared with"), border="horizontal", hide_index=True)
    for note in fit["notes"]:
        st.caption(plain(note))
    if REPAIRS[fit["repair"]].facts.changes == "thresholds":
        st.caption(f"This repair {ONLY_THRESHOLDS}.")
    st.caption("To use it on other scores as it was fitted:")
    st.code(f"fairlab repair apply {run.run_id} SCORES.csv --out FILE", language="bash")
