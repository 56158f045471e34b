"""Which of many runs a page shows: searched, filtered, and of what remains the newest."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from fairlab.store.finding import known_tags, matching
from fairlab.ui.frame import choices

FEW = 12
"""Up to so many runs without tags and stars there is nothing to search."""
MOST = 500
"""Rows sent to the browser, at every tick while something works; 10,000 would be a megabyte each time."""


def newest(runs: pd.DataFrame, always: str | None = None) -> pd.DataFrame:
    """At most MOST runs, those made last, and the one that the page's link asks for."""
    return runs[(runs.index >= runs.index[-MOST]) | (runs["run_id"] == always)] if len(runs) > MOST else runs


def find(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs to show, as search box and filters say; without them for a few."""
    tags, starred = known_tags(runs), bool(runs["star"].any())
    if len(runs) <= FEW and not tags and not starred:
        return runs
    boxes = st.columns([2, 1, 1, 1, 0.6], vertical_alignment="bottom")
    words = boxes[0].text_input(
        "Search", key="runs searched", placeholder="words in title, id, method, study, tags, note"
    )
    statuses = boxes[1].multiselect("Status", sorted(runs["status"].unique()), key="runs of status")
    roles = boxes[2].multiselect("Role", sorted(runs["role"].unique()), key="runs of role")
    with_tags = boxes[3].multiselect("Tags", tags, key="runs with tags")
    only = boxes[4].checkbox("Starred", key="runs with a star")
    found = matching(runs, words, statuses, roles, with_tags, only)
    if len(found) > MOST:
        st.caption(f"{len(found):,} of {len(runs):,} runs match; the newest {MOST} are shown.")
    elif len(found) < len(runs):
        st.caption(f"{len(found):,} of {len(runs):,} runs match.")
    return newest(found, next(iter(choices.asked("run")), None))


def study_names(studies: pd.DataFrame) -> dict[str, str]:
    """What each study is called in a list, by its id: star, title, id and tags, so that typing finds any of them."""
    return {
        row.study_id: " · ".join(filter(None, ["★" if row.star else "", row.title, row.study_id, row.tags]))
        for row in studies.itertuples()
    }
