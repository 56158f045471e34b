"""Judging a model by more protocols than the data set's own pair lists."""

from __future__ import annotations

from typing import Any

import streamlit as st

from fairlab.api import Lab
from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.jobs.evaluate.by_protocol import METHOD, known_protocols
from fairlab.jobs.protocols.base import FINAL
from fairlab.settings.study import Protocols, parse
from fairlab.store.results import judged_by
from fairlab.store.runs import SPACES, RunRecord, read_run, read_status
from fairlab.ui.frame.forms import settings_form
from fairlab.ui.frame.page import plain, show_error
from fairlab.ui.frame.waiting import waiting
from fairlab.workspace import Workspace

JUDGING = "judging"
"""The link's parameter: the run that judges by more protocols."""


def panel(lab: Workspace, run: RunRecord, data: Dataset) -> None:
    """A way to judge the model by more protocols."""
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
            "Protocol",
            list(known),
            format_func=lambda name: str(known[name]["title"]),
            key="judge by",
            placeholder="protocols",
            help="Cached results are reused.",
        )
        with st.popover("More settings", icon=":material/tune:"):
            changes = settings_form(Protocols(), "protocols", skip=("names",))
        if right.button("Evaluate", icon=":material/play_arrow:", width="stretch", disabled=not chosen, key="judge"):
            _begin(lab, run, data, {**changes, "names": chosen})
        if JUDGING in st.query_params:
            _outcome(lab, run, data, st.query_params[JUDGING])


def _fits(facts: dict[str, Any], data: Dataset) -> bool:
    return not facts.get("needs_pairs") or len(data.pairs_of(FINAL)) > 0


def _begin(lab: Workspace, run: RunRecord, data: Dataset, values: dict[str, Any]) -> None:
    try:
        settings = parse(Protocols, values, "these settings")
        st.query_params[JUDGING] = Lab(lab).models[run.run_id].evaluate(data.dataset_id, protocols=settings).run_id
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
        st.success(
            "Done. Pair lists are under Pairs above; results over all comparisons are below and on Fairness.",
            icon=":material/check:",
        )
        for note in said.get("notes", ()):
            st.caption(plain(note))
