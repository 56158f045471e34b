"""The hardest impostors of all comparisons as pairs of faces, at the operating point of the page."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from fairlab.compare.hardest import COUNTED, hardest_pairs, kept_of
from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.error_pairs import Wanted, of_groups
from fairlab.evaluation.operating import OperatingPoint
from fairlab.evaluation.summary import point_words
from fairlab.store.results import protocol_folder
from fairlab.store.runs import RunRecord
from fairlab.ui.frame import cached, choices
from fairlab.ui.frame.numbers import download
from fairlab.ui.frame.page import plain
from fairlab.ui.frame.pickers import choose
from fairlab.ui.judge.one_pair import points_link, traits
from fairlab.ui.judge.operating import LINK
from fairlab.ui.judge.pair_gallery import as_pair, pair_gallery, pick_page
from fairlab.workspace import Workspace

EVERY = ""
PAGE, PAIR = "hardest page", "hardest pair"


def section(lab: Workspace, run: RunRecord, data: Dataset) -> None:
    """False matches among the impostors that were kept, by groups; drawn again by itself. Nothing before they were kept."""
    if not (protocol_folder(run.folder, data.dataset_id, COUNTED) / "hardest.parquet").exists():
        st.caption(
            "This evaluation did not keep the hardest impostor pairs. Evaluate by all comparisons again to see them."
        )
        return
    st.markdown("**Hardest impostors of all comparisons**")
    point = _point()

    @st.fragment
    def drawn() -> None:
        try:
            _drawn(lab, run, data, point)
        except FairLabError as error:
            st.warning(plain(error), icon=":material/warning:")
        choices.finish_part()

    drawn()


def _point() -> OperatingPoint:
    """The page's operating point; the one asked for, or else FMR 1 %, where the page has none."""
    shown = choices.shown(LINK) or choices.asked(LINK)
    try:
        return OperatingPoint.of(shown[-1]) if shown else OperatingPoint("pooled", 0.01)
    except FairLabError:
        return OperatingPoint("pooled", 0.01)


@st.cache_data(max_entries=8, show_spinner=False)
def _tables(home: str, run_id: str, stamp: int, point: str, _run: RunRecord, _data: Dataset) -> list[pd.DataFrame]:
    at = OperatingPoint.of(point)
    return [hardest_pairs(_run, _data, at, Wanted()), kept_of(_run, _data, at)]


def _drawn(lab: Workspace, run: RunRecord, data: Dataset, point: OperatingPoint) -> None:
    stamp = cached.stamp_of_results(lab, run.run_id, data.dataset_id)
    found, kept = _tables(str(lab.home), f"{run.run_id} {data.dataset_id}", stamp, point.name, run, data)
    left, right = st.columns(2)
    with left:
        one = choose("Group", [EVERY, *data.groups], "hardest group", {EVERY: "all groups"})
    other = EVERY
    if one != EVERY and len(data.groups) > 1:
        with right:
            other = choose("And group", [EVERY, *data.groups], "hardest other group", {EVERY: "any group"})
    if one != EVERY:
        found, kept = (table[of_groups(table, one, other)] for table in (found, kept))
    total = int(kept["false_matches"].sum())
    st.markdown(
        f"**{total:,}** false matches of {int(kept['impostor_pairs'].sum()):,} impostor pairs "
        f"{plain(point_words(point))}; the worst first"
    )
    if found.empty:
        st.caption("None of them is kept as a pair.")
        return
    if len(found) < total:
        st.caption(f"The {len(found):,} hardest are kept as pairs: a bounded number of every two groups.")
    page = pick_page(PAGE, len(found), f"{run.run_id} {point.name} {one} {other}")
    picked = choices.asked(PAIR, data.dataset_id)
    shown = [as_pair(row, picked == [str(row["pair_id"])]) for row in found.iloc[page].to_dict("records")]
    clicked = pair_gallery(data.dataset_id, shown, "hardest", pictures=data.has_images)
    if clicked is not None and picked != [str(clicked)]:
        choices.choose(PAIR, [str(clicked)], data.dataset_id)
        st.rerun(scope="fragment")
    download(found, f"hardest-{run.run_id}-{data.dataset_id}", late=True)
    _one(run, data, found, picked)


def _one(run: RunRecord, data: Dataset, found: pd.DataFrame, picked: list[str]) -> None:
    """The pair that was clicked: who they are, and the way to its two points."""
    rows = found[(found["pair_id"].astype(str) == picked[-1]).to_numpy()] if picked else found.iloc[:0]
    choices.show(PAIR, picked if len(rows) else [])
    if rows.empty:
        st.caption("Click a pair for both people's attributes and its two points on a map.")
        return
    row = rows.iloc[0]
    traits(data, row)
    points_link(run, data, [int(row["image_a"]), int(row["image_b"])])
