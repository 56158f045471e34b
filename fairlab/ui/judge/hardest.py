"""The hardest impostors of all comparisons as pairs of faces, at the operating point of the page."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from fairlab.compare.hardest import COUNTED, hardest_pairs, kept_of
from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.error_pairs import Wanted
from fairlab.evaluation.operating import OperatingPoint
from fairlab.evaluation.summary import point_words
from fairlab.files import app_root
from fairlab.store.results import protocol_folder
from fairlab.store.runs import SPACES, RunRecord
from fairlab.tables import texts
from fairlab.ui.frame import cached, choices
from fairlab.ui.frame.numbers import download
from fairlab.ui.frame.page import plain
from fairlab.ui.frame.pickers import choose
from fairlab.ui.judge.operating import LINK
from fairlab.ui.judge.pair_gallery import Pair, pair_gallery
from fairlab.ui.spaces import selection
from fairlab.workspace import Workspace

EACH = 24
"""Pairs on a page."""
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
    found = found[_of(found, one, other)]
    counts = kept[_of(kept, one, other)]
    total = int(counts["false_matches"].sum())
    st.markdown(
        f"**{total:,}** false matches of {int(counts['impostor_pairs'].sum()):,} impostor pairs "
        f"{plain(point_words(point))}; the worst first"
    )
    if found.empty:
        st.caption("None of them is kept as a pair.")
        return
    if len(found) < total:
        st.caption(f"The {len(found):,} hardest are kept as pairs: a bounded number of every two groups.")
    number = _page(-(-len(found) // EACH), f"{run.run_id} {point.name} {one} {other}")
    picked = choices.asked(PAIR, data.dataset_id)
    rows = found.iloc[(number - 1) * EACH : number * EACH].to_dict("records")
    shown = [_pair(row, picked == [str(row["pair_id"])]) for row in rows]
    clicked = pair_gallery(data.dataset_id, shown, "hardest", pictures=data.has_images)
    if clicked is not None and picked != [str(clicked)]:
        choices.choose(PAIR, [str(clicked)], data.dataset_id)
        st.rerun(scope="fragment")
    download(found, f"hardest-{run.run_id}-{data.dataset_id}", late=True)
    _one(run, data, found, picked)


def _of(table: pd.DataFrame, one: str, other: str) -> np.ndarray:
    """(N,) rows of a group, or of two."""
    sides = [(table[f"group_{side}"] == one).to_numpy() for side in "ab"]
    if one == EVERY:
        return np.ones(len(table), dtype=bool)
    if other == EVERY:
        return np.asarray(sides[0] | sides[1])
    others = [(table[f"group_{side}"] == other).to_numpy() for side in "ab"]
    return np.asarray((sides[0] & others[1]) | (sides[1] & others[0]))


def _page(pages: int, of: str) -> int:
    """The number of the page, in the link; other filters begin at the first."""
    asked = choices.asked(PAGE, of)
    number = int(asked[-1]) if asked and asked[-1].isdecimal() and 1 <= int(asked[-1]) <= pages else 1
    if pages > 1:
        key = f"{PAGE} {of}"
        if st.session_state.get(key, number) != number:
            st.session_state[key] = number
        number = int(st.pagination(pages, default=number, key=key, on_change=_paged, args=(key, of)))
    choices.show(PAGE, [str(number)] if pages > 1 else [])
    return number


def _paged(key: str, of: str) -> None:
    choices.choose(PAGE, [str(st.session_state[key])], of)


def _pair(row: dict[str, object], picked: bool) -> Pair:
    """A row of compare.pairs.PAIRS_BEHIND as two faces."""
    groups = str(row["group_a"]) if row["group_a"] == row["group_b"] else f"{row['group_a']} and {row['group_b']}"
    return Pair(
        int(str(row["pair_id"])),
        (int(str(row["image_a"])), int(str(row["image_b"]))),
        f"{row['score']:.3f} ({row['distance']:+.3f})",
        (str(row["identity_a"]), str(row["identity_b"]), groups),
        chosen=picked,
    )


def _one(run: RunRecord, data: Dataset, found: pd.DataFrame, picked: list[str]) -> None:
    """The pair that was clicked: who they are, and the way to its two points."""
    rows = found[(found["pair_id"].astype(str) == picked[-1]).to_numpy()] if picked else found.iloc[:0]
    choices.show(PAIR, picked if len(rows) else [])
    if rows.empty:
        st.caption("Click a pair for both people's attributes and its two points on a map.")
        return
    row = rows.iloc[0]
    named = [str(name)[: -len("_a")] for name in found if str(name).endswith("_a") and name != "image_a"]
    shown = [
        {"": plain(name), **{f"Image {row[f'image_{side}']}": plain(row[f"{name}_{side}"]) for side in "ab"}}
        for name in named
    ]
    st.table(texts(shown), border="horizontal", hide_index=True)
    if run.role in SPACES:
        images = np.array([row["image_a"], row["image_b"]], dtype=np.int64)
        link = {"on": data.dataset_id, "left": run.run_id, selection.PARAMETER: selection.encode(images)}
        st.page_link(
            app_root() / "pages" / "spaces.py",
            label="Both points in Spaces",
            icon=":material/scatter_plot:",
            query_params=link,
        )
