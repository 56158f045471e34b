"""Which of many runs a page shows: searched, filtered, and of what remains the newest."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from fairlab.ui.frame import choices

FEW = 50
"""Up to so many runs there is nothing to search."""
MOST = 500
"""Rows sent to the browser, at every tick while something works; 10,000 would be a megabyte each time."""


def matching(runs: pd.DataFrame, words: str, statuses: Sequence[str] = (), roles: Sequence[str] = ()) -> pd.DataFrame:
    """The runs whose title, id, method or study holds each of the words; of these statuses and roles, if any are named."""
    kept = pd.Series(True, index=runs.index)
    text = (runs["title"] + " " + runs["run_id"] + " " + runs["method"] + " " + runs["study"]).str.lower()
    for word in words.lower().split():
        kept &= text.str.contains(word, regex=False)
    if statuses:
        kept &= runs["status"].isin(list(statuses))
    if roles:
        kept &= runs["role"].isin(list(roles))
    return runs[kept]


def newest(runs: pd.DataFrame, always: str | None = None) -> pd.DataFrame:
    """At most MOST runs, those made last, and the one that the page's link asks for."""
    return runs[(runs.index >= runs.index[-MOST]) | (runs["run_id"] == always)] if len(runs) > MOST else runs


def find(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs to show, as search box and filters say; without them for a few."""
    if len(runs) <= FEW:
        return runs
    left, middle, right = st.columns([2, 1, 1])
    words = left.text_input("Search", key="runs searched", placeholder="words in the title, id, method or study")
    statuses = middle.multiselect("Status", sorted(runs["status"].unique()), key="runs of status")
    roles = right.multiselect("Role", sorted(runs["role"].unique()), key="runs of role")
    found = matching(runs, words, statuses, roles)
    if len(found) > MOST:
        st.caption(f"{len(found):,} of {len(runs):,} runs match; the newest {MOST} are shown.")
    elif len(found) < len(runs):
        st.caption(f"{len(found):,} of {len(runs):,} runs match.")
    return newest(found, next(iter(choices.asked("run")), None))
