"""A study over several data sets, in one table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from fairlab.compare import compare
from fairlab.compare.exports import as_csv
from fairlab.compare.over_sets import over_sets, sets_of, shown_sets
from fairlab.tables import TEXT, Table
from fairlab.ui.frame.page import plain
from fairlab.workspace import Workspace


@st.cache_data(max_entries=8, show_spinner="Comparing models on each data set ...")
def _table(home: str, study: str, seed: int | None, protocol: str, version: str) -> pd.DataFrame:
    return over_sets(Workspace(Path(home)), study, (), seed, protocol)


def several_sets(lab: Workspace, study: str, seed: int | None, protocol: str) -> None:
    """A column per data set that models of the study are evaluated on; nothing where there is one."""
    if not study or len(sets_of(lab, study)) < 2:
        return
    table = _table(str(lab.home), study, seed, protocol, compare.stamp(lab, study))
    if len(shown_sets(table)) < 2:
        return
    st.subheader("On all data sets", anchor=False)
    st.dataframe(readable(table), hide_index=True)
    st.caption(
        "Mean accuracy over groups in %, ten folds, a threshold for each group, with 95 % intervals; STD in points. Empty: "
        "not evaluated there. The setting tested_on of a study names data sets on which all of its models are evaluated."
    )
    name = f"compare-{study}-all-sets.csv"
    st.download_button("CSV", as_csv(table), name, "text/csv", icon=":material/download:", key="sets as csv")


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table of over_sets with each number beside its interval, as text."""
    found = {"Model": [plain(name) for name in table["model"]]}
    for name in shown_sets(table):
        ends = (table[f"mean{end}:{name}"] for end in ("", "_low", "_high"))
        found[plain(name)] = [
            "" if pd.isna(value) else f"{value:.1f} [{low:.1f}, {high:.1f}]" if pd.notna(low) else f"{value:.1f}"
            for value, low, high in zip(*ends, strict=True)
        ]
        if f"std:{name}" in table:
            found[f"{plain(name)}: STD"] = ["" if pd.isna(one) else f"{one:.1f}" for one in table[f"std:{name}"]]
    return Table(**dict.fromkeys(found, TEXT)).of(found)
