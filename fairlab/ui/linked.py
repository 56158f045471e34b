"""Two maps over the same images, one selection in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from fairlab import api
from fairlab.config import Projection
from fairlab.data.base import Dataset
from fairlab.errors import FairLabError
from fairlab.plots.spaces import DRAWN_AT_MOST, map_figure
from fairlab.store.projections import StoredMap
from fairlab.store.runs import RunRecord, state
from fairlab.ui import cached, selection
from fairlab.ui.page import chart, plain, show_error
from fairlab.workspace import Workspace

COLOURS = {
    "group": "group",
    "identity": "person",
    "source": "source",
    "split": "part of the data",
    "nearest": "nearest neighbour",
    "norm": "raw length",
}
PICTURE = (
    "A picture, not evidence: distances between clusters mean nothing. For claims use neighbours, ROC and Fairness."
)


@dataclass(frozen=True)
class Side:
    """One of the two spaces: its run, its map if there is one, and a short name."""

    name: str
    run: RunRecord
    map: StoredMap | None


def side(lab: Workspace, name: str, run: RunRecord) -> Side:
    """A space with its newest map."""
    found = cached.maps(lab, run.run_id, run.dataset)
    return Side(name, run, found[0] if found else None)


def make_maps(lab: Workspace, sides: Sequence[Side]) -> bool:
    """Offer the job that draws missing maps; True when both are there. A page never computes one."""
    missing = [item for item in sides if item.map is None]
    if not missing:
        return True
    titles = " and ".join(dict.fromkeys(item.run.title for item in missing))
    job = st.session_state.get("map job", "")
    if job and _going(lab, job):
        _wait(lab, job, titles)
        return False
    st.info(f"There is no map of {plain(titles)} yet.", icon=":material/map:")
    if st.button("Make this map", type="primary", icon=":material/map:", key="draw"):
        try:
            st.session_state["map job"] = api.project(
                lab, list(dict.fromkeys(item.run.run_id for item in sides)), Projection()
            )
        except FairLabError as error:
            show_error(error)
            return False
        st.rerun()
    return False


def _going(lab: Workspace, job: str) -> bool:
    try:
        view = state(lab.run(job))
    except FairLabError:
        return False
    if view.status in ("failed", "crashed", "stopped"):
        st.warning(plain(f"The last attempt {view.status}: {view.reason}"), icon=":material/warning:")
    return view.status in ("running", "queued")


def _wait(lab: Workspace, job: str, titles: str) -> None:
    @st.fragment(run_every=2)
    def waiting() -> None:
        view = state(lab.run(job))
        if view.status not in ("running", "queued"):
            st.rerun()
        st.progress(view.progress or 0.0, f"Drawing the map of {plain(titles)}: {plain(view.stage or 'waiting')}")
        st.caption("A job of its own; you may leave this page.")

    waiting()


@st.cache_data(max_entries=16, show_spinner=False)
def _nearest_same(
    folder: str, dataset_id: str, version: str, _lab: Workspace, run_id: str, _people: np.ndarray
) -> np.ndarray:
    """Per stored row: is its nearest other image the same person's? One search of all rows, kept."""
    embeddings, index = cached.space(_lab, run_id, dataset_id)
    _, ids = index.search(np.asarray(embeddings.vectors), 2)
    first = np.where(ids[:, 0] == embeddings.ids, ids[:, 1], ids[:, 0])
    same: np.ndarray = _people[first] == _people[embeddings.ids]
    return same


def points_of(lab: Workspace, data: Dataset, item: Side, colour_by: str, splits: Sequence[str] = ()) -> pd.DataFrame:
    """The map's points of these parts, with the image table's columns and the one to colour by, at most DRAWN_AT_MOST."""
    assert item.map is not None
    points = item.map.points.merge(data.images, on="image_id", how="inner")
    points = points[points["split"].isin(splits)] if splits else points
    if colour_by in ("nearest", "norm") and len(points):
        embeddings, _ = cached.space(lab, item.run.run_id, data.dataset_id)
        rows = embeddings.rows_of(points["image_id"].to_numpy())
        if colour_by == "norm":
            points = points.assign(norm=embeddings.norms[rows])
        else:
            people = data.images["identity"].to_numpy(dtype=str)
            same = _nearest_same(str(item.run.folder), data.dataset_id, embeddings.hash, lab, item.run.run_id, people)
            points = points.assign(nearest=np.where(same[rows], "same person", "another person"))
    return points.iloc[:: max(1, -(-len(points) // DRAWN_AT_MOST))]


def maps(lab: Workspace, data: Dataset, sides: Sequence[Side], colour_by: str, splits: Sequence[str]) -> None:
    """Both maps side by side; a lasso, box or click in one is the selection of both."""
    chosen = selection.selected(data.dataset_id)
    for column, item in zip(st.columns(len(sides), gap="medium", border=True), sides, strict=True):
        with column:
            points = points_of(lab, data, item, colour_by, splits)
            same = (
                f" · nearest neighbour right for {(points['nearest'] == 'same person').mean():.1%}"
                if colour_by == "nearest" and len(points)
                else ""
            )
            st.markdown(f"**{plain(item.run.title)}**{plain(same)}")
            if points.empty:
                st.info("No point of this map is in these parts.")
                continue
            # The key changes with the selection, so that a new figure carries it and no stale lasso is left.
            key = f"map:{item.name}:{item.run.run_id}:{colour_by}:{hash(chosen.tobytes()) if chosen is not None else 0}"
            chart(
                map_figure(points, colour_by, data.groups, chosen, title=COLOURS.get(colour_by, colour_by)),
                key,
                f"map of {item.run.title}",
                on_select=lambda key=key: selection.take_from_chart(data.dataset_id, key),
                selection_mode=("points", "box", "lasso"),
            )
            st.caption(_caption(item, len(points)))
    st.caption(f":material/visibility: {PICTURE}")


def _caption(item: Side, shown: int) -> str:
    """What the map is and how far to trust it."""
    assert item.map is not None
    about = item.map.facts
    trust = about["trustworthiness"]
    said = "not measured: too few points" if trust != trust else f"{trust:.3f}"
    line = f"{about['method']} · {shown:,} of {about['of']:,} images · seed {about['seed']} · trustworthiness {said}"
    aligned = " · turned to the common space's map" if about.get("aligned_to") else ""
    return plain(line + aligned)
