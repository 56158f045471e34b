"""Maps over the same images, one selection in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from fairlab.compare.columns.base import COLUMNS, TRAIT, Space, labels, values
from fairlab.compare.columns.nearest import OTHER, SAME
from fairlab.data.dataset import Dataset
from fairlab.data.traits import traits_fingerprint
from fairlab.plots.points import coded
from fairlab.reading.structured import parse_json
from fairlab.store.database import list_runs
from fairlab.store.embeddings import Embeddings
from fairlab.store.index import Index, index_among
from fairlab.store.moved import stamp_of
from fairlab.store.projections import StoredMap, how_made
from fairlab.store.runs import SPACES, RunRecord, state
from fairlab.tables import rows_where
from fairlab.ui.frame import cached, choices
from fairlab.ui.frame.page import plain
from fairlab.ui.frame.pickers import choose_many, title_of
from fairlab.ui.spaces import drawing, fallback, laying_out, selection, summary
from fairlab.ui.spaces.lasso import rising
from fairlab.ui.spaces.points import Points, points_of
from fairlab.workspace import Workspace

MORE, MOST_SPACES = "more", 6
MOVED = "moved"
"""The column that a job has to measure before."""
PICTURE = (
    "A picture, not evidence: distances between clusters mean nothing. For claims use neighbours, ROC and Fairness."
)


@dataclass(frozen=True)
class Side:
    """One of the spaces: its run, its map if there is one, and a short name."""

    name: str
    run: RunRecord
    map: StoredMap | None


def side(lab: Workspace, name: str, run: RunRecord, dataset_id: str) -> Side:
    """A space with its newest map of a data set; one with points that have no place is none."""
    found = [item for item in cached.maps(lab, run.run_id, dataset_id) if item.whole]
    return Side(name, run, found[0] if found else None)


def more_sides(lab: Workspace, models: Sequence[RunRecord], chosen: Sequence[RunRecord], dataset_id: str) -> list[Side]:
    """Further spaces beside those chosen, MOST_SPACES together, as the link names them."""
    names = {model.run_id: title_of(model, models) for model in models if model.role in SPACES}
    most = MOST_SPACES - len(chosen)
    asked = choices.asked(MORE)
    if len(asked) > most:
        choices.keep(MORE, asked[:most])
    wanted = choose_many("More spaces", list(names), MORE, names, placeholder="none", max_selections=most)
    known = {run.run_id for run in chosen}
    runs = [model for model in models if model.run_id in wanted and model.run_id not in known]
    return [side(lab, f"{MORE} {run.run_id}", run, dataset_id) for run in runs]


def make_maps(lab: Workspace, sides: Sequence[Side], dataset_id: str) -> bool:
    """Offer the job that draws missing maps, or wait for the one at work; True when both maps are there."""
    missing = [item for item in sides if item.map is None]
    every = list(dict.fromkeys(item.run.run_id for item in sides))
    if not missing:
        running = _jobs(lab, set(every), dataset_id)["status"].isin(["running", "queued"]).any()
        drawn = [item.map.facts for item in sides if item.map is not None]
        smallest = min(drawn, key=lambda facts: int(facts.get("shown") or 0))
        laying_out.offer_more(lab, every, dataset_id, smallest, bool(running))
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


@st.cache_data(max_entries=32, show_spinner="Computing the colours ...")
def _column(
    home: str, version: tuple[str, ...], colour_by: str, splits: tuple[str, ...], _space: Space, _ids: np.ndarray
) -> np.ndarray:
    """A column of a space for the images of a map, kept until the vectors, the map or the data change."""
    return values(_space, colour_by, _ids)


def _space(lab: Workspace, item: Side, data: Dataset, splits: Sequence[str], beside: RunRecord | None) -> Space:
    return Space(lab, item.run, data, tuple(sorted(splits)), beside)


@dataclass(frozen=True)
class Wish:
    """What the maps should show: their colour, the parts of the data, and the images that remain (N,), None for all."""

    colour_by: str
    splits: Sequence[str] = ()
    kept: np.ndarray | None = None


def _columns(lab: Workspace, data: Dataset, sides: Sequence[Side], wish: Wish) -> list[np.ndarray]:
    """The column to colour by, for the points of every map."""
    found = []
    for item in sides:
        assert item.map is not None
        beside = next((other.run for other in sides if other.run.run_id != item.run.run_id), None)
        space = _space(lab, item, data, wish.splits, beside)
        computed = wish.colour_by in COLUMNS
        vectors = cached.space(lab, item.run.run_id, data.dataset_id)[0].hash if computed else ""
        measured = stamp_of(item.run, beside, data.dataset_id) if beside and wish.colour_by == MOVED else ""
        measured = traits_fingerprint(data) if wish.colour_by.startswith(TRAIT) else measured
        version = (item.run.run_id, data.fingerprint, item.map.key, beside.run_id if beside else "", vectors, measured)
        ids = points_of(item.map, data).ids
        found.append(_column(str(lab.home), version, wish.colour_by, space.splits, space, ids))
    return found


def _shown(data: Dataset, points: Points, codes: np.ndarray, hidden: Sequence[int], wish: Wish) -> np.ndarray:
    """(N,) bool: points of the parts, filters and names of the legend that are wished for."""
    shown = ~np.isin(codes, hidden)
    if wish.splits:
        shown &= data.images["split"].isin(wish.splits).to_numpy()[points.ids]
    if wish.kept is not None:
        shown &= wish.kept[points.ids]
    return shown


def maps(lab: Workspace, data: Dataset, sides: Sequence[Side], wish: Wish) -> None:
    """The maps side by side; a lasso, box or click in one is the selection of all."""
    columns = _columns(lab, data, sides, wish)
    coding = coded(columns, wish.colour_by, data.groups)
    hidden = drawing.hidden_names(data.dataset_id, wish.colour_by, coding)
    gone = [code for code, entry in enumerate(coding.entries) if entry.name in hidden]
    views = []
    for item, column, codes in zip(sides, columns, coding.codes, strict=True):
        assert item.map is not None
        points = points_of(item.map, data)
        shown = _shown(data, points, codes, gone, wish)
        note = f"{_caption(item)}{_rightness(column[shown], wish)}"
        views.append(drawing.View(item.name, item.run.run_id, item.run.title, note, points, codes, shown))
    meaning = labels(data)[wish.colour_by]
    if st.session_state.get(drawing.FAILED):
        fallback.draw(data, views, columns, wish.colour_by, meaning)
    else:
        drawing.draw(data, views, coding, wish.colour_by, meaning)
    if wish.colour_by == MOVED and all(np.isnan(column).all() for column in columns):
        st.info(
            "What moved between these two spaces has not been measured yet: *What moved* at the end of this page does it.",
            icon=":material/info:",
        )
    st.caption(f":material/visibility: {PICTURE}")
    _all_shown(data, views)
    summary.show(views, coding, selection.selected(data.dataset_id))


def _all_shown(data: Dataset, views: Sequence[drawing.View]) -> None:
    """A way to select without a mouse: what the filters and the legend leave."""
    ids = rising(np.concatenate([view.points.ids[view.shown] for view in views]))
    if st.button(
        f"Select all {len(ids):,} shown", key="all shown", icon=":material/select_all:", disabled=not len(ids)
    ):
        selection.select(data.dataset_id, ids)
        st.rerun()


def _rightness(column: np.ndarray, wish: Wish) -> str:
    """The share of images whose nearest neighbour is the same person, where that is the colour."""
    if wish.colour_by != "nearest":
        return ""
    right, wrong = int((column == SAME).sum()), int((column == OTHER).sum())
    if right + wrong == 0:
        return " · nearest neighbour right: n/a, no image shown was searched for"
    within = ", ".join(wish.splits) or "all parts, including those it was trained on"
    return f" · nearest neighbour right for {right / (right + wrong):.1%} ({right:,} of {right + wrong:,}; within {within})"


def _caption(item: Side) -> str:
    """What the map is and how far to trust it."""
    assert item.map is not None
    about = item.map.facts
    trust = about["trustworthiness"]
    said = f"n/a: {about.get('trust_reason') or 'too few points'}" if trust != trust else f"{trust:.3f}"
    line = f"{about['method']} · {about['shown']:,} of {about['of']:,} images have a place · seed {about['seed']} · trustworthiness {said}"
    aligned = " · rotated to match the common space" if about.get("aligned_to") else ""
    return ". ".join([line + aligned, *how_made(about), *about.get("notes", ())])
