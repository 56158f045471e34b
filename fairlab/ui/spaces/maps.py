"""Two maps over the same images, one selection in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from fairlab.data.dataset import Dataset
from fairlab.plots.spaces import DRAWN_AT_MOST, map_figure
from fairlab.reading.structured import parse_json
from fairlab.store.database import list_runs
from fairlab.store.embeddings import Embeddings
from fairlab.store.index import Index, index_among
from fairlab.store.projections import StoredMap, how_made
from fairlab.store.runs import RunRecord, state
from fairlab.tables import rows_where
from fairlab.ui.frame import cached
from fairlab.ui.frame.page import chart, plain
from fairlab.ui.spaces import laying_out, selection
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


def side(lab: Workspace, name: str, run: RunRecord, dataset_id: str) -> Side:
    """A space with its newest map of a data set; one with points that have no place is none."""
    found = [item for item in cached.maps(lab, run.run_id, dataset_id) if item.whole]
    return Side(name, run, found[0] if found else None)


def make_maps(lab: Workspace, sides: Sequence[Side], dataset_id: str) -> bool:
    """Offer the job that draws missing maps, or wait for the one at work; True when both maps are there."""
    missing = [item for item in sides if item.map is None]
    every = list(dict.fromkeys(item.run.run_id for item in sides))
    if not missing:
        running = _jobs(lab, set(every), dataset_id)["status"].isin(["running", "queued"]).any()
        shown = min(int(item.map.facts.get("shown") or 0) for item in sides if item.map is not None)
        laying_out.offer_more(lab, every, dataset_id, shown, bool(running))
        return True
    titles = " and ".join(dict.fromkeys(item.run.title for item in missing))
    jobs = _jobs(lab, {item.run.run_id for item in missing}, dataset_id)
    active = jobs[jobs["status"].isin(["running", "queued"])]
    if len(active):
        _wait(lab, active["run_id"].iloc[-1], titles)
        return False
    if len(jobs) and jobs["status"].iloc[-1] != "done":
        last = jobs.iloc[-1]
        st.warning(plain(f"The last attempt {last['status']}: {last['reason']}"), icon=":material/warning:")
    st.info(f"{plain(titles)} has no map yet.", icon=":material/map:")
    images = laying_out.how_many(lab, dataset_id)
    asked = st.button("Create this map", type="primary", icon=":material/map:", key="draw")
    if asked and laying_out.start(lab, every, dataset_id, images):
        st.rerun()
    return False


def _jobs(lab: Workspace, wanted: set[str], dataset_id: str) -> pd.DataFrame:
    """Runs that draw maps of all these spaces over a data set, oldest first."""
    runs = list_runs(lab)
    runs = runs[(runs["role"] == "projection") & (runs["dataset"] == dataset_id)]
    return runs[rows_where(wanted <= set(parse_json(parents, "the catalogue", list)) for parents in runs["parents"])]


def _wait(lab: Workspace, job: str, titles: str) -> None:
    @st.fragment(run_every=2)
    def waiting() -> None:
        view = state(lab.run(job))
        if view.status not in ("running", "queued"):
            st.rerun()
        doing = view.stage or "waiting for its turn"
        st.progress(view.progress or 0.0, f"Drawing the map of {plain(titles)}: {plain(doing)}")
        st.caption("A background job: you can leave this page.")

    waiting()


def among(lab: Workspace, run_id: str, dataset_id: str, splits: Sequence[str]) -> tuple[Embeddings, Index]:
    """A run's embeddings, and the index over those of some parts of the data; no part named: all."""
    embeddings, index = cached.space(lab, run_id, dataset_id)
    if not splits:
        return embeddings, index
    return embeddings, _part(str(lab.home), run_id, dataset_id, embeddings.hash, tuple(sorted(splits)), lab)


@st.cache_resource(max_entries=8, show_spinner=False)
def _part(home: str, run_id: str, dataset_id: str, version: str, splits: tuple[str, ...], _lab: Workspace) -> Index:
    images = cached.dataset(_lab, dataset_id).images
    embeddings, _ = cached.space(_lab, run_id, dataset_id)
    return index_among(embeddings, images.loc[images["split"].isin(splits), "image_id"].to_numpy())


@st.cache_data(max_entries=16, show_spinner=False)
def _nearest_same(
    _lab: Workspace, run_id: str, dataset_id: str, version: str, map_key: str, splits: tuple[str, ...], _ids: np.ndarray
) -> np.ndarray:
    """Per image of a map: is the nearest of all other images of these parts the same person's? One search, kept."""
    embeddings, index = among(_lab, run_id, dataset_id, splits)
    people = cached.dataset(_lab, dataset_id).images["identity"].to_numpy(dtype=str)
    _, found = index.search(np.asarray(embeddings.vectors[embeddings.rows_of(_ids)]), 2)
    found = np.pad(found, ((0, 0), (0, 2 - found.shape[1])), constant_values=-1)
    first = np.where(found[:, 0] == _ids, found[:, 1], found[:, 0])
    same: np.ndarray = (first >= 0) & (people[first] == people[_ids])
    return same


def points_of(lab: Workspace, data: Dataset, item: Side, colour_by: str, splits: Sequence[str] = ()) -> pd.DataFrame:
    """The map's points of these parts, with the image table's columns and the one to colour by, at most DRAWN_AT_MOST."""
    assert item.map is not None
    points = item.map.points.merge(data.images, on="image_id", how="inner")
    points = points[points["split"].isin(splits)] if splits else points
    if colour_by in ("nearest", "norm") and len(points):
        embeddings, _ = cached.space(lab, item.run.run_id, data.dataset_id)
        ids = points["image_id"].to_numpy()
        if colour_by == "norm":
            points = points.assign(norm=embeddings.norms[embeddings.rows_of(ids)])
        else:
            where = (item.run.run_id, data.dataset_id, embeddings.hash, item.map.key, tuple(sorted(splits)))
            points = points.assign(nearest=np.where(_nearest_same(lab, *where, ids), "same person", "another person"))
    return points.iloc[:: max(1, -(-len(points) // DRAWN_AT_MOST))]


def maps(lab: Workspace, data: Dataset, sides: Sequence[Side], colour_by: str, splits: Sequence[str]) -> None:
    """Both maps side by side; a lasso, box or click in one is the selection of both."""
    chosen = selection.selected(data.dataset_id)
    for column, item in zip(st.columns(len(sides), gap="medium", border=True), sides, strict=True):
        with column:
            points = points_of(lab, data, item, colour_by, splits)
            same = (
                f" · nearest neighbour right for {(points['nearest'] == 'same person').mean():.1%} "
                f"(within {', '.join(splits) or 'all parts, including those it was trained on'})"
                if colour_by == "nearest" and len(points)
                else ""
            )
            st.markdown(f"**{plain(item.run.title)}**{plain(same)}")
            if points.empty:
                st.info("This map has no points in these parts.")
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
    selection.take_click(data.dataset_id)
    st.caption(f":material/visibility: {PICTURE}")


def _caption(item: Side, shown: int) -> str:
    """What the map is and how far to trust it."""
    assert item.map is not None
    about = item.map.facts
    trust = about["trustworthiness"]
    said = f"n/a: {about.get('trust_reason') or 'too few points'}" if trust != trust else f"{trust:.3f}"
    line = f"{about['method']} · {shown:,} of {about['of']:,} images · seed {about['seed']} · trustworthiness {said}"
    aligned = " · rotated to match the common space" if about.get("aligned_to") else ""
    return plain(". ".join([line + aligned, *how_made(about), *about.get("notes", ())]))
