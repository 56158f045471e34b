"""Judging a model by more protocols than the data set's own pair lists, and what one of them adds: the matrix of groups."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from fairlab import api
from fairlab.config import Protocols, parse
from fairlab.data.base import Dataset
from fairlab.errors import FairLabError
from fairlab.runs.by_protocol import METHOD, known_protocols
from fairlab.runs.protocols.base import FINAL
from fairlab.store.results import judged_by, read_protocol
from fairlab.store.runs import SPACES, RunRecord, read_run, read_status
from fairlab.ui.forms import settings_form
from fairlab.ui.numbers import cell, name_of
from fairlab.ui.page import plain, show_error
from fairlab.ui.waiting import waiting
from fairlab.workspace import Workspace

JUDGING = "judging"
"""The link's parameter: the run that judges by more protocols."""
WITH_MATRIX = "all_pairs"


def panel(lab: Workspace, run: RunRecord, data: Dataset, protocol: str, point: str) -> None:
    """The matrix of groups where the protocol has one, and a way to judge the model by more protocols."""
    if protocol == WITH_MATRIX:
        _matrix(run, data, point)
    if run.role not in SPACES:  # a gallery of another model: only the data set's own pairs
        return
    known = {name: facts for name, facts in known_protocols().items() if _fits(facts, data)}
    with st.expander("More protocols", icon=":material/rule:", expanded=JUDGING in st.query_params):
        there = judged_by(run.folder, data.dataset_id)
        for name, facts in known.items():
            mark = ":material/check: " if name in there else ""
            st.markdown(f"{mark}**{plain(facts['title'])}**: {plain(facts['sentence'])}")
        left, right = st.columns([4, 1], vertical_alignment="bottom")
        chosen = left.multiselect(
            "Judge by",
            list(known),
            format_func=lambda name: str(known[name]["title"]),
            key="judge by",
            placeholder="protocols",
            help="What was made from the same embeddings, data and settings is not computed anew.",
        )
        with st.popover("More settings", icon=":material/tune:"):
            changes = settings_form(Protocols(), "protocols", skip=("names",))
        if right.button("Judge", icon=":material/play_arrow:", width="stretch", disabled=not chosen, key="judge"):
            _begin(lab, run, data, {**changes, "names": chosen})
        if JUDGING in st.query_params:
            _outcome(lab, run, data, st.query_params[JUDGING])


def _fits(facts: dict[str, Any], data: Dataset) -> bool:
    return not facts.get("needs_pairs") or len(data.pairs_of(FINAL)) > 0


def _begin(lab: Workspace, run: RunRecord, data: Dataset, values: dict[str, Any]) -> None:
    try:
        settings = parse(Protocols, values, "these settings")
        st.query_params[JUDGING] = api.evaluate(lab, run.run_id, data.dataset_id, protocols=settings)
    except FairLabError as error:
        show_error(error)


def _outcome(lab: Workspace, run: RunRecord, data: Dataset, job: str) -> None:
    """How the link's job stands, if it is about this model on these data."""
    try:
        record = read_run(lab, job)
    except FairLabError:
        return
    if record.method != METHOD or record.parents[0] != run.run_id or record.dataset != data.dataset_id:
        return
    if waiting(lab, job, "Judging"):
        said = read_status(record.folder)
        st.success("Done: choose it under Pairs above.", icon=":material/check:")
        for note in said.get("notes", ()):
            st.caption(plain(note))


def _matrix(run: RunRecord, data: Dataset, point: str) -> None:
    """FMR of every group's people against every group's, at the threshold of one operating point."""
    try:
        table = read_protocol(run.folder, data.dataset_id, WITH_MATRIX, "matrix")
    except FairLabError as error:
        show_error(error)
        return
    table = table[table["operating_point"] == point]
    if table.empty:
        return
    st.subheader("Who is taken for whom, by group", anchor=False)
    st.table(matrix_table(table, [name for name in data.groups if name in set(table["group_a"])]), border="horizontal")
    st.caption(
        f"False match rate in percent of two people of the groups beside and above, with 95 % intervals over redrawn people, "
        f"at the one threshold {table['threshold'].iloc[0]:.4f} where all groups' own impostors together reach "
        f"{name_of(point)}. On the diagonal impostors of one group, as everywhere else on this page. "
        f"{int(table['impostor_pairs'].min()):,} to {int(table['impostor_pairs'].max()):,} comparisons each."
    )


def matrix_table(table: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """A matrix (all_pairs_report.MATRIX) as Markdown: a row and a column for each group, percent."""
    at = table.set_index(["group_a", "group_b"])[["fmr", "low", "high"]]

    def shown(one: str, other: str) -> str:
        value, low, high = at.loc[(one, other)].tolist()
        return cell(value, low, high, 3, 100)

    return pd.DataFrame(
        {plain(other): [shown(one, other) for one in groups] for other in groups},
        index=[plain(one) for one in groups],
    )
