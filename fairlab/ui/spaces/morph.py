"""From the left map to the right one, by a slider or by playing; a selection stands out all the way."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from fairlab.data.dataset import Dataset
from fairlab.plots.morph import POINTS, morph_figure
from fairlab.store.projections import StoredMap
from fairlab.store.runs import RunRecord
from fairlab.ui.frame import cached, choices
from fairlab.ui.frame.page import chart, plain
from fairlab.ui.spaces import selection
from fairlab.workspace import Workspace

KEY, ON = "morph", "True"
"""The link's parameter, and its value while the figure is shown."""


def section(lab: Workspace, data: Dataset, spaces: tuple[RunRecord, RunRecord], splits: Sequence[str]) -> None:
    """A switch, and under it the figure that leads from one space's map to the other's; nothing where a map is missing."""
    left, right = (_map(lab, run, data.dataset_id) for run in spaces)
    if left is None or right is None or spaces[0].run_id == spaces[1].run_id:
        return
    choices.place(KEY, choices.asked(KEY)[-1:] == [ON])
    shown = st.toggle("Move from one map to the other", key=KEY, on_change=choices.taken, args=(KEY,))
    choices.placed(KEY)
    choices.show(KEY, [ON] if shown else [])
    if not shown:
        return
    before, after = (item.points[["image_id", "x", "y"]] for item in (left, right))
    before = before.merge(data.images[["image_id", "group", "split"]], on="image_id")
    before = before[before["split"].isin(splits)] if splits else before
    both = int(before["image_id"].isin(after["image_id"]).sum())
    if not both:
        st.info("The two maps have no image in common in these parts, so no point can move.", icon=":material/info:")
        return
    chosen = selection.selected(data.dataset_id)
    titles = spaces[0].title, spaces[1].title
    figure = morph_figure(before, after, data.groups, titles, chosen)
    # Another selection or pair is another figure: the slider begins at the left map again.
    key = f"morph:{spaces[0].run_id}:{spaces[1].run_id}:{hash(chosen.tobytes()) if chosen is not None else 0}"
    chart(figure, key, f"points moving from the map of {titles[0]} to that of {titles[1]}")
    drawn = f"{both:,} images are in both maps" + (
        f"; at most {POINTS:,} are drawn, and as many selected ones" if both > POINTS else ""
    )
    st.caption(
        plain(
            f"{drawn}. The second map is turned and scaled to the first. A picture, not evidence: the way means nothing."
        )
    )


def _map(lab: Workspace, run: RunRecord, dataset_id: str) -> StoredMap | None:
    return next((item for item in cached.maps(lab, run.run_id, dataset_id) if item.whole), None)
