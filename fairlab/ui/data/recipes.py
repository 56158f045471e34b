"""Making a data set of others on the data page: subsets, balanced parts, equal groups, mixtures."""

from __future__ import annotations

import streamlit as st

from fairlab.api import Lab
from fairlab.data.dataset import Dataset
from fairlab.data.selections import names
from fairlab.errors import FairLabError
from fairlab.settings.study import Recipe, parse
from fairlab.store.runs import read_run
from fairlab.ui.frame import cached, choices
from fairlab.ui.frame.forms import settings_form
from fairlab.ui.frame.page import plain, show_error
from fairlab.ui.frame.waiting import waiting
from fairlab.workspace import Workspace

MAKE = "making"
"""The link's parameter: the run that makes the data set."""


def form(lab: Workspace, data: Dataset) -> None:
    """A form of all settings of a recipe over this data set."""
    with st.expander("Derive data set", icon=":material/call_split:", expanded=MAKE in st.query_params):
        left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
        name = left.text_input("Name of the new data set", key="make_name", placeholder="balanced")
        others = ["", *cached.datasets(lab)]
        mix = middle.selectbox(
            "Mix with", others, key="make_mix", format_func=lambda item: item or "no other", help=_says("mix")
        )
        make = right.button("Create it", icon=":material/add:", width="stretch", disabled=not name.strip(), key="make")
        saved = {"selection": names(lab, data.dataset_id)}
        changes = settings_form(Recipe(), "make", skip=("dataset", "mix"), offers=saved)
        st.caption("Nothing is copied: the new data set borrows its images, so keep this one.")
        if make:
            try:
                recipe = parse(Recipe, {**changes, "dataset": data.dataset_id, "mix": mix}, "these settings")
                st.query_params[MAKE] = Lab(lab).data.make(name, recipe).run_id
            except FairLabError as error:
                show_error(error)
                return
        run_id = st.query_params.get(MAKE, "")
        if run_id and (lab.run(run_id) / "run.json").exists() and waiting(lab, run_id, "Creating the data set"):
            made = read_run(lab, run_id).dataset
            st.success(f"{plain(made)} is now a data set of this workspace.", icon=":material/check:")
            if st.button("Show it", icon=":material/photo_library:", key="show made"):
                choices.choose("set", [made])
                st.rerun()


def _says(field: str) -> str:
    return Recipe.model_fields[field].description or ""
