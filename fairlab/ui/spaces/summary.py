"""The maps as a table: for those who do not see them, and to count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from fairlab.plots.points import Coding
from fairlab.tables import TEXT, WHOLE, Table
from fairlab.ui.spaces.drawing import View

SUMMARY = Table(space=TEXT, value=TEXT, placed=WHOLE, shown=WHOLE, selected=WHOLE)
"""A row is a value of the colour in one map: images with a place, those shown, and those of them selected."""


def summary(views: Sequence[View], coding: Coding, chosen: np.ndarray | None) -> pd.DataFrame:
    """SUMMARY of maps; chosen: ids (N,) of the selected images, None for none. A scale of numbers is one row."""
    rows = []
    for view in views:
        picked = np.zeros(len(view.codes), bool) if chosen is None else np.isin(view.points.ids, chosen)
        for code, name in enumerate([entry.name for entry in coding.entries] or ["all"]):
            here = view.codes == code if coding.entries else np.ones(len(view.codes), bool)
            shown = here & view.shown
            rows.append((view.title, name, int(here.sum()), int(shown.sum()), int((shown & picked).sum())))
    return SUMMARY.build(rows)


def show(views: Sequence[View], coding: Coding, chosen: np.ndarray | None) -> None:
    """The table, folded."""
    with st.expander("The maps as a table", icon=":material/table_rows:"):
        table = summary(views, coding, chosen)
        st.dataframe(table.rename(columns={"placed": "images with a place"}), hide_index=True, width="stretch")
