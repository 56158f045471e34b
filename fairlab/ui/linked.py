"""Two maps over the same images, one selection in both, and the neighbours of a face in each space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from fairlab import api
from fairlab.config import Projection
from fairlab.data.base import Dataset
from fairlab.plots.spaces import DRAWN_AT_MOST, map_figure
from fairlab.store.index import neighbours
from fairlab.store.projections import StoredMap
from fairlab.store.runs import RunRecord
from fairlab.ui import cached, selection
from fairlab.ui.gallery import Face, faces
from fairlab.ui.page import chart_config, plain
from fairlab.workspace import Workspace

SHOWN_FACES = 48
COLOURS = {
    "group": "group",
    "identity": "person",
    "source": "source",
    "split": "part of the data",
    "nearest": "nearest neighbour is the same person",
    "norm": "length of the raw embedding",
}


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
    """Offer the job that draws missing maps; True when both are there."""
    missing = [item for item in sides if item.map is None]
    if not missing:
        return True
    st.info(
        f"There is no map of {plain(' and '.join(item.run.title for item in missing))} yet.", icon=":material/info:"
    )
    if st.button("Draw it", type="primary", icon=":material/map:", key="draw"):
        api.project(lab, list(dict.fromkeys(item.run.run_id for item in sides)), Projection())
        st.toast("The map is being drawn; it appears on this page.")
        st.rerun()
    return False


@st.cache_data(max_entries=16, show_spinner=False)
def _nearest_same(
    run_folder: str, dataset_id: str, version: str, _lab: Workspace, run_id: str, _identity: np.ndarray
) -> np.ndarray:
    """Per stored row: is its nearest other image the same person's? One search of all rows, kept."""
    embeddings, index = cached.space(_lab, run_id, dataset_id)
    _, ids = index.search(np.asarray(embeddings.vectors), 2)
    first = np.where(ids[:, 0] == embeddings.ids, ids[:, 1], ids[:, 0])
    same: np.ndarray = _identity[first] == _identity[embeddings.ids]
    return same


