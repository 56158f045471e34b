"""On the data page: soft group shares, imported from a table, their masses, and what a balance by mass changed."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from fairlab.api import Lab
from fairlab.data.dataset import Dataset
from fairlab.data.shares import TOLERANCE, shares_of
from fairlab.errors import FairLabError
from fairlab.plots.shares import shares_figure
from fairlab.ui.frame.page import chart, plain, show_error
from fairlab.workspace import Workspace


def panel(lab: Workspace, data: Dataset) -> None:
    """Import, masses and entropy of every part, histogram, and before and after."""
    try:
        shares = shares_of(data)
    except FairLabError as error:
        show_error(error)
        return
    handle = Lab(lab).data[data.dataset_id].shares
    if data.info.get("images_from", {}).get("kind") != "recipe":
        _form(lab, data)
    if shares is None:
        st.caption(
            "None. A table from an ethnicity classifier says how much of each group every image has: balance a derived data "
            "set by these masses (Derive data set), or let margins follow them (margin_factor of a loss)."
        )
        return
    masses, balance, figure = _counted(str(lab.home), data.dataset_id, f"{data.fingerprint} {shares.fingerprint}")
    st.dataframe(masses, hide_index=True)
    st.caption(
        "mass: sum of the group's share over the part's images. images, identities: those in which it is the largest share."
    )
    st.dataframe(balance, hide_index=True)
    st.caption(
        "mass_entropy: 1 where all masses are equal. image_entropy: 0 where every image has one group alone. largest_excess: "
        f"largest mass over the smallest. Fingerprint of the shares {shares.fingerprint[:16]}."
    )
    chart(
        figure,
        f"shares:{data.dataset_id}",
        "Images by their share of each group.",
        masses,
    )
    if sentence := handle.sentence():
        st.info(plain(sentence), icon=":material/balance:")
        st.dataframe(handle.change(), hide_index=True)


@st.cache_data(max_entries=8, show_spinner="Counting shares")
def _counted(home: str, name: str, version: str) -> tuple[pd.DataFrame, pd.DataFrame, Any]:
    """Masses, balance and histogram of a data set's shares; version: the fingerprints of both."""
    handle = Lab(home).data[name].shares
    return handle.masses(), handle.balance(), shares_figure(handle.table().to_numpy(), handle.groups)


def _form(lab: Workspace, data: Dataset) -> None:
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    path = left.text_input(
        "Table of soft group shares on this machine",
        key=f"shares of:{data.dataset_id}",
        placeholder="/data/shares.csv",
        help=f"CSV or parquet: a column image_id, image or path, and columns share/<group> or named as the groups; values "
        f"from 0 to 1 that add up to 1 within {TOLERANCE:g} in every row. Earlier shares are replaced.",
    ).strip()
    if right.button("Import", icon=":material/upload_file:", key="import shares", width="stretch", disabled=not path):
        try:
            Lab(lab).data[data.dataset_id].shares.add(path)
        except FairLabError as error:
            show_error(error)
            return
        st.rerun()
