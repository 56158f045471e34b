"""Maps without WebGL: Plotly draws fewer points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from fairlab.data.dataset import Dataset
from fairlab.plots.spaces import map_figure
from fairlab.ui.frame.page import chart, plain
from fairlab.ui.spaces import selection
from fairlab.ui.spaces.drawing import View

AT_MOST = 5_000
"""Points that Plotly draws in a map without WebGL."""


def draw(data: Dataset, views: Sequence[View], columns: Sequence[np.ndarray], colour_by: str, meaning: str) -> None:
    """The maps as Plotly figures, each of AT_MOST points evenly spaced; a lasso, box or click selects in all of them."""
    st.info(
        f"This browser has no WebGL, so each map shows {AT_MOST:,} points at most, evenly spaced, and a lasso selects only "
        "those.",
        icon=":material/info:",
    )
    chosen = selection.selected(data.dataset_id)
    for column, view, values in zip(st.columns(len(views), border=True), views, columns, strict=True):
        rows = np.flatnonzero(view.shown)
        rows = rows[:: max(1, -(-len(rows) // AT_MOST))]
        points = pd.DataFrame(
            {
                "image_id": view.points.ids[rows],
                "x": view.points.places[rows, 0],
                "y": view.points.places[rows, 1],
                colour_by: values[rows],
            }
        )
        with column:
            st.markdown(f"**{plain(view.title)}**")
            if points.empty:
                st.info("This map has no points to show.")
                continue
            # The key changes with the selection, so that a new figure carries it and no stale lasso is left.
            key = f"map:{view.name}:{view.run_id}:{colour_by}:{hash(chosen.tobytes()) if chosen is not None else 0}"
            chart(
                map_figure(points, colour_by, data.groups, chosen, title=meaning),
                key,
                f"map of {view.title}",
                on_select=lambda key=key: selection.take_from_chart(data.dataset_id, key),
                selection_mode=("points", "box", "lasso"),
            )
            st.caption(f"{plain(view.note)} · {len(points):,} drawn")
    selection.take_click(data.dataset_id)