def points_of(lab: Workspace, data: Dataset, item: Side, colour_by: str) -> pd.DataFrame:
    """The map's points with the image table's columns and the one to colour by, at most DRAWN_AT_MOST."""
    assert item.map is not None
    points = item.map.points.merge(data.images, on="image_id", how="left")
    embeddings, _ = cached.space(lab, item.run.run_id, data.dataset_id)
    rows = embeddings.rows_of(points["image_id"].to_numpy())
    if colour_by == "nearest":
        identity = data.images["identity"].to_numpy(dtype=str)
        same = _nearest_same(str(item.run.folder), data.dataset_id, embeddings.hash, lab, item.run.run_id, identity)
        points["nearest"] = np.where(same[rows], "same person", "another person")
    elif colour_by == "norm":
        points["norm"] = embeddings.norms[rows]
    return points.iloc[:: max(1, -(-len(points) // DRAWN_AT_MOST))]


def maps(lab: Workspace, data: Dataset, sides: Sequence[Side], colour_by: str, splits: Sequence[str]) -> None:
    """Both maps side by side; a lasso, box or click in one is the selection of both."""
    chosen = selection.selected()
    for column, item in zip(st.columns(len(sides)), sides, strict=True):
        with column:
            assert item.map is not None
            st.markdown(f"**{plain(item.run.title)}**")
            points = points_of(lab, data, item, colour_by)
            points = points[points["split"].isin(splits)] if splits else points
            # The key changes with the selection, so that a new figure carries it and no stale lasso is left.
            key = f"map:{item.name}:{item.run.run_id}:{colour_by}:{hash(chosen.tobytes()) if chosen is not None else 0}"
            st.plotly_chart(
                map_figure(points, colour_by, data.groups, chosen),
                theme=None,
                key=key,
                config=chart_config(),
                on_select=lambda key=key: selection.take_from_chart(key),
                selection_mode=("points", "box", "lasso"),
                alt=f"map of {item.run.title}",
            )
            facts = item.map.facts
            st.caption(
                f"{facts['method']}, {len(points):,} of {facts['of']:,} images · seed {facts['seed']} · trustworthiness "
                f"{facts['trustworthiness']:.3f} (1 = neighbours on the map are neighbours in the space)"
                + (" · started from the other's map" if facts.get("aligned_to") else "")
            )
    st.caption(
        "A picture, not evidence: distances between clusters mean nothing. For claims use neighbours, ROC and Fairness."
    )


def chosen_faces(data: Dataset) -> int | None:
    """The selected images as faces; returns the one whose neighbours are asked for (also in the link)."""
    chosen = selection.selected()
    images = data.images
    if chosen is not None:
        chosen = chosen[(chosen >= 0) & (chosen < len(images))]
    asked = st.query_params.get("face", "")
    if chosen is None or len(chosen) == 0:
        st.info(
            "Draw a lasso or a box around points, or click one: their faces appear here.", icon=":material/gesture:"
        )
    else:
        part = images.iloc[chosen]
        counts = ", ".join(f"{plain(group)} {count}" for group, count in part["group"].value_counts().items())
        left, right = st.columns([5, 1], vertical_alignment="center")
        left.markdown(f"**{len(chosen)} images selected** of {part['identity'].nunique()} people: {counts}")
        if right.button("Clear", icon=":material/close:", key="clear"):
            selection.select(None)
            st.rerun()
        shown = [
            Face(int(row.image_id), row.identity, row.group, state="chosen" if str(row.image_id) == asked else "")
            for row in part.head(SHOWN_FACES).itertuples()
        ]
        clicked = faces(data.dataset_id, shown, "selected")
        if len(chosen) > SHOWN_FACES:
            st.caption(f"The first {SHOWN_FACES} are shown.")
        if clicked is not None:
            st.query_params["face"] = str(clicked)
            st.rerun()
    return int(asked) if asked.isdigit() and int(asked) < len(images) else None


def neighbour_panels(lab: Workspace, data: Dataset, sides: Sequence[Side], image_id: int, k: int = 12) -> None:
    """The nearest faces of one face in each space; another person among them is marked."""
    images = data.images.set_index("image_id")
    me = images.loc[image_id]
    st.subheader("Nearest neighbours", anchor=False)
    top, text = st.columns([1, 6], vertical_alignment="center")
    with top:
        faces(data.dataset_id, [Face(image_id, me["identity"], me["group"], state="chosen")], "query", 96)
    text.markdown(
        f"Image {image_id} of **{plain(me['identity'])}**, {plain(me['group'])}. Green: the same person. Red: another person."
    )
    for column, item in zip(st.columns(len(sides)), sides, strict=True):
        with column:
            embeddings, index = cached.space(lab, item.run.run_id, data.dataset_id)
            found = neighbours(index, embeddings, image_id, k)
            shown, right = [], 0
            for row in found.itertuples():
                other = images.loc[row.image_id]
                same = other["identity"] == me["identity"]
                right += bool(same)
                mark = "" if same else "another person" + ("" if other["group"] == me["group"] else ", other group")
                shown.append(
                    Face(
                        int(row.image_id),
                        other["identity"],
                        f"{row.score:.3f} · {other['group']}",
                        mark,
                        "right" if same else "wrong",
                    )
                )
            exact = "exact search" if index.recall == 1 else f"approximate search, recall {index.recall:.2f}"
            st.markdown(f"**{plain(item.run.title)}**: {right} of {len(shown)} are the same person")
            clicked = faces(data.dataset_id, shown, f"near:{item.name}")
            st.caption(f"Cosine in {embeddings.vectors.shape[1]} dimensions, {exact}.")
            if clicked is not None:
                st.query_params["face"] = str(clicked)
                st.rerun()
